"""A dry run of the jobs: the requests, tokens and dollars they would need.

A placeholder is as long as the longest reply, so that a judge who reads it is counted with a full
prompt.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from stemma.generator.accounting import Accounting
from stemma.generator.jobs import AnyResult, Ask, Job
from stemma.generator.ledger import LedgerEntry, peek_ledger
from stemma.generator.prices import price, worst_case
from stemma.generator.replies import example
from stemma.generator.reply_source import LedgerWriter, ReplySource, check_settings
from stemma.generator.requests import (
    CHARACTERS_PER_TOKEN,
    ChatRequest,
    Completion,
    TokenUsage,
    estimate_input,
    output_limit,
)
from stemma.recipe.generator import Generator


class DryRun:
    """Runs jobs without a server: counts requests that the ledger does not answer.

    Each is answered by a placeholder.
    """

    def __init__(self, replies: ReplySource) -> None:
        self._replies = replies
        self._settings = replies.settings
        self._new: dict[str, LedgerEntry] = {}
        self._requests: dict[str, ChatRequest] = {}
        self._in_reserve: set[str] = set()

    def __call__(self, jobs: Sequence[Job[AnyResult]]) -> list[AnyResult]:
        """The jobs' results, made of placeholders where the ledger holds no reply."""
        return asyncio.run(self._run(jobs))

    async def _run(self, jobs: Sequence[Job[AnyResult]]) -> list[AnyResult]:
        writer = LedgerWriter(self._replies, 0, self._fetch)
        return await asyncio.gather(*(job(writer) for job in jobs))

    async def _fetch(self, request: ChatRequest, ask: Ask) -> LedgerEntry:
        if request.key not in self._new:
            self._new[request.key] = self._placeholder(request, ask)
            self._requests[request.key] = request
            if ask.in_reserve:
                self._in_reserve.add(request.key)
        return self._new[request.key]

    def _placeholder(self, request: ChatRequest, ask: Ask) -> LedgerEntry:
        longest = output_limit(request.body) or 0
        if ask.schema:
            text = example(ask.schema).model_dump_json()
        else:
            text = f"(no request in a dry run: {request.key[:8]})"
            text = text.ljust(longest * CHARACTERS_PER_TOKEN, ".")
        usage = TokenUsage(estimate_input(request.body), 0, longest)
        completion = Completion(text, None, "stop", self._settings.model, usage)
        now = datetime.now(timezone.utc).isoformat()
        return LedgerEntry(completion, now, self._settings.mode, None, placeholder=True)

    def totals(self) -> dict[str, Any]:
        """What is still to be paid: tokens in by four characters each, the rest at most.

        `cost_usd_about`: every reply is good at once, and as long as it may be. `cost_usd_at_most`:
        every one is asked for as often as the recipe allows, in a prompt of one-byte tokens. None
        without prices, and where nothing limits a reply's length. Replies that are lost on the way
        come on top.
        """
        first = [
            entry.completion.usage
            for key, entry in self._new.items()
            if key not in self._in_reserve
        ]
        bounded = all(output_limit(each.body) is not None for each in self._requests.values())
        about, at_most = self._costs(first) if bounded else (None, None)
        return {
            "requests": len(first),
            "from_ledger": self._replies.accounting.totals.from_ledger,
            "input_tokens": sum(usage.input for usage in first),
            "output_tokens_at_most": sum(usage.output for usage in first) if bounded else None,
            "cost_usd_about": about,
            "cost_usd_at_most": at_most,
        }

    def _costs(self, first: Sequence[TokenUsage]) -> tuple[float | None, float | None]:
        """USD about and at most; None without prices."""
        prices = self._settings.prices
        mode = self._settings.mode
        if prices is None:
            return None, None
        about = sum(price(usage, prices, mode) for usage in first)
        worst = sum(worst_case(each.body, prices, mode) for each in self._requests.values())
        return round(about, 6), round(worst * self._settings.attempts, 6)


def dry_run(settings: Generator, ledger_path: Path, server_identity: str | None) -> DryRun:
    """A dry run by the recipe's settings; reads the ledger where there is one, and writes nothing.

    `server_identity` as in the `ModelServer` that would be asked.
    """
    check_settings(settings)
    accounting = Accounting(peek_ledger(ledger_path), settings)
    return DryRun(ReplySource(settings, accounting, server_identity))
