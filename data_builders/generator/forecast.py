"""A dry run of the jobs: what they would ask for, in requests, tokens and dollars."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from data_builders.drafts import Ask, Draft, Drop, Job
from data_builders.generator.costs import price
from data_builders.generator.desk import Desk, JobWriter
from data_builders.generator.exchange import Answer, Request, Usage, estimate_input, output_limit
from data_builders.generator.ledger import Entry
from data_builders.generator.structured import example


class Forecast:
    """Runs jobs without a server: what the ledger does not hold counts, and is answered by a placeholder."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._new: dict[str, Entry] = {}

    def __call__(self, jobs: Sequence[Job]) -> list[Draft | Drop]:
        return asyncio.run(self._run(jobs))

    async def _run(self, jobs: Sequence[Job]) -> list[Draft | Drop]:
        return await asyncio.gather(*(job(JobWriter(self._desk, 0, self._fetch)) for job in jobs))

    async def _fetch(self, request: Request, ask: Ask) -> Entry:
        if request.key not in self._new:
            usage = Usage(estimate_input(request.body), 0, output_limit(request.body) or 0)
            text = (
                example(ask.schema).model_dump_json() if ask.schema else f"(no request in a dry run: {request.key[:8]})"
            )
            answer = Answer(text, None, "stop", self._desk.settings.model, usage)
            self._new[request.key] = Entry(answer, datetime.now(UTC).isoformat(), self._desk.settings.mode, None)
        return self._new[request.key]

    def totals(self) -> dict[str, Any]:
        """What is still to be paid: tokens in by four characters each, tokens out at most."""
        settings, usages = self._desk.settings, [entry.answer.usage for entry in self._new.values()]
        dollars = [price(usage, settings.prices, settings.mode) for usage in usages] if settings.prices else None
        return {
            "requests": len(usages),
            "from_ledger": self._desk.books.tally.from_ledger,
            "input_tokens": sum(usage.input for usage in usages),
            "output_tokens_at_most": sum(usage.output for usage in usages),
            "cost_usd_at_most": None if dollars is None else round(sum(dollars), 6),
        }
