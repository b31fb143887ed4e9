"""The judges and benchmarks of a rehearsal, which asks nobody outside this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stemma.recipe.lm_eval_tasks import look_up, place_of
from stemma.recipe.models import Recipe

if TYPE_CHECKING:
    from stemma.rehearsal.changes import Changes

SCRIPTED_EXPERT = {"server": "scripted-expert", "model": "scripted-expert"}
"""The server that takes a paid one's place."""


def shorten_benchmarks(recipe: Recipe, changes: Changes, most: int) -> None:
    """Ask a few questions of the benchmarks whose data lie here, and leave the others out."""
    chosen = recipe.eval.benchmarks
    if chosen is None:
        return
    place = place_of(recipe)
    here = []
    for name in chosen.tasks:
        found = look_up(chosen.model_copy(update={"tasks": [name]}), place, "")
        here += [] if found.problems or found.hub else [name]
    shorter = chosen.model_dump() | {"tasks": here, "limit": min(chosen.limit or most, most)}
    changes.set("eval.benchmarks", shorter if here else None)
    if recipe.eval.hub_benchmarks:  # of a few questions there are no scores for a card
        changes.set("eval.hub_benchmarks", None)
    if absent := len(chosen.tasks) - len(here):
        changes.notes.append(f"{absent} benchmark(s) left out, their data are not on this machine")


def judge_on_loopback(recipe: Recipe, changes: Changes, most: int) -> None:
    """Few questions for each judge, and the scripted expert in a paid one's place."""
    if not recipe.eval.judge:
        return
    left = {*(recipe.eval.local or recipe.eval.variants)}
    few = {"questions": most, "generator": SCRIPTED_EXPERT}
    judges = [
        # Named as before: two judges of the same variants would both be called scripted.
        judging.model_dump(mode="json", exclude_unset=True) | {"name": judging.task} | few
        for judging in recipe.eval.judge
        if {judging.policy, judging.reference} <= left
    ]
    changes.set("eval.judge", judges)
    if any(one.generator.server != "scripted-expert" for one in recipe.eval.judge):
        changes.notes.append("the judge is the scripted expert on loopback")
