"""A GGUF file behind llama-cpp-python's own OpenAI-compatible server, on loopback."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MODEL = "tiny"


@contextmanager
def llama_server(gguf: Path, log: Path, seconds: float = 60, **more: object) -> Iterator[str]:
    """Its base URL, once it answers, which must be within `seconds`. `more`: further options of the
    server; `logits_all="true"` lets it give log-probabilities of texts."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options: dict[str, object] = {
        "model": gguf,
        "model_alias": MODEL,
        "port": port,
        "n_ctx": 512,
        "n_threads": 1,
    } | more
    flags = [f"--{name}={value}" for name, value in options.items()]
    command = [sys.executable, "-m", "llama_cpp.server", *flags]
    with (
        log.open("wb") as stream,
        subprocess.Popen(command, stdout=stream, stderr=stream) as server,
    ):
        try:
            _wait_for(f"http://127.0.0.1:{port}/v1/models", server, log, seconds)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            server.kill()


def _wait_for(url: str, server: subprocess.Popen[bytes], log: Path, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert server.poll() is None, log.read_text()[-2000:]
        try:
            urllib.request.urlopen(url, timeout=1).close()
            return
        except urllib.error.HTTPError:  # it asks for a key: it is there
            return
        except (urllib.error.URLError, TimeoutError):
            time.sleep(0.1)
    raise TimeoutError(log.read_text()[-2000:])
