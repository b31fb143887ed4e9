"""Where sources ask: turns what they ask into requests, and what the ledger holds into replies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass, field

from pydantic import BaseModel

from data_builders.flow import Ask, Origin, Reply
from stemma.errors import Problem, StageFailed, UserError
from stemma.generator.accounting import Books
from stemma.generator.client import response_format
from stemma.generator.ledger import Entry
from stemma.generator.replies import parse
from stemma.generator.requests import GARBAGE, Answer, Request, output_limit
from stemma.recipe.generator import Generator
from stemma.runs import digest_json

RESERVED = {"messages", "model", "n", "response_format", "seed", "stream"}
"""Request parameters that are not the recipe's to set (`seed: null`, for a server that refuses it, is)."""

Fetch = Callable[[Request, Ask], Awaitable[Entry]]
ENOUGH_REPLIES = 30
"""So many prompts of one kind, none of whose first replies can be used, are no accident."""


class ReplyWatch:
    """Notices a generator that is of no use before all its replies are paid for: a judge that writes no JSON, a model
    that refuses one kind of prompt. Prompts are of a kind where their system turn and the JSON they ask for agree."""

    def __init__(self) -> None:
        self._problems: dict[tuple[str, str], Counter[str]] = {}
        self._useful: set[tuple[str, str]] = set()

    def see(self, ask: Ask, problem: str | None, fresh: bool) -> None:
        """Raises StageFailed after a fresh reply that is one too many; what the ledger holds is paid for already."""
        first = ask.messages[0]
        kind = (first.content if first.role == "system" else "", ask.schema.__name__ if ask.schema else "")
        if problem is None:
            self._useful.add(kind)
        if problem is None or kind in self._useful:
            return
        seen = self._problems.setdefault(kind, Counter())
        seen[problem] += 1
        if fresh and seen.total() >= ENOUGH_REPLIES:
            told = ", ".join(f"{count} x {name}" for name, count in seen.most_common())
            asked = f"prompts for a {ask.schema.__name__.lower()}" if ask.schema else "its prompts"
            raise StageFailed(
                f"the generator is of no use for {asked}: of {seen.total()} first replies none can be used ({told}); "
                "look at generator.model, max_tokens, structured and recipes/prompts. What was paid for is kept"
            )


@dataclass(frozen=True)
class Desk:
    """Turns what sources ask into requests, and entries of the ledger into replies."""

    settings: Generator
    books: Books
    server: str | None
    """Part of every key where the same request has another answer elsewhere: the scripted expert's seed."""
    watch: ReplyWatch = field(default_factory=ReplyWatch)

    def request(self, ask: Ask, attempt: int, order: int) -> Request:
        """The request for an ask's n-th attempt; its seed makes it another request than the first."""
        settings, seed = self.settings, ask.seed if attempt == 0 else int(digest_json([ask.seed, attempt])[:7], 16)
        structured = ask.schema is not None and settings.structured != "none"
        given = {
            "model": settings.model,
            "messages": [asdict(message) for message in ask.messages],
            "temperature": settings.temperature,
            "max_tokens": settings.max_tokens,
            "seed": seed,
            "response_format": response_format(ask.schema, settings.structured) if structured else None,
            **settings.parameters,
        }
        body = {name: value for name, value in given.items() if value is not None}
        told_apart = {"seed": seed} | ({"server": self.server} if self.server else {})
        return Request(digest_json({**body, **told_apart}), body, order)

    async def reply(self, ask: Ask, order: int, fetch: Fetch) -> Reply:
        """The first usable reply, or the last with its problem."""
        entries: list[Entry] = []
        while True:
            request = self.request(ask, len(entries), order)
            held = self.books.look_up(request)
            entries.append(held or await fetch(request, ask))
            value, problem = _judge(entries[-1].answer, ask.schema)
            if len(entries) == 1:
                self.watch.see(ask, problem, fresh=held is None)
            if problem:
                self.books.tally.unusable[request.key] = problem
            if problem is None or len(entries) == self.settings.attempts:
                text = (entries[-1].answer.text or "").strip()
                return Reply(text, self._origin(ask, entries), value, problem, entries[-1].placeholder)

    def _origin(self, ask: Ask, entries: Sequence[Entry]) -> Origin:
        costs = [self.books.dollars(entry) for entry in entries]
        prompt = digest_json([asdict(message) for message in ask.messages])
        last, known = entries[-1], [cost for cost in costs if cost is not None]
        total = sum(known) if len(known) == len(costs) else None
        return Origin(last.answer.model, last.answered[:10], prompt, len(entries), total)


def _judge(answer: Answer, schema: type[BaseModel] | None) -> tuple[BaseModel | None, str | None]:
    problem = answer.problem()
    if problem or schema is None:
        return None, problem
    value = parse(answer.text or "", schema)
    return value, None if value is not None else GARBAGE


@dataclass(frozen=True)
class JobWriter:
    """What one job asks with."""

    desk: Desk
    order: int
    fetch: Fetch

    async def ask(self, ask: Ask) -> Reply:
        return await self.desk.reply(ask, self.order, self.fetch)


def check(settings: Generator) -> None:
    """Raises UserError for settings that cannot work."""
    where, given = "data.generator.parameters", settings.parameters
    problems = [
        Problem(where, f"`{name}` is set by Stemma", "another request parameter")
        for name in sorted(RESERVED & given.keys() - {name for name in ("seed",) if given.get(name, 0) is None})
    ]
    probe = {"max_tokens": settings.max_tokens, **given}
    if settings.max_cost_usd is not None and output_limit(probe) is None:
        found = "no limit for the length of a reply, so max_cost_usd cannot be kept"
        problems.append(Problem(where, found, "max_tokens or max_completion_tokens"))
    if problems:
        raise UserError(problems)
