"""Carries requests by the Batch API: half the price, an answer within a day.

Requests are collected until every job waits, then go as one file, whose lines look like this:

    {"custom_id": "5f3a…", "method": "POST", "url": "/v1/chat/completions", "body": {"model": "gpt-4o-mini", …}}

The ledger knows of a batch before the server does, so that a killed build finds its batch again and waits for it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from stemma.errors import StageFailed
from stemma.generator.accounting import Books
from stemma.generator.client import AGAIN, Hindered, Wire
from stemma.generator.ledger import Batch, Entry
from stemma.generator.requests import ROW_ERRORS, Answer, Request, read_completion, refuse_row
from stemma.generator.sending import Letter

MOST_REQUESTS, MOST_BYTES = 50_000, 200_000_000
"""OpenAI's limits for one batch."""
FAILURES = 4
"""So many batches may leave one request unanswered before the build stops."""
POLL_SECONDS, LONGEST_POLL_SECONDS = 5.0, 300.0
ENDED = {"completed", "expired", "failed", "cancelled"}


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class _Error(_Part):
    code: str | None = None
    message: str | None = None


class _Response(_Part):
    status_code: int
    body: Any


class _Line(_Part):
    """A line of an output or error file."""

    custom_id: str
    response: _Response | None
    error: _Error | None


