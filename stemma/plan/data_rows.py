"""The data stage in a plan: built already, counted from its sources, or not countable and why."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from stemma.errors import UserError
from stemma.facts import generator_facts
from stemma.recipe.models import Recipe
from stemma.runs import Run
from stemma.stages import Forecast, forecast

FREE = "nothing is asked of a paid server"


@dataclass(frozen=True)
class DataPlan:
    """The rows and dollars to expect of the data stage."""

    counted: Forecast | None
    """Rows counted from the sources; None when the data is built, or cannot be counted."""
    dollars: float | None
    """Still to be paid to the generator's server, at most; None: not known."""
    basis: str
    """The reason for that figure, in words."""
    uncounted: str = ""
    """The reason why rows could not be counted."""


NOT_COUNTED = DataPlan(None, None, "not counted")


def plan_data(recipe: Recipe, run: Run, say: Callable[[str], None]) -> DataPlan:
    """The data stage's rows and dollars.

    Reads the sources if the data is not built yet: up to a minute for large ones.
    """
    if run.read_manifest("data") is not None:
        generator = generator_facts(run)
        spent = generator.cost_usd if generator else None
        cost = f" and has cost {spent:,.2f} dollars" if spent else ""
        return DataPlan(None, 0.0, f"the data is built{cost}")
    paid = recipe.data.generator is not None and recipe.data.generator.server != "scripted-expert"
    try:
        counted = forecast(recipe, run, say)
    except UserError as error:
        problem = error.problems[0]
        more = f" (and {len(error.problems) - 1} problems more)" if len(error.problems) > 1 else ""
        why = f"{problem.where}: {_short(problem.found)}{more}"
        if paid:
            return DataPlan(None, None, "requests not counted", why)
        return DataPlan(None, 0.0, FREE, why)
    return DataPlan(counted, *_cost(recipe, counted, paid))


def forecast_lines(recipe: Recipe, run: Run, say: Callable[[str], None]) -> list[str]:
    """Requests to the generator, their cost, and the rows to expect: for `--dry-run`."""
    found = forecast(recipe, run, say)
    unlimited = found.spent.get("output_tokens_at_most", 0) is None
    why = "no limit for a reply's length" if unlimited else "no price table"
    lines = []
    for name, count in found.spent.items():
        known = f"unknown: {why}" if count is None else f"{count:,}"
        lines.append(f"{name.replace('_', ' ')}: {known}")
    for kind, rows in found.rows.items():
        expected = len(rows) + found.generated.get(kind, 0)
        lines.append(f"{kind} rows to train on: {expected:,}")
    return lines


def _cost(recipe: Recipe, counted: Forecast, paid: bool) -> tuple[float | None, str]:
    """(dollars at most, the reason for that figure)."""
    settings = recipe.data.generator
    spent = counted.spent
    if not paid or settings is None or not spent["requests"]:
        return 0.0, FREE
    longest = spent["output_tokens_at_most"]
    out = "any number out (`max_tokens` is null)" if longest is None else f"{longest:,} out at most"
    requests = f"{spent['requests']:,} requests to `{settings.model}`"
    asked = f"{requests}, {spent['input_tokens']:,} tokens in, {out}"
    if spent["from_ledger"]:
        asked += f"; {spent['from_ledger']:,} more are in the ledger"
    if spent["cost_usd_at_most"] is None:
        no_table = "no price table (`data.generator.prices`)"
        return None, f"{no_table if settings.prices is None else 'no bound'}: {asked}"
    about = f"about {spent['cost_usd_about']:,.2f} dollars if all replies are good"
    return spent["cost_usd_at_most"], f"{asked}; {about}"


def _short(found: str) -> str:
    """The first of a list of files, and how many more there are."""
    first, *others = found.splitlines()[0].split(", ")
    return f"{first} and {len(others)} more" if others else first
