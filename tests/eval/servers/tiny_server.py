"""A model server on loopback that speaks character by character, and can be told to be broken.

Named as what it is: a stand-in for servers that nobody can have here. What it says of a character
depends on all that stands before it, and on nothing else.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any

LETTERS = " abcdefghijklmnopqrstuvwxyz0123456789"
SPECIAL = re.compile(r"<[^<>]+>|.", re.DOTALL)
Answer = tuple[int, bytes]


def log_prob(before: str, token: str) -> float:
    digest = hashlib.sha256(f"{before}\0{token}".encode()).digest()
    return -0.5 - 5 * digest[0] / 255


def likeliest(before: str) -> str:
    return max(LETTERS, key=lambda letter: log_prob(before, letter))


@dataclass
class TinyServer:
    """What it says, by the faults it is given."""

    adds_bos: bool = False
    splits_special: bool = False
    scores: Callable[[str, str], float] = log_prob
    shifted: bool = False
    """Whether it says of a token what holds for the next."""
    without_scores: bool = False
    models: Any = None
    intercept: Callable[[str, int], Answer | None] = lambda *_: None
    """Another answer to the n-th request for a path."""
    asked: dict[str, int] = field(default_factory=dict)
    lock: Any = field(default_factory=Lock)

    def answer(self, path: str, body: dict[str, Any]) -> Answer:
        with self.lock:
            number = self.asked[path] = self.asked.get(path, 0) + 1
        if (other := self.intercept(path, number)) is not None:
            return other
        if path == "/v1/models":
            listed = self.models if self.models is not None else [{"id": "tiny"}]
            made = {"created": time.time_ns(), "permission": [{"id": str(time.time_ns())}]}
            return 200, as_bytes({"data": [one | made for one in listed]})
        if path == "/v1/completions":
            return 200, as_bytes(self.echo(body["prompt"]))
        return 200, as_bytes(self.reply(body))

    def echo(self, prompt: str) -> dict[str, Any]:
        text = ("<bos>" if self.adds_bos else "") + prompt
        pattern = re.compile(".", re.DOTALL) if self.splits_special else SPECIAL
        tokens = pattern.findall(text)
        tokens.append(likeliest("".join(tokens)))
        values: list[float | None] = [
            self.scores("".join(tokens[:place]), token) for place, token in enumerate(tokens)
        ]
        values = [*values[1:], -7.0] if self.shifted else values
        values[0] = None
        top = max(log_prob("".join(tokens[:-1]), letter) for letter in LETTERS)
        tops = [None] * (len(tokens) - 1) + [{"likeliest": top}]
        found = {"tokens": tokens, "token_logprobs": values, "top_logprobs": tops}
        return {
            "model": "tiny",
            "choices": [{"text": text, "logprobs": None if self.without_scores else found}],
            "usage": {"prompt_tokens": len(tokens) - 1, "completion_tokens": 1},
        }

    def reply(self, body: dict[str, Any]) -> dict[str, Any]:
        said = f"It is {len(body['messages'][-1]['content'])}."
        message = {"role": "assistant", "content": said[: body["max_tokens"]]}
        reason = "stop" if len(said) <= body["max_tokens"] else "length"
        return {"model": "tiny", "choices": [{"message": message, "finish_reason": reason}]}


def as_bytes(value: Any) -> bytes:
    return json.dumps(value).encode()


@contextmanager
def serving(server: TinyServer) -> Iterator[str]:
    """Its base URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._send(server.answer(self.path, {}))

        def do_POST(self) -> None:
            data = self.rfile.read(int(self.headers["Content-Length"]))
            self._send(server.answer(self.path, json.loads(data)))

        def _send(self, answer: Answer) -> None:
            status, content = answer
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            # Status 299 stands for a reply that is cut on its way.
            self.send_header("Content-Length", str(len(content) + (50 if status == 299 else 0)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            pass

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=listening.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listening.server_address[1]}/v1"
    finally:
        listening.shutdown()
        listening.server_close()
