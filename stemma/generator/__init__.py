"""Asks a chat model for what the sources need: from the ledger where it was answered before, else from the server.

A source gives jobs, each of which asks what it needs and makes one row of the replies. All jobs run side by side; a
reply that cannot be used (refused, cut off, empty, no valid JSON) is asked for again with another seed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from time import monotonic
from typing import Any, Protocol

from data_builders.flow import Ask, Draft, Drop, Job
from data_builders.scripted.expert import serve_expert
from stemma.generator.accounting import Books
from stemma.generator.batch import BatchSender
from stemma.generator.client import connect, read_key
from stemma.generator.estimate import Forecast
from stemma.generator.jobs import Desk, JobWriter, check
from stemma.generator.ledger import Entry, open_ledger, peek_ledger
from stemma.generator.limits import Limiter
from stemma.generator.requests import Request
from stemma.generator.sending import Sender
from stemma.recipe.generator import Generator

REPORT_SECONDS = 10.0
TURNS = 20
"""Turns of the event loop without a request after which every job is taken to wait for a reply."""


class Courier(Protocol):
    """Carries requests that the ledger does not answer."""

    def post(self, request: Request) -> asyncio.Future[Entry]: ...
    async def run(self, settled: Callable[[], Awaitable[None]]) -> None: ...
    async def drain(self) -> None: ...


class Generation:
    """Runs jobs against the server. A finished request is in the ledger before its job goes on."""

    def __init__(self, desk: Desk, connection: tuple[str | None, str], seed: int, say: Callable[[str], None]) -> None:
        """`connection`: base URL and key."""
        self._desk, self._connection, self._seed, self._say = desk, connection, seed, say
        settings, books = desk.settings, desk.books
        self._limiter = Limiter(settings.limits, settings.concurrency, monotonic(), _sent_today(books, settings))
        self._finished = 0

    def __call__(self, jobs: Sequence[Job]) -> list[Draft | Drop]:
        return asyncio.run(self._run(jobs)) if jobs else []

    def totals(self) -> dict[str, Any]:
        """What was asked for so far; for the manifest."""
        return self._desk.books.tally.totals()

    async def _run(self, jobs: Sequence[Job]) -> list[Draft | Drop]:
        self._finished = 0
        async with self._courier() as courier:
            running = [asyncio.create_task(self._work(job, order, courier)) for order, job in enumerate(jobs)]
            beside = [asyncio.create_task(courier.run(self._settled)), asyncio.create_task(self._report(len(jobs)))]
            results = asyncio.gather(*running)
            watched: list[asyncio.Future[Any]] = [results, *beside]
            try:
                await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
                for task in beside:  # they end by an error only
                    if task.done():
                        task.result()
                rows = await results
                self._say(f"generator: {len(jobs)} rows; so far {self._desk.books.tally}")
                return rows
            except Exception:
                await _cancel([*watched, *running])
                await courier.drain()
                raise
            finally:
                await _cancel([*watched, *running])

    @asynccontextmanager
    async def _courier(self) -> AsyncIterator[Courier]:
        settings, books = self._desk.settings, self._desk.books
        async with connect(settings, *self._connection) as wire:
            if settings.mode == "batch":
                yield BatchSender(wire, books, settings.base_url or settings.server, self._say)
            else:
                yield Sender(wire, self._limiter, books, self._seed)

    async def _work(self, job: Job, order: int, courier: Courier) -> Draft | Drop:
        async def fetch(request: Request, _ask: Ask) -> Entry:
            return await courier.post(request)

        result = await job(JobWriter(self._desk, order, fetch))
        self._finished += 1
        return result

    async def _settled(self) -> None:
        """Returns when every job is done or waits for a reply that the ledger does not hold."""
        before = (-1, -1)
        while before != (now := (self._desk.books.looked_up, self._finished)):
            before = now
            for _ in range(TURNS):
                await asyncio.sleep(0)

    async def _report(self, jobs: int) -> None:
        tally, begun = self._desk.books.tally, monotonic()
        await self._settled()
        self._say(f"generator: {self._finished} of {jobs} rows need no request; so far {tally}")
        while True:
            sent = tally.sent
            await asyncio.sleep(REPORT_SECONDS)
            pace = (tally.sent - sent) / REPORT_SECONDS
            self._say(
                f"generator: {self._finished} of {jobs} rows, {pace:.1f} requests/s, {self._limiter.in_flight} in "
                f"flight, {tally.cost_usd:.2f} USD, {monotonic() - begun:.0f} s"
            )


async def _cancel(tasks: Sequence[asyncio.Future[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _sent_today(books: Books, settings: Generator) -> list[float]:
    """When the last 24 hours' requests were answered, by the monotonic clock."""
    if settings.limits.requests_per_day is None:
        return []
    now, clock = datetime.now(timezone.utc), monotonic()
    since = (now - timedelta(days=1)).isoformat(timespec="seconds")
    moments = books.ledger.sent_since(since, settings.model)
    return [clock - (now - datetime.fromisoformat(moment)).total_seconds() for moment in moments]


@contextmanager
def open_generate(
    settings: Generator, ledger_path: Path, seed: int, say: Callable[[str], None]
) -> Iterator[Generation]:
    """A generation by the recipe's settings; starts and stops the scripted expert where the recipe names it."""
    check(settings)
    if settings.server == "scripted-expert":
        with open_ledger(ledger_path) as ledger, serve_expert(seed) as base_url:
            desk = Desk(settings, Books(ledger, settings), _salt(settings, seed))
            yield Generation(desk, (base_url, "no-key-needed"), seed, say)
        return
    key = read_key(settings.api_key_env)
    with open_ledger(ledger_path) as ledger:
        yield Generation(Desk(settings, Books(ledger, settings), None), (settings.base_url, key), seed, say)


def forecast(settings: Generator, ledger_path: Path, seed: int) -> Forecast:
    """What `open_generate` would ask for, counted."""
    check(settings)
    return Forecast(Desk(settings, Books(peek_ledger(ledger_path), settings), _salt(settings, seed)))


def _salt(settings: Generator, seed: int) -> str | None:
    return f"scripted-expert {seed}" if settings.server == "scripted-expert" else None
