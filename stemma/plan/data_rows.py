"""What `plan` knows of the data stage: built already, counted from its sources, or not to be counted and why."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from stemma.errors import UserError
from stemma.recipe.models import Recipe
from stemma.runs import Run
from stemma.stages import Forecast, forecast

FREE = "nothing is asked of a paid server"


@dataclass(frozen=True)
class Foreseen:
    """`counted` from the sources; None when the data is built, or for the reason in `uncounted`. `dollars` still to be
    paid to the generator's server at most (None: not known), and what that figure rests on."""

    counted: Forecast | None
    dollars: float | None
    said: str
    uncounted: str = ""


NOT_COUNTED = Foreseen(None, None, "not counted")


def foresee(recipe: Recipe, run: Run, say: Callable[[str], None]) -> Foreseen:
    """Reads the sources where they are there and the data is not built: up to a minute for large ones."""
    built = run.read_manifest("data")
    if built is not None:
        spent = built.facts.get("generator", {}).get("cost_usd")
        return Foreseen(None, 0.0, "the data is built" + (f" and has cost {spent:,.2f} dollars" if spent else ""))
    paid = recipe.data.generator is not None and recipe.data.generator.server != "scripted-expert"
    try:
        counted = forecast(recipe, run, say)
    except UserError as error:
        problem = error.problems[0]
        more = f" (and {len(error.problems) - 1} problems more)" if len(error.problems) > 1 else ""
        why = f"{problem.where}: {_short(problem.found)}{more}"
        return Foreseen(None, None if paid else 0.0, "requests not counted" if paid else FREE, why)
    return Foreseen(counted, *_cost(recipe, counted, paid))


def forecast_lines(recipe: Recipe, run: Run, say: Callable[[str], None]) -> list[str]:
    """What building the data would ask of the generator, what that costs, and what it would give. For `--dry-run`."""
    found = forecast(recipe, run, say)
    why = "no limit for a reply's length" if found.spent.get("output_tokens_at_most", 0) is None else "no price table"
    spent = {name: f"unknown: {why}" if n is None else f"{n:,}" for name, n in found.spent.items()}
    rows = {kind: f"{len(rows) + found.generated.get(kind, 0):,}" for kind, rows in found.rows.items()}
    told = {name.replace("_", " "): n for name, n in spent.items()} | {
        f"{k} rows to train on": n for k, n in rows.items()
    }
    return [f"{name}: {n}" for name, n in told.items()]


def _cost(recipe: Recipe, counted: Forecast, paid: bool) -> tuple[float | None, str]:
    if not paid or recipe.data.generator is None or not counted.spent["requests"]:
        return 0.0, FREE
    spent, settings = counted.spent, recipe.data.generator
    asked = f"{spent['requests']:,} requests to `{settings.model}`, {spent['input_tokens']:,} tokens in, "
    longest = spent["output_tokens_at_most"]
    asked += "any number out (`max_tokens` is null)" if longest is None else f"{longest:,} out at most"
    if spent["from_ledger"]:
        asked += f"; {spent['from_ledger']:,} more are in the ledger"
    if spent["cost_usd_at_most"] is None:
        unknown = "no price table (`data.generator.prices`)" if settings.prices is None else "no bound"
        return None, f"{unknown}: {asked}"
    return spent["cost_usd_at_most"], f"{asked}; about {spent['cost_usd_about']:,.2f} dollars if all replies are good"


def _short(found: str) -> str:
    """The first of a list of files, and how many more there are."""
    first, *others = found.splitlines()[0].split(", ")
    return f"{first} and {len(others)} more" if others else first
