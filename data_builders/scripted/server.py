"""A real HTTP server on loopback that stands in for the paid API: it answers, is slow, and fails.

It speaks OpenAI's chat completions, files and batches, with its rate-limit headers. `Faults` says
how it misbehaves; what becomes of a request is drawn from the seed, its body and how often that
body came before, so the order of arrival changes nothing. A request is billed once its answer is
made, whether or not the client is still there to read it, as with the real API; refused and broken
ones are not billed.

`serve` runs it in a thread, for tests and the demo. As a process of its own, for the bench (`GET
/stats` gives the record):

    python -m data_builders.scripted.server \\
        --faults '{"requests_per_minute": 6000, "shares": {"429": 0.02}}'
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import socket
import struct
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager
from threading import Thread

from aiohttp import web
from pydantic import TypeAdapter

from data_builders.scripted.batch_api import BatchStore
from data_builders.scripted.faults import (
    Fault,
    Faults,
    Json,
    RequestHandler,
    ServerRecord,
    WriteAnswer,
    tokens_asked,
)

RETRY_SECONDS = 0.2
"""Seconds to wait that the server asks for after a 429 that no cap explains."""
NO_FAULTS = Faults()


class ScriptedServer:
    """The running server. Tests read `record`; one process writes it, on the server's loop."""

    def __init__(self, answer: WriteAnswer, faults: Faults) -> None:
        self.base_url = ""
        self.record = ServerRecord()
        self._faults = faults
        self._caps = faults.caps()
        self._handler = RequestHandler(answer, faults, self.record)
        self._batches = BatchStore(self._handler)

    @asynccontextmanager
    async def listening(self, port: int = 0) -> AsyncIterator[str]:
        """The base URL while the server runs; unanswered requests end with it."""
        app = web.Application(client_max_size=1 << 28)
        app.add_routes(
            [
                web.post("/v1/chat/completions", self._chat),
                web.post("/v1/files", self._upload),
                web.get("/v1/files/{id}/content", self._download),
                web.post("/v1/batches", self._create_batch),
                web.get("/v1/batches", self._list_batches),
                web.get("/v1/batches/{id}", self._show_batch),
                web.get("/stats", self._stats),
            ]
        )
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.01)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port, backlog=1024).start()
        self.base_url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        try:
            yield self.base_url
        finally:
            await runner.cleanup()

    async def _stats(self, _request: web.Request) -> web.Response:
        return web.json_response(self.record.stats())

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        try:
            body: Json = await request.json()
            fault, rng = self._handler.receive(body)
            if refused := self._check_caps(body):
                return refused
            self.record.admit(fault)
            return await self._reply(request, body, fault, rng)
        except ConnectionError:
            # The client left before it had sent all.
            return web.Response()
        except (ValueError, LookupError, TypeError) as error:
            return _error(400, str(error), headers=self._cap_headers())

    def _check_caps(self, body: Json) -> web.Response | None:
        amounts = {"requests": 1, "tokens": tokens_asked(body)}
        waits = {cap.wait_seconds(amounts[cap.kind]): cap for cap in self._caps}
        if waits and (seconds := max(waits)) > 0:
            self.record.over_cap += 1
            cap = waits[seconds]
            message = f"Rate limit reached for {body['model']} on {cap.name}: Limit {cap.limit}."
            return _too_many(message, seconds, self._cap_headers())
        for cap in self._caps:
            cap.take(amounts[cap.kind])
        return None

    def _cap_headers(self) -> dict[str, str]:
        return {name: value for cap in self._caps for name, value in cap.headers().items()}

    async def _reply(
        self, request: web.Request, body: Json, fault: Fault | None, rng: random.Random
    ) -> web.StreamResponse:
        headers = self._cap_headers()
        if fault == "429":
            message = "The engine is currently overloaded, please try again later."
            return _too_many(message, RETRY_SECONDS, headers)
        with self.record.flight():
            await asyncio.sleep(self._faults.latency(rng))
            if fault in ("silent", "reset"):
                return await (_hang(request) if fault == "silent" else _reset(request))
        if fault == "5xx":
            return _error(rng.choice([500, 502, 503]), "The server had an error.", headers=headers)
        if fault == "malformed" and rng.random() < 0.5:
            return web.Response(
                text="<html><body>Bad gateway</body></html>", content_type="text/html"
            )
        text = json.dumps(self._handler.answer(body, fault, rng))
        text = text[: len(text) // 2] if fault == "malformed" else text
        return web.Response(text=text, content_type="application/json", headers=headers)

    async def _upload(self, request: web.Request) -> web.Response:
        form = await request.post()
        upload = form["file"]
        assert isinstance(upload, web.FileField), "the client sends files as files"
        return web.json_response(
            {**self._batches.keep(upload.file.read()), "purpose": form["purpose"]}
        )

    async def _download(self, request: web.Request) -> web.Response:
        data = self._batches.files.get(request.match_info["id"])
        if data is None:
            return _error(404, "No such File object.")
        return web.Response(body=data)

    async def _create_batch(self, request: web.Request) -> web.Response:
        asked: Json = await request.json()
        if asked["input_file_id"] not in self._batches.files:
            return _error(400, "Invalid 'input_file_id'.")
        return web.json_response(self._batches.create(asked))

    async def _list_batches(self, request: web.Request) -> web.Response:
        limit = int(request.query["limit"]) if "limit" in request.query else 20
        return web.json_response(self._batches.page(request.query.get("after"), limit))

    async def _show_batch(self, request: web.Request) -> web.Response:
        batch = self._batches.batches.get(request.match_info["id"])
        if batch is None:
            return _error(404, "No such Batch object.")
        return web.json_response(batch)


async def _hang(request: web.Request) -> web.Response:
    """No answer for as long as the client waits."""
    while request.transport is not None and not request.transport.is_closing():
        await asyncio.sleep(0.02)
    return web.Response()


async def _reset(request: web.Request) -> web.Response:
    """Ends the connection with a TCP reset."""
    if request.transport is not None:
        linger = struct.pack("ii", 1, 0)
        request.transport.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, linger
        )
        request.transport.abort()
    return web.Response()


