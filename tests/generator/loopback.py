"""Servers on loopback for tests of single replies.

They give exactly what they are told to, and keep what they got.

Whole runs, with caps, faults and latency, are tested against `data_builders.scripted.server`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

Reply = tuple[int, dict[str, str], bytes]
Json = dict[str, Any]


def body_of(content: Any, finish_reason: str = "stop", **message: Any) -> Json:
    said = {"role": "assistant", "content": content, **message}
    choice = {"index": 0, "finish_reason": finish_reason, "message": said}
    usage = {"prompt_tokens": 40, "completion_tokens": 100, "total_tokens": 140}
    return {
        "id": "1",
        "object": "chat.completion",
        "created": 0,
        "model": "m-1",
        "choices": [choice],
        "usage": usage,
    }


def completion(content: Any, finish_reason: str = "stop", **message: Any) -> Reply:
    return as_json(body_of(content, finish_reason, **message))


def as_json(value: Any, status: int = 200, **headers: str) -> Reply:
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return status, {"Content-Type": "application/json", **named}, json.dumps(value).encode()


def error(status: int, message: str = "no", **headers: str) -> Reply:
    # A client that retries is told to do so at once.
    return as_json(
        {"error": {"message": message, "type": "t", "code": "c"}},
        status,
        retry_after_ms="1",
        **headers,
    )


@contextmanager
def serve(reply: Callable[[Json], Reply]) -> Iterator[tuple[str, list[Json]]]:
    """A chat server: its base URL, and the requests so far."""
    requests: list[Json] = []

    def handle(_path: str, data: bytes) -> Reply:
        requests.append(json.loads(data))
        return reply(requests[-1])

    with _listen(handle) as base_url:
        yield base_url, requests


@contextmanager
def serve_batches(work: Callable[[list[Json]], Json]) -> Iterator[tuple[str, list[list[Json]]]]:
    """A batch server: its base URL, and the lines of each batch so far.

    `work` gives the ended batch's fields, with the lines of its files in place of their ids.
    """
    batches: list[list[Json]] = []
    files: dict[str, list[Json]] = {}

    def handle(path: str, data: bytes) -> Reply:
        if path == "/v1/files":
            files["input"] = [
                json.loads(line) for line in data.splitlines() if line.startswith(b'{"custom_id"')
            ]
            return as_json({"id": "input", "object": "file"})
        if path == "/v1/batches":
            batches.append(files["input"])
            ended = {"status": "completed", "errors": None, **work(batches[-1])}
            for name in ("output_file_id", "error_file_id"):
                files[f"{name}-{len(batches)}"] = ended.get(name, [])
                ended[name] = f"{name}-{len(batches)}" if name in ended else None
            states.append({"id": str(len(batches) - 1), "object": "batch", **ended})
            return as_json(states[-1] | {"status": "validating"})
        if path.startswith("/v1/batches/"):
            return as_json(states[int(path.rsplit("/", 1)[1])])
        lines = files[path.split("/")[3]]
        return (
            200,
            {"Content-Type": "application/jsonl"},
            "".join(json.dumps(line) + "\n" for line in lines).encode(),
        )

    states: list[Json] = []
    with _listen(handle) as base_url:
        yield base_url, batches


def line(custom_id: str, status: int, body: Json) -> Json:
    """A line of a batch's results."""
    return {
        "id": "r",
        "custom_id": custom_id,
        "response": {"status_code": status, "body": body},
        "error": None,
    }


@contextmanager
def _listen(handle: Callable[[str, bytes], Reply]) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            self._reply(self.rfile.read(int(self.headers["Content-Length"])))

        def do_GET(self) -> None:
            self._reply(b"")

        def _reply(self, data: bytes) -> None:
            status, headers, body = handle(self.path, data)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

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
