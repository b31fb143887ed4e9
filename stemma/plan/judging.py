"""The judges of an evaluation in a plan: their requests and dollars, and what they already cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stemma.errors import UserError
from stemma.freshness import is_fresh
from stemma.recipe.evaluation import Judging
from stemma.recipe.models import Recipe
from stemma.runs import Run
from stemma.stages import forecast_judging


@dataclass(frozen=True)
class JudgePlan:
    """The cost of one judging that is still to come."""

    title: str
    """Who is compared, and by whom."""
    requests: int
    dollars: float | None
    """At most; None: not known."""
    basis: str
    """The reason for that figure, in words."""


def plan_judging(recipe: Recipe, run: Run) -> list[JudgePlan]:
    """A plan for each judging of the recipe. Raises UserError for settings that cannot work."""
    judgings = recipe.eval.judge
    if not judgings:
        return []
    if _is_done(recipe, run):
        return [JudgePlan(_title(one), 0, 0.0, "judged") for one in judgings]
    counted = forecast_judging(recipe, run)
    return [_planned(one, spent) for one, spent in zip(judgings, counted, strict=True)]


def judging_lines(recipe: Recipe, run: Run) -> list[str]:
    """A line for each judging, for `--dry-run` and `plan`."""
    return [f"{one.title}: {one.basis}" for one in plan_judging(recipe, run)]


def _is_done(recipe: Recipe, run: Run) -> bool:
    if run.read_manifest("eval") is None:
        return False
    try:
        return is_fresh(recipe, run, "eval")
    except UserError:  # an input is missing: it will have to run again
        return False


def _title(judging: Judging) -> str:
    settings = judging.generator
    judge = "a script" if settings.server == "scripted-expert" else settings.model
    return f"judge {judging.policy} against {judging.reference} by {judge}"


def _planned(judging: Judging, spent: Mapping[str, Any]) -> JudgePlan:
    settings = judging.generator
    title = _title(judging)
    requests: int = spent["requests"]
    if settings.server == "scripted-expert":
        basis = f"{requests:,} requests at most to the scripted expert, 0 dollars"
        return JudgePlan(title, requests, 0.0, basis)
    most = spent["output_tokens_at_most"]
    out = "any number out" if most is None else f"{most:,} out at most"
    asked = f"{requests:,} requests at most, {spent['input_tokens']:,} tokens in, {out}"
    dollars: float | None = spent["cost_usd_at_most"]
    if dollars is None:
        why = "no price table (`eval.judge.generator.prices`)"
        return JudgePlan(title, requests, None, f"dollars unknown, {why}: {asked}")
    cap = settings.max_cost_usd
    bound = f"at most {dollars:,.2f} dollars"
    if cap is not None and cap < dollars:
        bound = f"at most {cap:,.2f} dollars (max_cost_usd), {dollars:,.2f} at most without it"
        dollars = cap
    about = f"about {spent['cost_usd_about']:,.2f} if every reply is good"
    return JudgePlan(title, requests, dollars, f"{asked}; {bound}, {about}")