def _too_many(message: str, seconds: float, headers: dict[str, str]) -> web.Response:
    milliseconds = int(seconds * 1000) + 1
    retry = {"retry-after": str(-(-milliseconds // 1000)), "retry-after-ms": str(milliseconds)}
    return _error(429, message, "rate_limit_exceeded", {**headers, **retry})


def _error(
    status: int, message: str, code: str | None = None, headers: dict[str, str] | None = None
) -> web.Response:
    value = {"error": {"message": message, "type": "scripted", "param": None, "code": code}}
    return web.json_response(value, status=status, headers=headers)


@contextmanager
def serve(answer: WriteAnswer, faults: Faults = NO_FAULTS) -> Iterator[ScriptedServer]:
    """A running server, in a thread with a loop of its own; it ends with the block."""
    server = ScriptedServer(answer, faults)
    started: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def run() -> None:
        stop = asyncio.Event()
        async with server.listening():
            started.set_result((asyncio.get_running_loop(), stop))
            await stop.wait()

    thread = Thread(target=asyncio.run, args=(run(),), daemon=True)
    thread.start()
    loop, stop = started.result(timeout=10)
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()


async def _main(port: int, faults: Faults) -> None:
    server = ScriptedServer(
        lambda body: f"Answer to {body['messages'][-1]['content'][:40]}", faults
    )
    async with server.listening(port) as base_url:
        print(base_url, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description="The scripted server; prints its base URL once it listens."
    )
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--faults", type=TypeAdapter(Faults).validate_json, default=NO_FAULTS)
    options = parser.parse_args()
    asyncio.run(_main(options.port, options.faults))
