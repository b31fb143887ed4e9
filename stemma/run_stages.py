"""The verbs that run stages: in order, on one machine or as one of several."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from stemma.base_model.folder import check_base_model
from stemma.chain import TRAINED, chain, upstream
from stemma.errors import UserError
from stemma.freshness import states
from stemma.hub import refuse_gated
from stemma.plan.data_rows import forecast_lines
from stemma.plan.judging import judging_lines
from stemma.plan.room import room_warning
from stemma.progress import duration, of_stage
from stemma.quiet import quieten
from stemma.recipe.models import Recipe
from stemma.recipe.splits import unscored
from stemma.remembered import remember
from stemma.results import closing_lines, result_line
from stemma.runs import Run
from stemma.stages import Outcome, Say, Work, execute, forecast_passages
from stemma.training.cluster import Cluster, read_cluster
from stemma.visible import tell


@dataclass(frozen=True)
class Options:
    """Options of a run. `say` talks to the user, on stderr."""

    say: Say
    force: bool = False
    """Whether work that is up to date is done again."""
    dry_run: bool = False
    """Whether to tell only what would run."""

    told: set[str] = field(default_factory=set)
    """The warnings that were said: each once, also where several stages see the reason."""

    def about(self, stage: str) -> Say:
        def say(text: str) -> None:
            if text.startswith("warning: "):
                if text in self.told:
                    return
                self.told.add(text)
            self.say(f"[{stage}] {text.removeprefix(f'{stage}: ')}")

        return say


def run_chain(
    recipe: Recipe, run: Run, options: Options, then: Callable[[], None] | None = None
) -> None:
    """Bring every stage up to date, do what comes `then`; prints a line for each stage, and what
    to do with what came out."""
    run_stages(recipe, run, chain(recipe), options)
    if options.dry_run or read_cluster(os.environ, gpus=0).node:
        return
    if then:
        tell()
        then()
    if lines := closing_lines(recipe, run):
        tell("\n" + "\n".join(lines))


def run_stages(recipe: Recipe, run: Run, stages: Sequence[str], options: Options) -> None:
    """Bring the stages up to date; prints a line for each."""
    quieten()
    check_base_model(recipe, run, stages)
    if options.dry_run:
        _preview(recipe, run, stages, options)
        return
    # Before anything runs; this machine's GPUs are counted later.
    cluster = read_cluster(os.environ, gpus=0)
    if cluster.node:
        _work_for_machine_0(recipe, run, stages, cluster, options)
        return
    remember(recipe, run, options.say)
    if len(stages) > 1:  # one that trains finds out itself
        refuse_gated(recipe, run)
    if len(stages) == 1:
        warn_of_stale_upstream(recipe, run, stages[0], options.say)
    if warning := room_warning(recipe, run, stages):
        options.say(f"warning: {warning}")
    for stage in stages:
        if stage in TRAINED:
            refuse_unscored(recipe, run)
        start = time.monotonic()
        with of_stage(stage):
            outcome = execute(recipe, run, stage, options.about(stage), options.force)
        tell(f"{stage:<7} {_told(recipe, run, stage, outcome, time.monotonic() - start)}")
        if stage == "data":
            refuse_unscored(recipe, run)


def _told(recipe: Recipe, run: Run, stage: str, outcome: Outcome, seconds: float) -> str:
    """A stage's outcome in one line: what came out of it, and where; of one up to date no more."""
    if outcome == "up to date":
        return outcome
    took = f" in {duration(seconds)}" if outcome == "done" else ""
    return f"{outcome}{took}: {result_line(recipe, run, stage)}"


def refuse_unscored(recipe: Recipe, run: Run) -> None:
    """Stop before anything trains where the evaluation would have no row.

    Here and not in stage `data`, whose work does not hang on the evaluation: its rows, some of them
    paid for, stay. Raises UserError.
    """
    data = run.read_manifest("data")
    if data is not None and (problems := list(unscored(recipe, data.counts["sets"]))):
        raise UserError(problems)


def measure_cells(recipe: Recipe, run: Run, cells: Sequence[str], options: Options) -> None:
    """Measure some cells of the evaluation, without scores and without a manifest; prints a line
    for each. Any number of processes may do so at the same time."""
    from eval.only import measure_only

    quieten()
    check_base_model(recipe, run, ["eval"])
    warn_of_stale_upstream(recipe, run, "eval", options.say)
    work = Work(recipe, run, "eval", options.about("eval"), options.force)
    with of_stage("eval"):
        lines = measure_only(work, cells, options.dry_run)
    for line in lines:
        tell(line)


def _preview(recipe: Recipe, run: Run, stages: Sequence[str], options: Options) -> None:
    """Print what is up to date and what would run.

    Of `data` and `eval` also what they would ask of a chat model, and what that costs; of `rag` the
    size of its database.
    """
    known = states(recipe, run)
    for stage in stages:
        fresh = known[stage].is_fresh and not options.force
        tell(f"{stage:<7} {'up to date' if fresh else f'would run ({known[stage]})'}")
        if stage == "data" and not fresh:
            for line in forecast_lines(recipe, run, options.say):
                tell(f"        {line}")
        if stage == "rag" and not fresh:
            for line in forecast_passages(recipe)[0]:
                tell(f"        {line}")
        if stage == "eval" and not fresh:
            for line in judging_lines(recipe, run):
                tell(f"        {line}")


def _work_for_machine_0(
    recipe: Recipe, run: Run, stages: Sequence[str], cluster: Cluster, options: Options
) -> None:
    """Run the stages on a machine other than the first, which joins trainings and no more."""
    from stemma.training.worker_node import WorkerNode, joined_stages  # brings safetensors

    for stage in stages:
        outcome = "left to machine 0"
        if stage in joined_stages(stages):
            node = WorkerNode(recipe, run, cluster, options.about(stage), options.force)
            with of_stage(stage):
                outcome = node.join(stage)
        tell(f"{stage:<7} {outcome}")


def warn_of_stale_upstream(recipe: Recipe, run: Run, stage: str, say: Say) -> None:
    """Say that a stage, run alone, takes results that are old: the user may not know."""
    if stage not in chain(recipe):
        return
    known = states(recipe, run)
    stale = [name for name in upstream(recipe, stage) if known[name].is_stale]
    if not stale:
        return
    causes = [name for name, state in known.items() if state.is_stale and not state.waits_for]
    cause = causes[0] if causes else stale[0]
    others = [name for name in stale if name != cause]
    also = f" (and what came of it: {', '.join(others)})" if others else ""
    hint = f"`make all RECIPE={run.recipe}` brings the chain up to date"
    say(f"warning: `{cause}` is {known[cause]}{also}; {hint}")
