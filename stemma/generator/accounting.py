"""Accounting of one build: what it asked for, what that cost, and what the ledger already holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from stemma.errors import Problem, UserError
from stemma.generator.ledger import Ledger, LedgerEntry
from stemma.generator.prices import CostBudget, Mode, price, worst_case
from stemma.generator.requests import ChatRequest, Completion, TokenUsage
from stemma.recipe.generator import Generator


@dataclass
class RequestTotals:
    """Totals of a build's requests. A request counts once, however many results share its reply."""

    asked: set[str] = field(default_factory=set)
    """Keys of all requests that were answered, whether from the ledger or by the server."""
    from_ledger: int = 0
    sent: int = 0
    retried: Counter[str] = field(default_factory=Counter)
    """Requests sent again, by the reason why no reply had come."""
    unusable: dict[str, str] = field(default_factory=dict)
    """Why a reply cannot be used, by its request's key."""
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0
    lost: int = 0
    """Requests that were sent and brought no reply, though the server may bill them."""
    lost_usd: float = 0.0
    """What the lost requests cost at most."""

    def count_lost(self, dollars: float) -> None:
        self.lost += 1
        self.lost_usd += dollars

    def count_billed(self, usage: TokenUsage, dollars: float) -> None:
        self.input_tokens += usage.input
        self.cached_tokens += usage.cached
        self.output_tokens += usage.output
        self.cost_usd += dollars

    def __str__(self) -> str:
        text = (
            f"{self.from_ledger} replies from the ledger, {self.sent} requests sent, "
            f"{self.cost_usd:.2f} USD"
        )
        if self.lost:
            text += f" and at most {self.lost_usd:.2f} USD for {self.lost} lost replies"
        return text

    def for_manifest(self) -> dict[str, Any]:
        return {
            "requests": len(self.asked),
            "from_ledger": self.from_ledger,
            "sent": self.sent,
            "retried": dict(sorted(self.retried.items())),
            "unusable": dict(sorted(Counter(self.unusable.values()).items())),
            "input_tokens": self.input_tokens,
            "cached_tokens": self.cached_tokens,
            "output_tokens": self.output_tokens,
            "cost_usd": round(self.cost_usd, 6),
            "lost": self.lost,
            "lost_usd_at_most": round(self.lost_usd, 6),
        }


class Accounting:
    """Counts and prices a build's requests, and keeps the replies in the ledger."""

    def __init__(self, ledger: Ledger, settings: Generator) -> None:
        self.ledger = ledger
        self.totals = RequestTotals()
        self.budget = CostBudget(settings.max_cost_usd)
        self.lookups = 0
        self.settings = settings

    def look_up(self, request: ChatRequest) -> LedgerEntry | None:
        """The reply in the ledger; None when the request was never answered."""
        self.lookups += 1
        entry = self.ledger.find(request.key)
        if entry:
            self.totals.from_ledger += request.key not in self.totals.asked
            self.count(request, entry)
        return entry

    def store(
        self, completions: Mapping[str, Completion], asked: Mapping[str, ChatRequest], mode: Mode
    ) -> dict[str, LedgerEntry]:
        """Commits fresh completions, by their requests' keys, before anybody uses them."""
        now = datetime.now(timezone.utc).isoformat(timespec="seconds")
        prices = self.settings.prices
        entries = {
            key: LedgerEntry(
                completion, now, mode, price(completion.usage, prices, mode) if prices else None
            )
            for key, completion in completions.items()
        }
        self.ledger.add((asked[key], entry) for key, entry in entries.items())
        return entries

    def count(self, request: ChatRequest, entry: LedgerEntry) -> None:
        """Adds a reply that this build asked for, from the ledger or the server, to the totals."""
        if request.key not in self.totals.asked:
            self.totals.asked.add(request.key)
            dollars = self.cost_usd(entry) or 0.0
            self.totals.count_billed(entry.completion.usage, dollars)
            self.budget.spent += dollars

    def cost_usd(self, entry: LedgerEntry) -> float | None:
        """The cost of a reply; None without any price table.

        Where there was no table when the reply came, today's is taken.
        """
        if entry.cost_usd is not None or self.settings.prices is None:
            return entry.cost_usd
        return price(entry.completion.usage, self.settings.prices, entry.mode)

    def worst_case(self, request: ChatRequest) -> float:
        """USD that the request cannot pass."""
        return worst_case(request.body, self.settings.prices, self.settings.mode)

    def budget_error(self, waiting: int) -> UserError:
        """The error that stops a build whose next request could pass the budget."""
        found = (
            f"the next request could pass it: {self.budget.spent:.4f} USD spent, "
            f"{len(self.totals.asked)} requests answered, {waiting} waiting"
        )
        where = f"{self.settings.place}.max_cost_usd"
        hint = f"what is answered is kept: raise {where} and run the same command again"
        expected = f"at most {self.budget.most} USD"
        return UserError(Problem(where, found, expected, hint))
