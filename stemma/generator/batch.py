"""Sends requests by the Batch API: half the price, an answer within a day.

Requests are collected until every job waits, then go as one file, whose lines look like this:

    {"custom_id": "5f3a…", "method": "POST", "url": "/v1/chat/completions",
     "body": {"model": "gpt-4o-mini", …}}

The ledger knows of a batch before the server does, so that a killed build finds its batch again and
waits for it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from stemma.errors import StageFailed
from stemma.generator.accounting import Accounting
from stemma.generator.client import RUN_AGAIN, ChatClient, RetryableError
from stemma.generator.ledger import LedgerEntry, PendingBatch
from stemma.generator.requests import (
    PROMPT_ERRORS,
    ChatRequest,
    Completion,
    read_completion,
    refused_completion,
)
from stemma.generator.sending import QueuedRequest

MOST_REQUESTS = 50_000
"""OpenAI's limit for one batch."""
MOST_BYTES = 200_000_000
"""OpenAI's limit for one batch's file."""
FAILURES = 4
"""Batches that leave one request unanswered, after which the build stops."""
POLL_SECONDS = 5.0
LONGEST_POLL_SECONDS = 300.0
ENDED = {"completed", "expired", "failed", "cancelled"}


class _Body(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class _Error(_Body):
    code: str | None = None
    message: str | None = None


class _Response(_Body):
    status_code: int
    body: Any


class _ResultLine(_Body):
    """A line of an output or error file."""

    custom_id: str
    response: _Response | None
    error: _Error | None


class BatchSender:
    """Sends all waiting requests as one batch, and waits for its results."""

    def __init__(
        self, client: ChatClient, accounting: Accounting, server: str, say: Callable[[str], None]
    ) -> None:
        """`server`: whose batches of the ledger these are."""
        self._client = client
        self._accounting = accounting
        self._ledger = accounting.ledger
        self._server = server
        self._say = say
        self._waiting: dict[str, QueuedRequest] = {}
        self._submitted = asyncio.Event()
        self._most_requests = MOST_REQUESTS

    def submit(self, request: ChatRequest) -> asyncio.Future[LedgerEntry]:
        queued = self._waiting.get(request.key)
        if queued is None:
            reply = asyncio.get_running_loop().create_future()
            queued = QueuedRequest(request.order, len(self._waiting), request, reply)
            self._waiting[request.key] = queued
            self._submitted.set()
        return queued.reply

    async def run(self, wait_until_idle: Callable[[], Awaitable[None]]) -> None:
        while True:
            await self._submitted.wait()
            await wait_until_idle()
            try:
                await self._run_batch(sorted(self._waiting.values()))
            except RetryableError as error:
                raise StageFailed(
                    f"the generator's batches cannot be reached ({error.reason}); {RUN_AGAIN}"
                ) from None
            if not self._waiting:
                self._submitted.clear()

    async def wait_for_in_flight(self) -> None:
        """Returns at once: nothing is lost by leaving, since the next run waits for the batch."""

    async def _run_batch(self, waiting: Sequence[QueuedRequest]) -> None:
        """Waits for an earlier run's batch that holds a waiting request, or else for a new one."""
        for batch in self._ledger.pending_batches(self._server):
            if batch.requests.keys() & self._waiting.keys():
                await self._resume(batch)
                return
        chosen = list(self._next_requests(waiting))
        if not chosen:
            raise self._accounting.budget_error(len(waiting))
        reserved = sum(self._accounting.worst_case(request) for request in chosen)
        self._accounting.budget.reserve(reserved)
        batch = self._ledger.plan_batch(self._server, chosen)
        created = await self._client.create_batch(b"".join(map(_line, chosen)), batch.tag)
        self._ledger.name_batch(batch.number, created.id)
        self._accounting.totals.sent += len(chosen)
        await self._collect(batch, created.id)
        self._accounting.budget.release(reserved)

    def _next_requests(self, waiting: Sequence[QueuedRequest]) -> Iterator[ChatRequest]:
        """As many as fit into a batch and into the budget."""
        dollars = 0.0
        size = 0
        for queued in waiting[: self._most_requests]:
            dollars += self._accounting.worst_case(queued.request)
            size += len(_line(queued.request))
            if size > MOST_BYTES or not self._accounting.budget.fits(dollars):
                return
            yield queued.request

    async def _resume(self, batch: PendingBatch) -> None:
        """Waits for a batch of a run that was killed.

        If it was killed before it learnt the batch's id, the tag finds it.
        """
        found = None if batch.id else await self._client.find_batch(batch.tag)
        if found:
            self._ledger.name_batch(batch.number, found.id)
        batch_id = found.id if found else batch.id
        if batch_id is None:
            self._ledger.close_batch(batch.number)
            return
        self._say(
            f"generator: an earlier run's batch {batch_id} holds {len(batch.requests)} requests"
        )
        await self._collect(batch, batch_id)

    async def _collect(self, batch: PendingBatch, batch_id: str) -> None:
        """Waits for a batch and hands out its results."""
        ended = await self._wait(batch_id, len(batch.requests))
        if ended is None:
            # The server forgot it, and its answers with it.
            self._ledger.close_batch(batch.number)
            return
        completions: dict[str, Completion] = {}
        errors: list[StageFailed] = []
        for file_id in (ended.output_file_id, ended.error_file_id):
            lines = (await self._client.download(file_id)).splitlines() if file_id else []
            for line in lines:
                key, result = self._read(line, batch)
                if isinstance(result, Completion):
                    completions[key] = result
                elif result:
                    errors.append(result)
        entries = self._accounting.store(completions, batch.requests, "batch")
        self._ledger.close_batch(batch.number)
        self._hand_out(entries)
        if errors:
            # Raised only now: the other answers are paid for.
            raise errors[0]
        if ended.status in ("failed", "cancelled"):
            self._handle_rejection(ended, len(batch.requests))
        else:
            self._count_failures(batch.requests.keys() - entries.keys())

    async def _wait(self, batch_id: str, count: int) -> Any:
        """The batch once it has ended; None when the server does not know it."""
        seconds = POLL_SECONDS
        while True:
            found = await self._client.show_batch(batch_id)
            if found is None or found.status in ENDED:
                return found
            done = found.request_counts.completed if found.request_counts else 0
            self._say(
                f"generator: batch {batch_id}: {found.status}, {done} of {count} requests answered"
            )
            await asyncio.sleep(seconds)
            seconds = min(LONGEST_POLL_SECONDS, seconds * 1.5)

    def _read(
        self, text: bytes, batch: PendingBatch
    ) -> tuple[str, Completion | StageFailed | None]:
        """A line's key and its result; None: the request is to be sent again."""
        try:
            line = _ResultLine.model_validate_json(text)
            request = batch.requests[line.custom_id].body
        except (ValidationError, KeyError):
            raise StageFailed(
                f"the results of batch {batch.tag} cannot be read; {RUN_AGAIN}"
            ) from None
        status = line.response.status_code if line.response else 0
        if line.response is None or status in (408, 409, 425, 429) or status >= 500:
            return line.custom_id, None
        if status == 200:
            return line.custom_id, read_completion(line.response.body, request)
        error = _error_of(line.response.body)
        if error.code in PROMPT_ERRORS:
            return line.custom_id, refused_completion(error.code, request)
        return line.custom_id, StageFailed(
            f"the generator refused a request of a batch (HTTP {status}): "
            f"{self._client.quote(error.message)}; {RUN_AGAIN}"
        )

    def _hand_out(self, entries: Mapping[str, LedgerEntry]) -> None:
        for key in entries.keys() & self._waiting.keys():
            queued = self._waiting.pop(key)
            self._accounting.count(queued.request, entries[key])
            queued.resolve(entries[key])

    def _count_failures(self, unanswered: set[str]) -> None:
        for key in unanswered & self._waiting.keys():
            self._waiting[key].failures += 1
            self._accounting.totals.retried["batch"] += 1
            if self._waiting[key].failures >= FAILURES:
                raise StageFailed(f"{FAILURES} batches left a request unanswered; {RUN_AGAIN}")

    def _handle_rejection(self, ended: Any, count: int) -> None:
        """Halves a batch too large for the account's queue; any other failure stops the build."""
        errors = (ended.errors.data or []) if ended.errors else []
        codes = {error.code or "" for error in errors}
        if "token_limit_exceeded" not in codes or count == 1:
            reason = self._client.quote(", ".join(sorted(codes))) or "no reason given"
            raise StageFailed(f"the batch was {ended.status} by the server ({reason}); {RUN_AGAIN}")
        self._most_requests = count // 2


def _line(request: ChatRequest) -> bytes:
    line = {
        "custom_id": request.key,
        "method": "POST",
        "url": "/v1/chat/completions",
        "body": request.body,
    }
    return json.dumps(line, ensure_ascii=False).encode() + b"\n"


def _error_of(body: Any) -> _Error:
    try:
        return _Error.model_validate(body["error"])
    except (ValidationError, KeyError, TypeError):
        return _Error()
