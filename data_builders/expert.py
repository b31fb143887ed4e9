"""The scripted expert: a real HTTP server on loopback that answers and ranks like a chat model, for a known domain.

It speaks OpenAI's chat completions, reads the question out of the prompt's `<question>` tags, and knows right from
wrong: calculations by calculating, facts from `exercises`. About half of its own answers are faulty, as the request's
seed decides, so that two chats give pairs worth ranking. It stands in for the paid API only; nothing else is scripted.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from data_builders.exercises import CONVERSIONS, Exercise, exercises
from data_builders.split import question_key

CALCULATIONS: dict[str, Callable[[int, int], int]] = {
    r"(?:What is|How much is) (\d+) (?:\+|plus) (\d+)\?": int.__add__,
    r"Add (\d+) and (\d+)\.": int.__add__,
    r"(?:What is|How much is) (\d+) (?:-|minus) (\d+)\?": int.__sub__,
}


@dataclass(frozen=True)
class Expert:
    """Answers and ranks. `known` holds the exercises by question key."""

    seed: int
    known: dict[str, Exercise]

    def reply(self, prompt: str, seed: int) -> str | None:
        """The reply to a prompt, or None when it holds no question."""
        question, first, second = (_tagged(prompt, tag) for tag in ("question", "answer_a", "answer_b"))
        if question is None:
            return None
        if first is not None and second is not None:
            return json.dumps(self.rank(question, first, second))
        return self.answer(question, random.Random(f"{self.seed}/{seed}/{question}"))

    def solve(self, question: str) -> str | None:
        """The right answer, or None when the question is not of the domain."""
        exercise = self.known.get(question_key(question))
        return calculate(question) or (exercise.answer if exercise else None)

    def answer(self, question: str, rng: random.Random) -> str:
        right = self.solve(question)
        if right is None:
            return "I do not know."
        exercise = self.known.get(question_key(question))
        wrong = exercise.wrong if exercise else (re.sub(r"\d+", lambda n: str(int(n[0]) + 1), right),)
        return right if rng.random() < 0.5 else rng.choice(wrong)

    def rank(self, question: str, first: str, second: str) -> dict[str, Any]:
        """The ranking the prompt asks for: by correctness, then by brevity."""
        right = self.solve(question)
        verdicts = (_agrees(first, right), _agrees(second, right))
        correctness = {(True, False): "A", (False, True): "B", (True, True): "AB", (False, False): "None"}[verdicts]
        clarity = "A" if len(first) <= len(second) else "B"
        overall = correctness if correctness in ("A", "B") else clarity
        criteria = {"correctness": correctness, "relevance": "AB", "clarity": clarity, "completeness": correctness}
        return {"criteria": criteria, "overall": overall}


def calculate(question: str) -> str | None:
    """The result of an arithmetic or conversion question; None for any other."""
    for pattern, operation in CALCULATIONS.items():
        if match := re.fullmatch(pattern, question):
            return str(operation(int(match[1]), int(match[2])))
    if match := re.fullmatch(r"How many (\w+) are (\d+) (\w+)\?", question):
        return _convert(int(match[2]), match[3], match[1])
    match = re.fullmatch(r"Convert (\d+) (\w+) to (\w+)\.", question)
    return _convert(int(match[1]), match[2], match[3]) if match else None


def _convert(count: int, large: str, small: str) -> str | None:
    unit, factor = CONVERSIONS.get(large, ("", 0))
    return str(count * factor) if unit == small else None


def _agrees(answer: str, right: str | None) -> bool:
    key = question_key(answer)
    return right is not None and (key == question_key(right) or key.endswith(f"= {question_key(right)}"))


def _tagged(prompt: str, tag: str) -> str | None:
    match = re.search(rf"<{tag}>\s*(.*?)\s*</{tag}>", prompt, re.DOTALL)
    return match[1] if match else None


@contextmanager
def serve_expert(seed: int) -> Iterator[str]:
    """The base URL of a running expert; the server ends with the block."""
    expert = Expert(seed, {question_key(exercise.question): exercise for exercise in exercises(seed)})

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"  # keeps connections open, as the client expects
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            status, value = _respond(expert, self.rfile.read(int(self.headers["Content-Length"])))
            body = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Quiet: the stage reports its own progress."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _respond(expert: Expert, body: bytes) -> tuple[int, dict[str, Any]]:
    try:
        request = json.loads(body)
        prompt, seed, model = request["messages"][-1]["content"], int(request["seed"]), request["model"]
    except (ValueError, KeyError, IndexError, TypeError):
        return 400, {"error": {"message": "expected model, messages and seed"}}
    text = expert.reply(prompt, seed)
    if text is None:
        return 400, {"error": {"message": "the prompt holds no <question>…</question>"}}
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
    return 200, {"id": "expert", "object": "chat.completion", "created": 0, "model": model, "choices": [choice]}