class BatchSender:
    def __init__(self, wire: Wire, books: Books, server: str, say: Callable[[str], None]) -> None:
        """`server`: whose batches of the ledger these are."""
        self._wire, self._books, self._server, self._say = wire, books, server, say
        self._letters: dict[str, Letter] = {}
        self._posted = asyncio.Event()
        self._most_requests = MOST_REQUESTS

    def post(self, request: Request) -> asyncio.Future[Entry]:
        """The reply to come. Equal requests share one."""
        letter = self._letters.get(request.key)
        if letter is None:
            reply = asyncio.get_running_loop().create_future()
            letter = self._letters[request.key] = Letter(request.order, len(self._letters), request, reply)
            self._posted.set()
        return letter.reply

    async def run(self, settled: Callable[[], Awaitable[None]]) -> None:
        """Sends what is posted, until cancelled. Raises what stops it."""
        while True:
            await self._posted.wait()
            await settled()
            try:
                await self._deliver(sorted(self._letters.values()))
            except Hindered as hindered:
                said = f"the generator's batches cannot be reached ({hindered.reason}); {AGAIN}"
                raise StageFailed(said) from None
            if not self._letters:
                self._posted.clear()

    async def drain(self) -> None:
        """Nothing is lost by leaving: the next run waits for the open batch."""

    async def _deliver(self, waiting: Sequence[Letter]) -> None:
        """An earlier run's batch, where one holds what is waited for; otherwise a new one."""
        for batch in self._books.ledger.open_batches(self._server):
            if batch.requests.keys() & self._letters.keys():
                await self._adopt(batch)
                return
        chunk = list(self._next_chunk(waiting))
        if not chunk:
            raise self._books.refuse(len(waiting))
        reserved = sum(self._books.worst_case(letter.request) for letter in chunk)
        self._books.budget.reserve(reserved)
        batch = self._books.ledger.plan_batch(self._server, [letter.request for letter in chunk])
        created = await self._wire.create_batch(b"".join(_line(letter.request) for letter in chunk), batch.tag)
        self._books.ledger.name_batch(batch.number, created.id)
        self._books.tally.sent += len(chunk)
        await self._collect(batch, created.id)
        self._books.budget.release(reserved)

    def _next_chunk(self, waiting: Sequence[Letter]) -> Iterator[Letter]:
        dollars, size = 0.0, 0
        for letter in waiting[: self._most_requests]:
            dollars += self._books.worst_case(letter.request)
            size += len(_line(letter.request))
            if size > MOST_BYTES or not self._books.budget.fits(dollars):
                return
            yield letter

    async def _adopt(self, batch: Batch) -> None:
        """Waits for a batch of a run that was killed; if it was killed before it learnt the id, looks for the tag."""
        found = None if batch.id else await self._wire.find_batch(batch.tag)
        if found:
            self._books.ledger.name_batch(batch.number, found.id)
        batch_id = found.id if found else batch.id
        if batch_id is None:
            self._books.ledger.close_batch(batch.number)
            return
        self._say(f"generator: an earlier run's batch {batch_id} holds {len(batch.requests)} requests")
        await self._collect(batch, batch_id)

    async def _collect(self, batch: Batch, batch_id: str) -> None:
        ended = await self._wait(batch_id, len(batch.requests))
        if ended is None:  # the server forgot it, and its answers with it
            self._books.ledger.close_batch(batch.number)
            return
        answers: dict[str, Answer] = {}
        refused: list[StageFailed] = []
        for file_id in (ended.output_file_id, ended.error_file_id):
            for line in (await self._wire.download(file_id)).splitlines() if file_id else ():
                key, answer = self._read(line, batch)
                if isinstance(answer, Answer):
                    answers[key] = answer
                elif answer:
                    refused.append(answer)
        entries = self._books.enter(answers, batch.requests, "batch")
        self._books.ledger.close_batch(batch.number)
        self._hand_out(entries)
        if refused:  # only now: the other answers are paid for
            raise refused[0]
        if ended.status in ("failed", "cancelled"):
            codes = {error.code or "" for error in (ended.errors.data or [] if ended.errors else [])}
            self._give_way(ended.status, codes, len(batch.requests))
        else:
            self._count_failures(batch.requests.keys() - entries.keys())

    async def _wait(self, batch_id: str, count: int) -> Any:
        seconds = POLL_SECONDS
        while True:
            found = await self._wire.show_batch(batch_id)
            if found is None or found.status in ENDED:
                return found
            done = found.request_counts.completed if found.request_counts else 0
            self._say(f"generator: batch {batch_id}: {found.status}, {done} of {count} requests answered")
            await asyncio.sleep(seconds)
            seconds = min(LONGEST_POLL_SECONDS, seconds * 1.5)

    def _read(self, text: bytes, batch: Batch) -> tuple[str, Answer | StageFailed | None]:
        """A line's key, and its answer; None: to be asked again."""
        try:
            line = _Line.model_validate_json(text)
            request = batch.requests[line.custom_id].body
        except (ValidationError, KeyError):
            raise StageFailed(f"the results of batch {batch.tag} cannot be read; {AGAIN}") from None
        status = line.response.status_code if line.response else 0
        if line.response is None or status in (408, 409, 425, 429) or status >= 500:
            return line.custom_id, None
        if status == 200:
            return line.custom_id, read_completion(line.response.body, request)
        code, message = _error_of(line.response.body)
        if code in ROW_ERRORS:
            return line.custom_id, refuse_row(code, request)
        said = self._wire.quote(message)
        return line.custom_id, StageFailed(
            f"the generator refused a request of a batch (HTTP {status}): {said}; {AGAIN}"
        )

    def _hand_out(self, entries: dict[str, Entry]) -> None:
        for key in entries.keys() & self._letters.keys():
            letter = self._letters.pop(key)
            self._books.count(letter.request, entries[key])
            letter.resolve(entries[key])

    def _count_failures(self, unanswered: set[str]) -> None:
        for key in unanswered & self._letters.keys():
            self._letters[key].failures += 1
            self._books.tally.retried["batch"] += 1
            if self._letters[key].failures >= FAILURES:
                raise StageFailed(f"{FAILURES} batches left a request unanswered; {AGAIN}")

    def _give_way(self, status: str, codes: set[str], count: int) -> None:
        """A batch too large for the account's queue goes in halves; any other failure stops the build."""
        if "token_limit_exceeded" not in codes or count == 1:
            said = self._wire.quote(", ".join(sorted(codes)))
            raise StageFailed(f"the batch was {status} by the server ({said or 'no reason given'}); {AGAIN}")
        self._most_requests = count // 2


def _line(request: Request) -> bytes:
    line = {"custom_id": request.key, "method": "POST", "url": "/v1/chat/completions", "body": request.body}
    return json.dumps(line, ensure_ascii=False).encode() + b"\n"


def _error_of(body: Any) -> tuple[str, str]:
    try:
        error = _Error.model_validate(body["error"])
    except (ValidationError, KeyError, TypeError):
        return "", ""
    return error.code or "", error.message or ""
