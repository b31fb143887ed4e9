"""Sends requests one by one, as many at once as the server bears, each until it is answered.

Whatever stops it, requests in flight are waited for: they are being paid for.
"""

from __future__ import annotations

import asyncio
import heapq
import math
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from stemma.errors import StageFailed
from stemma.generator.accounting import Accounting
from stemma.generator.client import RUN_AGAIN, ChatClient, RetryableError
from stemma.generator.ledger import LedgerEntry
from stemma.generator.limits import (
    InFlightRequest,
    Outcome,
    RateLimiter,
    RateLimitHeaders,
    read_headers,
)
from stemma.generator.requests import ChatRequest, estimate_input, output_limit

FAILURES = 6
"""Failures of one request, other than for its pace, before the build stops."""
REFUSALS = 20
"""Refusals of one request for its pace (HTTP 429) before the build stops."""
LOST_AT_FIRST = 20
"""Requests that may be billed, without one reply yet, after which the build stops: sending all of
them would be in vain."""
BACKOFF_SECONDS = 0.5
LONGEST_BACKOFF_SECONDS = 30.0
LONGEST_PAUSE_SECONDS = 15 * 60.0
"""A server that wants a longer pause is asked again by another run."""


class Sender(Protocol):
    """A way to send requests that the ledger does not answer."""

    def submit(self, request: ChatRequest) -> asyncio.Future[LedgerEntry]:
        """The reply to come. Equal requests share one."""
        ...

    async def run(self, wait_until_idle: Callable[[], Awaitable[None]]) -> None:
        """Sends what is submitted, until cancelled. Raises what stops it.

        `wait_until_idle` returns when nothing more will be submitted before a reply comes.
        """
        ...

    async def wait_for_in_flight(self) -> None:
        """Returns when the requests in flight are answered; sends nothing more."""
        ...


@dataclass(order=True)
class QueuedRequest:
    """A submitted request and its reply to come.

    The earliest job's is sent first, so that rows are finished rather than begun.
    """

    order: int
    number: int
    request: ChatRequest = field(compare=False)
    reply: asyncio.Future[LedgerEntry] = field(compare=False)
    failures: int = field(default=0, compare=False)
    refusals: int = field(default=0, compare=False)

    def resolve(self, entry: LedgerEntry) -> None:
        if not self.reply.done():
            self.reply.set_result(entry)

    def fail(self, error: Exception) -> None:
        if not self.reply.done():
            self.reply.set_exception(error)


