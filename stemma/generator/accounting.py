"""The books of one build: what it asked for, from which purse, and what the ledger already holds."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone

from stemma.errors import Problem, UserError
from stemma.generator.ledger import Entry, Ledger
from stemma.generator.prices import Budget, Mode, Tally, price, worst_case
from stemma.generator.requests import Answer, Request
from stemma.recipe.generator import Generator


class Books:
    def __init__(self, ledger: Ledger, settings: Generator) -> None:
        self.ledger, self._settings = ledger, settings
        self.tally, self.budget = Tally(), Budget(settings.max_cost_usd)
        self.looked_up = 0

    def look_up(self, request: Request) -> Entry | None:
        """The reply that was had before."""
        self.looked_up += 1
        entry = self.ledger.find(request.key)
        if entry:
            self.tally.from_ledger += request.key not in self.tally.asked
            self.count(request, entry)
        return entry

    def enter(self, answers: Mapping[str, Answer], asked: Mapping[str, Request], mode: Mode) -> dict[str, Entry]:
        """Commits fresh answers, by key, before anybody uses them."""
        now, prices = datetime.now(timezone.utc).isoformat(timespec="seconds"), self._settings.prices
        entries = {
            key: Entry(answer, now, mode, price(answer.usage, prices, mode) if prices else None)
            for key, answer in answers.items()
        }
        self.ledger.add((asked[key], entry) for key, entry in entries.items())
        return entries

    def count(self, request: Request, entry: Entry) -> None:
        """A reply that this build asked for, however it came."""
        if request.key not in self.tally.asked:
            self.tally.asked.add(request.key)
            dollars = self.dollars(entry) or 0.0
            self.tally.count(entry.answer.usage, dollars)
            self.budget.spent += dollars

    def dollars(self, entry: Entry) -> float | None:
        """What a reply cost; by today's prices where there was no table at the time; None without any."""
        if entry.cost_usd is not None or self._settings.prices is None:
            return entry.cost_usd
        return price(entry.answer.usage, self._settings.prices, entry.mode)

    def worst_case(self, request: Request) -> float:
        return worst_case(request.body, self._settings.prices, self._settings.mode)

    def refuse(self, waiting: int) -> UserError:
        """Why the next request is not sent."""
        spent, answered = self.budget.spent, len(self.tally.asked)
        found = (
            f"the next request could pass it: {spent:.4f} USD spent, {answered} requests answered, {waiting} waiting"
        )
        return UserError(
            Problem(
                "data.generator.max_cost_usd",
                found,
                f"at most {self.budget.most} USD",
                "what is answered is kept: raise data.generator.max_cost_usd and run the same command again",
            )
        )
