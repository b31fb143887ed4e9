"""A server on loopback that says back, in every form and place, the key that it is sent."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import quote

KEY = "sk-very+secret/0123456789-abcDEF="


def forms(key: str) -> list[str]:
    """The key as a server may say it back."""
    data = key.encode()
    return [
        key,
        f"Bearer {key}",
        key.upper(),
        key[:-5],
        key[4:],
        quote(key, safe=""),
        data.hex(),
        *(
            base64.b64encode(text).decode().rstrip("=")
            for text in (data, b"Bearer " + data, b"user:" + data, b"me:" + data + b"@host")
        ),
        base64.urlsafe_b64encode(b"x:" + data).decode(),
    ]


def traces(text: str, key: str = KEY) -> list[str]:
    """What of the key is in a text: twelve characters in a row, or of a form the middle."""
    found = [key[at : at + 12] for at in range(len(key) - 11)]
    found += [one[8:-8] for one in forms(key) if len(one) > 40 or one.isalnum()]
    return [one for one in found if one.lower() in text.lower()]


def traces_below(folder: Path, key: str = KEY) -> list[str]:
    """The files below a folder that hold a trace of the key, in name or content."""
    return [
        f"{path}: {found}"
        for path in sorted(folder.rglob("*"))
        for found in [
            *traces(path.name, key),
            *(traces(path.read_bytes().decode("latin-1"), key) if path.is_file() else ()),
        ]
    ]


Answer = Callable[[str, dict[str, Any]], tuple[int, Any]]
"""The status and JSON of a reply to the key's forms, as one text, and the request's body."""


def completion(content: str, **more: Any) -> dict[str, Any]:
    choice = {"message": {"role": "assistant", "content": content}, "finish_reason": "stop"}
    return {"model": "m", "choices": [choice]} | more


@contextmanager
def echoing(answer: Answer, models: bool = True) -> Iterator[tuple[str, list[str]]]:
    """Its base URL, and the paths that were asked for. Every reply's headers hold the key."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._reply({})

        def do_POST(self) -> None:
            data = self.rfile.read(int(self.headers["Content-Length"]))
            is_json = "json" in self.headers["Content-Type"]
            self._reply(json.loads(data) if is_json else {"file": data.decode()})

        def _reply(self, body: dict[str, Any]) -> None:
            asked.append(self.path)
            key = self.headers["Authorization"].removeprefix("Bearer ")
            said = " ".join(forms(key))
            if self.path == "/v1/models" and models:
                status, value = 200, {"data": [{"id": "m", "owned_by": said, said: said}]}
            else:
                status, value = answer(said, body | {"path": self.path})
            content = value if isinstance(value, bytes) else json.dumps(value).encode()
            # An `s` written as JSON need not write it.
            content = content.replace(b"Bearer sk-", b"Bearer \\u0073k-")
            self.send_response(status, f"No {key}")
            for name in ("X-Echo", "Location", "x-request-id", "retry-after-ms", key.strip("=")):
                self.send_header(name.replace("/", "-"), "1" if "retry" in name else said)
            self.send_header("Content-Type", f"application/json; said={key}")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1", asked
    finally:
        server.shutdown()
        server.server_close()
