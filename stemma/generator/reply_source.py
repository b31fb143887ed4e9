"""The reply to each ask: found in the ledger, or else asked for by requests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from pydantic import BaseModel

from stemma.digests import digest_json
from stemma.errors import Problem, StageFailed, UserError
from stemma.generator.accounting import Accounting
from stemma.generator.client import response_format
from stemma.generator.jobs import Ask, Origin, Reply
from stemma.generator.ledger import LedgerEntry
from stemma.generator.replies import parse
from stemma.generator.requests import INVALID_JSON, ChatRequest, Completion, output_limit
from stemma.recipe.generator import Generator

RESERVED = {"messages", "model", "n", "response_format", "seed", "stream"}
"""Request parameters that the recipe may not set, but for `seed: null`, which some servers need."""
REPLIES_TO_JUDGE_BY = 30
"""Prompts of one kind whose first replies are all unusable, after which that is no accident."""

Fetch = Callable[[ChatRequest, Ask], Awaitable[LedgerEntry]]
"""Gets the answer to a request that the ledger does not hold."""


class ReplyMonitor:
    """Stops a build whose model is of no use, before all its replies are paid for.

    Such as a judge that writes no JSON, or a model that refuses one kind of prompt. Prompts are of
    one kind where their system message and the JSON they ask for agree.
    """

    def __init__(self) -> None:
        self._problems: dict[tuple[str, str], Counter[str]] = {}
        self._useful: set[tuple[str, str]] = set()

    def record(self, ask: Ask, problem: str | None, fresh: bool) -> None:
        """Notes an ask's first reply. Raises StageFailed when too many were unusable.

        Only after a fresh reply: what the ledger holds is paid for already.
        """
        first = ask.messages[0]
        system = first.content if first.role == "system" else ""
        kind = (system, ask.schema.__name__ if ask.schema else "")
        if problem is None:
            self._useful.add(kind)
        if problem is None or kind in self._useful:
            return
        seen = self._problems.setdefault(kind, Counter())
        seen[problem] += 1
        if fresh and seen.total() >= REPLIES_TO_JUDGE_BY:
            raise _useless_model(ask, seen)


def _useless_model(ask: Ask, seen: Counter[str]) -> StageFailed:
    problems = ", ".join(f"{count} x {name}" for name, count in seen.most_common())
    asked = f"prompts for a {ask.schema.__name__.lower()}" if ask.schema else "its prompts"
    return StageFailed(
        f"the generator is of no use for {asked}: of {seen.total()} first replies none can be used "
        f"({problems}); look at generator.model, max_tokens, structured and recipes/prompts. "
        "What was paid for is kept"
    )


@dataclass(frozen=True)
class ReplySource:
    """Turns asks into requests, and completions into replies."""

    settings: Generator
    accounting: Accounting
    server_identity: str | None
    """Part of every key where equal requests have other answers elsewhere (a scripted server)."""
    monitor: ReplyMonitor = field(default_factory=ReplyMonitor)

    def request_for(self, ask: Ask, attempt: int, order: int) -> ChatRequest:
        """The request of an ask's n-th attempt, from 0; each attempt has a seed of its own."""
        seed = ask.seed if attempt == 0 else int(digest_json([ask.seed, attempt])[:7], 16)
        body = self._body(ask, seed)
        # The seed is part of the key even where `seed: null` keeps it from the server.
        told_apart: dict[str, Any] = {"seed": seed}
        if self.server_identity:
            told_apart["server"] = self.server_identity
        return ChatRequest(digest_json({**body, **told_apart}), body, order)

    def _body(self, ask: Ask, seed: int) -> dict[str, Any]:
        settings = self.settings
        wanted = None
        if ask.schema is not None and settings.structured != "none":
            wanted = response_format(ask.schema, settings.structured)
        parameters = {
            "model": settings.model,
            "messages": [asdict(message) for message in ask.messages],
            "temperature": settings.temperature,
            "max_tokens": settings.max_tokens,
            "seed": seed,
            "response_format": wanted,
            **settings.parameters,
        }
        return {name: value for name, value in parameters.items() if value is not None}

    async def reply_to(self, ask: Ask, order: int, fetch: Fetch) -> Reply:
        """The first usable reply, or the last attempt's with its problem."""
        entries: list[LedgerEntry] = []
        while True:
            request = self.request_for(ask, len(entries), order)
            held = self.accounting.look_up(request)
            entry = held or await fetch(request, ask)
            entries.append(entry)
            value, problem = _read(entry.completion, ask.schema)
            if len(entries) == 1:
                self.monitor.record(ask, problem, fresh=held is None)
            if problem:
                self.accounting.totals.unusable[request.key] = problem
            if problem is None or len(entries) == self.settings.attempts:
                text = (entry.completion.text or "").strip()
                return Reply(text, self._origin(ask, entries), value, problem, entry.placeholder)

    def _origin(self, ask: Ask, entries: Sequence[LedgerEntry]) -> Origin:
        last = entries[-1]
        costs = [self.accounting.cost_usd(entry) for entry in entries]
        known = [cost for cost in costs if cost is not None]
        return Origin(
            model=last.completion.model,
            date=last.answered_at[:10],
            prompt_sha256=digest_json([asdict(message) for message in ask.messages]),
            requests=len(entries),
            cost_usd=sum(known) if len(known) == len(costs) else None,
        )


def _read(
    completion: Completion, schema: type[BaseModel] | None
) -> tuple[BaseModel | None, str | None]:
    """The JSON in a completion, where one was asked for, and why the completion is unusable."""
    problem = completion.problem()
    if problem or schema is None:
        return None, problem
    value = parse(completion.text or "", schema)
    return value, None if value is not None else INVALID_JSON


@dataclass(frozen=True)
class LedgerWriter:
    """Answers the asks of one job: from the ledger, or else by `fetch`."""

    replies: ReplySource
    order: int
    """The job's place among all: earlier jobs' requests go first."""
    fetch: Fetch

    async def ask(self, ask: Ask) -> Reply:
        return await self.replies.reply_to(ask, self.order, self.fetch)


def check_settings(settings: Generator) -> None:
    """Raises UserError for settings that cannot work."""
    where = f"{settings.place}.parameters"
    given = settings.parameters
    forbidden = RESERVED & given.keys()
    if "seed" in given and given["seed"] is None:
        forbidden -= {"seed"}
    problems = [
        Problem(where, f"`{name}` is set by Stemma", "another request parameter")
        for name in sorted(forbidden)
    ]
    limits = {"max_tokens": settings.max_tokens, **given}
    if settings.max_cost_usd is not None and output_limit(limits) is None:
        found = "no limit for the length of a reply, so max_cost_usd cannot be kept"
        problems.append(Problem(where, found, "max_tokens or max_completion_tokens"))
    if problems:
        raise UserError(problems)
