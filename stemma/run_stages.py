"""What the verbs of stages do: bring stages up to date in order, on one machine or as one of several."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from stemma.base_model.folder import meet
from stemma.keys import upstream
from stemma.plan.data_rows import forecast_lines
from stemma.quiet import quieten
from stemma.recipe.models import Recipe
from stemma.runs import Run
from stemma.show import states
from stemma.stages import chain, execute
from stemma.training.cluster import Cluster, read_cluster

Say = Callable[[str], None]


@dataclass(frozen=True)
class Order:
    """How: where to talk, whether to do work again that is up to date, whether only to tell what would run."""

    say: Say
    force: bool = False
    dry_run: bool = False

    def about(self, stage: str) -> Say:
        return lambda text: self.say(f"[{stage}] {text}")


def bring(recipe: Recipe, run: Run, stages: Sequence[str], order: Order) -> None:
    """Bring the stages up to date; prints a line for each."""
    quieten()
    meet(recipe, run, stages)
    if order.dry_run:
        _preview(recipe, run, stages, order)
        return
    cluster = read_cluster(os.environ, gpus=0)  # before anything runs; this machine's GPUs are counted later
    if cluster.node:
        _follow(recipe, run, (stages, cluster), order)
        return
    if len(stages) == 1:
        warn_of_stale(recipe, run, stages[0], order.say)
    for stage in stages:
        start = time.monotonic()
        outcome = execute(recipe, run, stage, order.about(stage), order.force)
        took = f" in {time.monotonic() - start:.0f} s" if outcome == "done" else ""
        print(f"{stage:<7} {outcome}{took}", flush=True)


def _preview(recipe: Recipe, run: Run, stages: Sequence[str], order: Order) -> None:
    """What is up to date and what would run; of `data` also what it would ask of the generator, and what that costs."""
    known = states(recipe, run)
    for stage in stages:
        fresh = known[stage] == "up to date" and not order.force
        print(f"{stage:<7} {'up to date' if fresh else f'would run ({known[stage]})'}")
        if stage == "data" and not fresh:
            for line in forecast_lines(recipe, run, order.say):
                print(f"        {line}")


def _follow(recipe: Recipe, run: Run, part: tuple[Sequence[str], Cluster], order: Order) -> None:
    """The stages on a machine other than the first."""
    from stemma.training.worker_node import Follower, shared  # brings safetensors

    stages, cluster = part
    for stage in stages:
        outcome = "left to machine 0"
        if stage in shared(stages):
            outcome = Follower(recipe, run, cluster, order.about(stage), order.force).see_through(stage)
        print(f"{stage:<7} {outcome}", flush=True)


def warn_of_stale(recipe: Recipe, run: Run, stage: str, say: Say) -> None:
    """One stage alone takes what is there; the user may not know that it is old."""
    if stage not in chain(recipe):
        return
    known = states(recipe, run)
    stale = [name for name in upstream(recipe, stage) if known[name].startswith("stale")]
    if stale:
        causes = (name for name in known if known[name].startswith("stale") and "waits for" not in known[name])
        cause = next(causes, stale[0])
        others = f" (and what came of it: {', '.join(rest)})" if (rest := [n for n in stale if n != cause]) else ""
        hint = f"`make all RECIPE={recipe.name}` brings the chain up to date"
        say(f"warning: `{cause}` is {known[cause]}{others}; {hint}")