class DirectSender:
    """Sends each request by itself, and again where no reply comes."""

    def __init__(
        self, client: ChatClient, limiter: RateLimiter, accounting: Accounting, seed: int
    ) -> None:
        self._client = client
        self._limiter = limiter
        self._accounting = accounting
        self._rng = random.Random(seed)
        self._submitted: dict[str, QueuedRequest] = {}
        self._queue: list[QueuedRequest] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        self._is_stopping = False
        self._was_answered = False

    def submit(self, request: ChatRequest) -> asyncio.Future[LedgerEntry]:
        queued = self._submitted.get(request.key)
        if queued is None:
            reply = asyncio.get_running_loop().create_future()
            queued = QueuedRequest(request.order, len(self._submitted), request, reply)
            self._submitted[request.key] = queued
            self._enqueue(queued)
        return queued.reply

    def _enqueue(self, queued: QueuedRequest) -> None:
        heapq.heappush(self._queue, queued)
        self._changed.set()

    async def run(self, wait_until_idle: Callable[[], Awaitable[None]]) -> None:
        # What the ledger holds is counted before a cent more is spent.
        await wait_until_idle()
        while True:
            self._changed.clear()
            seconds = self._delay(self._queue[0].request) if self._queue else math.inf
            if seconds <= 0:
                self._start(heapq.heappop(self._queue))
            elif LONGEST_PAUSE_SECONDS < seconds < math.inf:
                raise come_back_after(seconds)
            else:
                timeout = None if seconds == math.inf else seconds
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._changed.wait(), timeout)

    async def wait_for_in_flight(self) -> None:
        self._is_stopping = True
        await asyncio.gather(*self._tasks)

    def _delay(self, request: ChatRequest) -> float:
        """Seconds until the request may leave; infinite: first another one must come back."""
        if self._accounting.budget.fits(self._accounting.worst_case(request)):
            return self._limiter.delay(_tokens(request), time.monotonic())
        if self._limiter.in_flight:
            # What comes back costs less than was reserved for it.
            return math.inf
        waiting = sum(not queued.reply.done() for queued in self._submitted.values())
        raise self._accounting.budget_error(waiting)

    def _start(self, queued: QueuedRequest) -> None:
        reserved = self._accounting.worst_case(queued.request)
        self._accounting.budget.reserve(reserved)
        in_flight = self._limiter.start(_tokens(queued.request), time.monotonic())
        task = asyncio.create_task(self._send(queued, in_flight, reserved))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _send(
        self, queued: QueuedRequest, in_flight: InFlightRequest, reserved: float
    ) -> None:
        """Sends a request once; the reply resolves it, and an error queues it again or fails it."""
        outcome: Outcome = "failed"
        headers = RateLimitHeaders()
        may_be_billed = False
        self._accounting.totals.sent += 1
        try:
            completion, raw_headers = await self._client.complete(queued.request)
            outcome = "answered"
            headers = read_headers(raw_headers)
            self._was_answered = True
            key = queued.request.key
            entries = self._accounting.store({key: completion}, {key: queued.request}, "sync")
            self._accounting.count(queued.request, entries[key])
            queued.resolve(entries[key])
        except RetryableError as error:
            headers = read_headers(error.headers)
            may_be_billed = error.may_be_billed
            outcome = "refused" if error.reason == "rate limit" else "failed"
            if may_be_billed:
                self._accounting.totals.count_lost(reserved)
            self._retry_later(queued, error, headers.retry_seconds or 0.0)
        except Exception as error:
            queued.fail(error)
        finally:
            # The dollars of a lost reply stay reserved.
            if not may_be_billed:
                self._accounting.budget.release(reserved)
            self._limiter.finish(in_flight, outcome, headers, time.monotonic())
            self._changed.set()

    def _retry_later(self, queued: QueuedRequest, error: RetryableError, pause: float) -> None:
        """Queues a request again, later each time; fails it when that was too often or too long."""
        if error.reason == "rate limit":
            queued.refusals += 1
        else:
            queued.failures += 1
        if pause > LONGEST_PAUSE_SECONDS:
            queued.fail(come_back_after(pause))
        elif self._is_given_up(queued):
            queued.fail(self._no_answer(queued, error))
        else:
            self._accounting.totals.retried[error.reason] += 1
            attempts = queued.failures + queued.refusals
            doubled = BACKOFF_SECONDS * 2 ** (attempts - 1)
            backoff = min(LONGEST_BACKOFF_SECONDS, doubled) * self._rng.uniform(0.5, 1.0)
            seconds = pause + backoff / 10 if pause else backoff
            asyncio.get_running_loop().call_later(seconds, self._enqueue, queued)

    def _is_given_up(self, queued: QueuedRequest) -> bool:
        too_often = queued.failures >= FAILURES or queued.refusals >= REFUSALS
        in_vain = not self._was_answered and self._accounting.totals.lost >= LOST_AT_FIRST
        return too_often or in_vain or self._is_stopping

    def _no_answer(self, queued: QueuedRequest, error: RetryableError) -> StageFailed:
        totals = self._accounting.totals
        called = self._accounting.settings.called
        causes = {
            "no connection": f"the {called} cannot be reached",
            "no completion": f"the {called} sent no chat completion; check {called}.base_url",
            "time-out": f"the {called} did not answer in time; see {called}.timeout_seconds",
        }
        cause = causes.get(error.reason, f"the {called} gave no answer ({error.reason})")
        details = f"one request was sent {queued.failures + queued.refusals} times"
        if totals.lost:
            details += (
                f", {totals.lost} of the requests sent may be billed: "
                f"at most {totals.lost_usd:.2f} USD"
            )
        return StageFailed(f"{cause} ({details}); {RUN_AGAIN}")


def _tokens(request: ChatRequest) -> int:
    """A request's share of tokens per minute: its prompt, and all the reply may hold."""
    return estimate_input(request.body) + (output_limit(request.body) or 0)


def come_back_after(seconds: float) -> StageFailed:
    """The error that leaves a long pause to another run."""
    when = (datetime.now() + timedelta(seconds=seconds)).strftime("%Y-%m-%d %H:%M")
    return StageFailed(
        f"the generator's limit is reached for the next {math.ceil(seconds / 60)} minutes; "
        f"answers so far are kept: run the same command again after {when}"
    )
