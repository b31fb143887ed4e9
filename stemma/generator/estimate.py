"""A dry run of the jobs: what they would ask for, in requests, tokens and dollars.

A placeholder is as long as the longest reply, so that the judge who reads it is counted with a full prompt.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any

from data_builders.flow import Ask, Draft, Drop, Job
from stemma.generator.jobs import Desk, JobWriter
from stemma.generator.ledger import Entry
from stemma.generator.prices import price, worst_case
from stemma.generator.replies import example
from stemma.generator.requests import Answer, Request, Usage, estimate_input, output_limit

CHARACTERS_PER_TOKEN = 4


class Forecast:
    """Runs jobs without a server: what the ledger does not hold counts, and is answered by a placeholder."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._new: dict[str, Entry] = {}
        self._requests: dict[str, Request] = {}
        self._in_reserve: set[str] = set()

    def __call__(self, jobs: Sequence[Job]) -> list[Draft | Drop]:
        return asyncio.run(self._run(jobs))

    async def _run(self, jobs: Sequence[Job]) -> list[Draft | Drop]:
        return await asyncio.gather(*(job(JobWriter(self._desk, 0, self._fetch)) for job in jobs))

    async def _fetch(self, request: Request, ask: Ask) -> Entry:
        if request.key not in self._new:
            longest = output_limit(request.body) or 0
            usage = Usage(estimate_input(request.body), 0, longest)
            said = f"(no request in a dry run: {request.key[:8]})".ljust(longest * CHARACTERS_PER_TOKEN, ".")
            text = example(ask.schema).model_dump_json() if ask.schema else said
            answer = Answer(text, None, "stop", self._desk.settings.model, usage)
            now, mode = datetime.now(timezone.utc).isoformat(), self._desk.settings.mode
            self._new[request.key] = Entry(answer, now, mode, None, placeholder=True)
            self._requests[request.key] = request
            if ask.in_reserve:
                self._in_reserve.add(request.key)
        return self._new[request.key]

    def totals(self) -> dict[str, Any]:
        """What is still to be paid: tokens in by four characters each, tokens out and dollars at most.

        `cost_usd_about`: every reply is good at once, and as long as it may be. `cost_usd_at_most`: every one is asked
        for as often as the recipe allows, in a prompt of one-byte tokens. None without prices, and
        where nothing limits a reply's length. Replies that are lost on the way come on top.
        """
        settings = self._desk.settings
        first = [entry.answer.usage for key, entry in self._new.items() if key not in self._in_reserve]
        bounded = all(output_limit(request.body) is not None for request in self._requests.values())
        about = at_most = None
        if bounded and (prices := settings.prices):
            about = round(sum(price(usage, prices, settings.mode) for usage in first), 6)
            worst = sum(worst_case(request.body, prices, settings.mode) for request in self._requests.values())
            at_most = round(worst * settings.attempts, 6)
        return {
            "requests": len(first),
            "from_ledger": self._desk.books.tally.from_ledger,
            "input_tokens": sum(usage.input for usage in first),
            "output_tokens_at_most": sum(usage.output for usage in first) if bounded else None,
            "cost_usd_about": about,
            "cost_usd_at_most": at_most,
        }
