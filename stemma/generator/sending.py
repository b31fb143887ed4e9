"""Carries requests one by one, as many at once as the server bears, each until it is answered.

Whatever stops it, what is in flight is waited for: it is being paid for.
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

from stemma.errors import StageFailed
from stemma.generator.accounting import Books
from stemma.generator.client import AGAIN, Hindered, Wire
from stemma.generator.ledger import Entry
from stemma.generator.limits import Heard, Limiter, Outcome, Ticket, read_headers
from stemma.generator.requests import Request, estimate_input, output_limit

FAILURES, REFUSALS = 6, 20
"""So often one request may fail, or be refused for its pace (HTTP 429), before the build stops."""
LOST_AT_FIRST = 20
"""So many requests that may be billed, and not one reply had yet: the build stops, rather than send all of them."""
BACKOFF_SECONDS, LONGEST_BACKOFF_SECONDS = 0.5, 30.0
PATIENCE_SECONDS = 15 * 60.0
"""A server that wants a longer pause is asked again by another run."""


@dataclass(order=True)
class Letter:
    """A request on its way. The earliest job's goes first, so that rows are finished rather than begun."""

    order: int
    number: int
    request: Request = field(compare=False)
    reply: asyncio.Future[Entry] = field(compare=False)
    failures: int = field(default=0, compare=False)
    refusals: int = field(default=0, compare=False)

    def resolve(self, entry: Entry) -> None:
        if not self.reply.done():
            self.reply.set_result(entry)

    def fail(self, error: Exception) -> None:
        if not self.reply.done():
            self.reply.set_exception(error)


class Sender:
    def __init__(self, wire: Wire, limiter: Limiter, books: Books, seed: int) -> None:
        self._wire, self._limiter, self._books = wire, limiter, books
        self._rng = random.Random(seed)
        self._letters: dict[str, Letter] = {}
        self._queue: list[Letter] = []
        self._flights: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        self._stopping = self._was_answered = False

    def post(self, request: Request) -> asyncio.Future[Entry]:
        """The reply to come. Equal requests share one."""
        letter = self._letters.get(request.key)
        if letter is None:
            reply = asyncio.get_running_loop().create_future()
            letter = self._letters[request.key] = Letter(request.order, len(self._letters), request, reply)
            self._enqueue(letter)
        return letter.reply

    def _enqueue(self, letter: Letter) -> None:
        heapq.heappush(self._queue, letter)
        self._changed.set()

    async def run(self, settled: Callable[[], Awaitable[None]]) -> None:
        """Sends what is posted, until cancelled. Raises what stops it before a request is sent; nothing follows."""
        await settled()  # what earlier runs spent is known before a cent more is
        while True:
            self._changed.clear()
            seconds = self._delay(self._queue[0].request) if self._queue else math.inf
            if seconds <= 0:
                self._launch(heapq.heappop(self._queue))
            elif PATIENCE_SECONDS < seconds < math.inf:
                raise come_back_after(seconds)
            else:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._changed.wait(), None if seconds == math.inf else seconds)

    async def drain(self) -> None:
        """Waits for what is in flight, and sends nothing more."""
        self._stopping = True
        await asyncio.gather(*self._flights)

    def _delay(self, request: Request) -> float:
        """Seconds until the request may leave; infinite: first another one must come back."""
        if self._books.budget.fits(self._books.worst_case(request)):
            return self._limiter.delay(_tokens(request), time.monotonic())
        if self._limiter.in_flight:  # what comes back costs less than was reserved for it
            return math.inf
        raise self._books.refuse(sum(not letter.reply.done() for letter in self._letters.values()))

    def _launch(self, letter: Letter) -> None:
        dollars = self._books.worst_case(letter.request)
        self._books.budget.reserve(dollars)
        ticket = self._limiter.start(_tokens(letter.request), time.monotonic())
        flight = asyncio.create_task(self._fly(letter, ticket, dollars))
        self._flights.add(flight)
        flight.add_done_callback(self._flights.discard)

    async def _fly(self, letter: Letter, ticket: Ticket, dollars: float) -> None:
        outcome: Outcome = "failed"
        heard, may_be_billed = Heard(), False
        self._books.tally.sent += 1
        try:
            answer, headers = await self._wire.complete(letter.request)
            outcome, heard, self._was_answered = "answered", read_headers(headers), True
            key = letter.request.key
            entry = self._books.enter({key: answer}, {key: letter.request}, "sync")[key]
            self._books.count(letter.request, entry)
            letter.resolve(entry)
        except Hindered as hindered:
            heard, may_be_billed = read_headers(hindered.headers), hindered.may_be_billed
            outcome = "refused" if hindered.reason == "rate limit" else "failed"
            if may_be_billed:
                self._books.tally.lose(dollars)
            self._send_again(letter, hindered, heard)
        except Exception as error:
            letter.fail(error)
        finally:
            if not may_be_billed:  # else it stays reserved
                self._books.budget.release(dollars)
            self._limiter.finish(ticket, outcome, heard, time.monotonic())
            self._changed.set()

    def _send_again(self, letter: Letter, hindered: Hindered, heard: Heard) -> None:
        """Later, and later each time; or not, when that was too often or would take too long."""
        refused, asked_to_wait = hindered.reason == "rate limit", heard.retry_seconds or 0.0
        letter.refusals += refused
        letter.failures += not refused
        if asked_to_wait > PATIENCE_SECONDS:
            letter.fail(come_back_after(asked_to_wait))
        elif letter.failures >= FAILURES or letter.refusals >= REFUSALS or self._stopping or self._is_in_vain():
            letter.fail(self._give_up(letter, hindered))
        else:
            self._books.tally.retried[hindered.reason] += 1
            doubled = BACKOFF_SECONDS * 2 ** (letter.failures + letter.refusals - 1)
            backoff = min(LONGEST_BACKOFF_SECONDS, doubled) * self._rng.uniform(0.5, 1.0)
            seconds = asked_to_wait + backoff / 10 if asked_to_wait else backoff
            asyncio.get_running_loop().call_later(seconds, self._enqueue, letter)

    def _is_in_vain(self) -> bool:
        return not self._was_answered and self._books.tally.lost >= LOST_AT_FIRST

    def _give_up(self, letter: Letter, hindered: Hindered) -> StageFailed:
        times, tally = letter.failures + letter.refusals, self._books.tally
        hint = {
            "no connection": "the generator cannot be reached",
            "no completion": "the generator sent no chat completion; check generator.base_url",
            "time-out": "the generator did not answer in time; see generator.timeout_seconds",
        }
        what = hint.get(hindered.reason, f"the generator gave no answer ({hindered.reason})")
        lost = (
            f", {tally.lost} of the requests sent may be billed: at most {tally.lost_usd:.2f} USD" if tally.lost else ""
        )
        return StageFailed(f"{what} (one request was sent {times} times{lost}); {AGAIN}")


def _tokens(request: Request) -> int:
    """What a request counts for in tokens per minute: its prompt, and all it may write."""
    return estimate_input(request.body) + (output_limit(request.body) or 0)


def come_back_after(seconds: float) -> StageFailed:
    when = (datetime.now() + timedelta(seconds=seconds)).strftime("%Y-%m-%d %H:%M")
    return StageFailed(
        f"the generator's limit is reached for the next {math.ceil(seconds / 60)} minutes; answers so far are kept: "
        f"run the same command again after {when}"
    )
