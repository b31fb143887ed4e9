"""What is said where the hub refuses a model: a hub on loopback answers as the real one does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from stemma import ROOT

Write = Callable[..., Path]
FILE = {"type": "file", "path": "config.json", "size": 5, "oid": "b" * 40}
RESTRICTED = "Access to model google/gemma-2b is restricted."
GATED = "small.yml: base_model `google/gemma-2b` is gated: only accounts that accepted its licence"
LOG_IN = (
    "  hint: accept its licence first, on https://huggingface.co/google/gemma-2b; then "
    "`.venv/bin/hf auth login` with a token of that account"
)
GRANTED_TO_OTHERS = (
    "  hint: accept its licence first, on https://huggingface.co/google/gemma-2b, with the "
    "account of the token in use (`.venv/bin/hf auth whoami` names it); the token must allow it too"
)


class Hub(BaseHTTPRequestHandler):
    """A hub whose one model is gated: its page is public, its files are not."""

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        body = b""
        if "gemma-2b" not in self.path:
            self.refuse(401, "RepoNotFound", "Repository not found")
        elif self.path.startswith("/api/") and "auth-check" not in self.path:
            listing = "/tree/" in self.path
            about: Any = [FILE] if listing else {"id": "google/gemma-2b", "sha": "a" * 40}
            body = json.dumps(about).encode()
            self.send_response(200)
        else:
            self.refuse(403 if self.headers["authorization"] else 401, "GatedRepo", RESTRICTED)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def refuse(self, status: int, code: str, message: str) -> None:
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("X-Error-Message", message)


@pytest.fixture
def hub() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


FETCH = """
import sys
from pathlib import Path
from stemma.chain import chain
from stemma.errors import UserError
from stemma.recipe.load import load
from stemma.run_stages import Options, run_stages
from stemma.runs import Run
from stemma.stages import Work
from stemma.weights import weights_of
recipe, run = load(sys.argv[1]), Run(Path("runs/small"))
for ask in (
    lambda: run_stages(recipe, run, chain(recipe), Options(lambda _: None)),
    lambda: weights_of(Work(recipe, run, "sft", print), "base"),
):
    try:
        ask()
    except UserError as error:
        print(error)
"""


def said(endpoint: str, recipe: Path, folder: Path, token: str = "") -> list[str]:
    """What is said before a stage of the chain runs, and when the weights are fetched.

    In a process of its own: the hub's client reads its address once.
    """
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "HF_ENDPOINT": endpoint,
        "HF_HOME": str(folder / "hub"),
        "HF_TOKEN": token,
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    }
    environment.pop("HF_HUB_OFFLINE", None)
    done = subprocess.run(
        [sys.executable, "-c", FETCH, str(recipe)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


def of_hub(write_recipe: Write, name: str) -> Path:
    corpus = ("  corpus: {sources: [{source: from_sets}]}\n", "")
    return write_recipe(
        (
            "base:\n  model: {hidden_size: 32}\n  tokenizer: {vocab_size: 300}\n",
            f"base_model: {name}\n",
        ),
        ("  learning_rate: 1e-3\n", ""),
        corpus,
    )


@pytest.mark.parametrize(("token", "hint"), [("", LOG_IN), ("hf_" + "aB3" * 12, GRANTED_TO_OTHERS)])
def test_a_gated_model_says_what_gives_access(
    token: str, hint: str, hub: str, write_recipe: Write, tmp_path: Path
) -> None:
    before, expected, told, *later = said(
        hub, of_hub(write_recipe, "google/gemma-2b"), tmp_path, token
    )
    assert before.startswith(GATED)
    assert RESTRICTED in before
    assert expected == "  expected: a token of an account that may read it"
    assert told == hint
    assert later == [before, expected, told]


def test_a_model_that_is_not_there_may_be_private(
    hub: str, write_recipe: Write, tmp_path: Path
) -> None:
    before, _, hint, *later = said(hub, of_hub(write_recipe, "no/such"), tmp_path)
    assert before == (
        "small.yml: base_model `no/such`: the hub has no such model, or it is private "
        "(401 Client Error.)"
    )
    assert (
        hint == "  hint: check the spelling; a private model needs `.venv/bin/hf auth login` first"
    )
    assert later == [before, _, hint]


def test_without_a_network_the_chain_begins(write_recipe: Write, tmp_path: Path) -> None:
    nobody = "http://127.0.0.1:9"  # nothing listens
    before, *later = said(nobody, of_hub(write_recipe, "google/gemma-2b"), tmp_path)
    assert before.startswith("small.yml (data): no such file: ")
    assert later[-1] == "  hint: check the spelling and the network"
