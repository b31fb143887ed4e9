"""Abstention's part of the eval stage: the confidence of every variant in multiple choice.

The risk at each coverage is figured of the test rows that are measured anyway. Where the recipe
states a risk (`eval.abstention`), a threshold for it is fitted on the validation rows, which are
measured for that, and tried on the test rows: with the variant's own threshold, and with merged's,
since a file may be shipped with the threshold that was found before it was quantised.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from eval.abstention import Answers, answers, curve, metrics, threshold
from eval.cells import MEASURED, cell_of, jobs_of
from eval.further import Further
from eval.job import Job, Measured, Records, Variant
from eval.measuring import Measuring
from eval.rows_to_score import RowsToScore, read_task
from eval.statistics import wilson
from eval.task import Metric
from eval.tasks import TASKS
from stemma.comparisons import BASELINE
from stemma.recipe.eval_arms import split_arm
from stemma.recipe.eval_tasks import Formulation, McqTask
from stemma.stages import Work

TASK: Literal["mcq"] = "mcq"


def abstention(work: Work, measured: Measured) -> Further:
    """The figures of every scored variant; none where the recipe has no multiple choice."""
    section = work.recipe.eval
    if all(options.task != TASK for options in section.tasks):
        return Further()
    found = {
        name: _answers(measured[name][TASK]) for name in section.variants if TASK in measured[name]
    }
    figures = {
        name: metrics(one, _same_rows(found, name), work.recipe.seed) for name, one in found.items()
    }
    facts: dict[str, Any] = {}
    if section.abstention:
        fitted = _thresholds(work, section.abstention.risk)
        for name, one in found.items():
            # None of an arm: its validation rows have no passages.
            figures[name] += _tried(one, fitted.get(name), "threshold")
            if name != BASELINE and BASELINE in fitted:
                figures[name] += _tried(one, fitted[BASELINE], "merged_threshold")
        facts = {"abstention": {"risk": section.abstention.risk, "thresholds": fitted}}
    points = [
        {"variant": name, "coverage": coverage, "risk": risk}
        for name, one in found.items()
        for coverage, risk in curve(one)
    ]
    rows = [metric.score(name, TASK) for name, all_of in figures.items() for metric in all_of]
    return Further(rows, {"abstention": points}, facts)


def _same_rows(found: dict[str, Answers], name: str) -> Answers | None:
    """Merged's answers, for another variant on the same rows: an arm may leave some out."""
    merged = found.get(BASELINE)
    is_paired = merged is not None and name != BASELINE and not split_arm(name)[1]
    return merged if is_paired else None


def _answers(records: Records) -> Answers:
    return answers([row["log_probs"] for row in records], [row["answer"] for row in records])


def _thresholds(work: Work, risk: float) -> dict[str, float | None]:
    """Each variant's threshold, fitted on the validation rows. Raises UserError where there are
    none."""
    path = work.input("data", f"{TASK}/validation")
    rows: dict[str, RowsToScore] = {TASK: read_task(TASKS[TASK], TASK, path, None)}
    [formulation] = [one.formulation for one in work.recipe.eval.tasks if one.task == TASK]
    tested = jobs_of(work)
    jobs = [
        _job(job.variant, formulation, work.run.root.parent / MEASURED, path)
        for job in tested
        if job.variant.name in work.recipe.eval.variants
        and not split_arm(job.variant.name)[1]
        and any(cell.task == TASK for cell in job.cells)
    ]
    places = {cell.folder for job in tested for cell in job.cells}
    is_apart = all(cell.folder not in places for job in jobs for cell in job.cells)
    # What `force` forgets may be the test rows' samples in the same places, which were just
    # measured; the validation rows' went with what was there before.
    anew = replace(work, force=work.force and is_apart)
    measuring = Measuring(anew, rows, work.folder / "jobs")
    measured = measuring.measure(jobs)
    return {
        name.removesuffix(".validation"): threshold(_answers(samples[TASK]), risk)
        for name, samples in measured.items()
    }


def _job(variant: Variant, formulation: Formulation, folder: Path, path: Path) -> Job:
    """A variant's multiple choice on other rows: the choices alone, without the replies and further
    orders that the recipe may ask for of the test rows."""
    cell = cell_of(variant, McqTask(task=TASK, formulation=formulation), folder, path)
    named = variant.model_copy(update={"name": f"{variant.name}.validation"})
    return Job(variant=named, cells=[cell])


def _tried(found: Answers, least: float | None, name: str) -> Iterator[Metric]:
    """The share of questions answered with the threshold, and the share of these that is wrong."""
    if least is None:
        return
    answered, wrong = found.above(least)
    share = answered / len(found)
    yield Metric(f"answered_at_{name}", share, len(found), *wilson(share, len(found)))
    if answered:
        risk = wrong / answered
        yield Metric(f"risk_at_{name}", risk, answered, *wilson(risk, answered))
