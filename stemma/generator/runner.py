"""Runs jobs against a chat model's server, side by side, and reports progress.

A request whose reply is in the ledger is not sent again. A reply that cannot be used (refused, cut
off, empty, no valid JSON) is asked for again with another seed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from time import monotonic
from typing import Any

from stemma.generator.accounting import Accounting
from stemma.generator.batch import BatchSender
from stemma.generator.client import ModelServer, connect
from stemma.generator.jobs import AnyResult, Ask, Job
from stemma.generator.ledger import LedgerEntry, open_ledger
from stemma.generator.limits import RateLimiter
from stemma.generator.reply_source import LedgerWriter, ReplySource, check_settings
from stemma.generator.requests import ChatRequest
from stemma.generator.sending import DirectSender, Sender
from stemma.progress import show
from stemma.recipe.generator import Generator

REPORT_SECONDS = 1.0
QUIET_TURNS = 20
"""Turns of the event loop without a new lookup, after which every job waits for a reply."""


class JobRunner:
    """Runs jobs; a finished request is in the ledger before its job continues."""

    def __init__(
        self, replies: ReplySource, server: ModelServer, seed: int, say: Callable[[str], None]
    ) -> None:
        self._replies = replies
        self._accounting = replies.accounting
        self._server = server
        self._seed = seed
        self._say = say
        settings = replies.settings
        self._limiter = RateLimiter(
            settings.limits,
            settings.concurrency,
            monotonic(),
            _sent_today(self._accounting, settings),
        )
        self._finished = 0

    def __call__(self, jobs: Sequence[Job[AnyResult]]) -> list[AnyResult]:
        """The jobs' results, in the jobs' order."""
        return asyncio.run(self._run(jobs)) if jobs else []

    def totals(self) -> dict[str, Any]:
        """Totals of all requests so far, for the manifest."""
        return self._accounting.totals.for_manifest()

    async def _run(self, jobs: Sequence[Job[AnyResult]]) -> list[AnyResult]:
        self._finished = 0
        async with self._open_sender() as sender:
            running = [
                asyncio.create_task(self._work(job, order, sender))
                for order, job in enumerate(jobs)
            ]
            # Neither of these two ends by itself, but for an error.
            background = [
                asyncio.create_task(sender.run(self._wait_until_idle)),
                asyncio.create_task(self._report(len(jobs))),
            ]
            gathered = asyncio.gather(*running)
            watched: list[asyncio.Future[Any]] = [gathered, *background]
            try:
                await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
                for task in background:
                    if task.done():
                        task.result()
                results = await gathered
                self._say(f"generator: {len(jobs)} rows; so far {self._accounting.totals}")
                return results
            except Exception:
                # What is in flight is being paid for: its replies are kept first.
                await _cancel([*watched, *running])
                await sender.wait_for_in_flight()
                raise
            finally:
                await _cancel([*watched, *running])

    @asynccontextmanager
    async def _open_sender(self) -> AsyncIterator[Sender]:
        settings = self._replies.settings
        async with connect(settings, self._server) as client:
            if settings.mode == "batch":
                owner = settings.base_url or settings.server
                yield BatchSender(client, self._accounting, owner, self._say)
            else:
                yield DirectSender(client, self._limiter, self._accounting, self._seed)

    async def _work(self, job: Job[AnyResult], order: int, sender: Sender) -> AnyResult:
        async def fetch(request: ChatRequest, _ask: Ask) -> LedgerEntry:
            return await sender.submit(request)

        result = await job(LedgerWriter(self._replies, order, fetch))
        self._finished += 1
        return result

    async def _wait_until_idle(self) -> None:
        """Returns when every job is done or waits for a reply that the ledger does not hold."""
        before = (-1, -1)
        while before != (now := (self._accounting.lookups, self._finished)):
            before = now
            for _ in range(QUIET_TURNS):
                await asyncio.sleep(0)

    async def _report(self, jobs: int) -> None:
        totals = self._accounting.totals
        await self._wait_until_idle()
        self._say(f"generator: {self._finished} of {jobs} rows need no request; so far {totals}")
        while True:
            sent = f"{totals.sent:,} requests, {self._limiter.in_flight:,} in flight"
            note = f"{sent}, {totals.cost_usd:.2f} USD"
            show("asking the model", self._finished, jobs, "rows", note)
            await asyncio.sleep(REPORT_SECONDS)


async def _cancel(tasks: Sequence[asyncio.Future[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _sent_today(accounting: Accounting, settings: Generator) -> list[float]:
    """When the last 24 hours' requests were answered, by the monotonic clock."""
    if settings.limits.requests_per_day is None:
        return []
    now = datetime.now(timezone.utc)
    clock = monotonic()
    since = (now - timedelta(days=1)).isoformat(timespec="seconds")
    moments = accounting.ledger.sent_since(since, settings.model)
    return [clock - (now - datetime.fromisoformat(moment)).total_seconds() for moment in moments]


@contextmanager
def open_runner(
    settings: Generator,
    server: ModelServer,
    ledger_path: Path,
    seed: int,
    say: Callable[[str], None],
) -> Iterator[JobRunner]:
    """A runner by the recipe's settings, which holds the ledger while it is open.

    Raises UserError for settings that cannot work, and when another process holds the ledger.
    """
    check_settings(settings)
    with open_ledger(ledger_path) as ledger:
        replies = ReplySource(settings, Accounting(ledger, settings), server.identity)
        yield JobRunner(replies, server, seed, say)
