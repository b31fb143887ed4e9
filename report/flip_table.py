"""Tables of flips, the rows that only one of a variant and merged has right, and of what they show.

Pure.
"""

from __future__ import annotations

from report.figures import bounds_of, text_of
from report.outcomes import Flips
from report.readable import fixed
from report.run_data import RunData, Table

METRICS = {"mcq": "accuracy", "preference": "reward_accuracy", "generation": "accuracy"}
"""The yes-or-no metric of each task, whose difference to merged was scored."""
COUNTS = ("Task", "Variant", "n", "Both right", "Lost", "Gained", "Both wrong")
CHANGE = ("Δ to merged", "95% interval", "Exact p")
JUDGED = ("Holm's p", "At least", "Verdict")
"""What only an evaluation with verdicts has."""


def flip_table(evidence: RunData) -> Table:
    """One row for each task and variant: counts, the scored difference, and what it shows."""
    heads = (*COUNTS, *CHANGE, *(JUDGED if evidence.verdicts else ()))
    rows = [
        [*_counts(one), *_change(evidence, one), *_judged(evidence, one)]
        for one in (evidence.samples.flips if evidence.samples else [])
    ]
    return Table(heads, rows)


def _counts(one: Flips) -> list[object]:
    named = [one.task, one.variant]
    return [*named, one.n, one.both_right, one.lost, one.gained, one.both_wrong]


def _change(evidence: RunData, one: Flips) -> list[object]:
    metric = f"{metric_of(evidence, one.task)}_minus_merged"
    change = evidence.score(one.variant, one.task, metric)
    p = evidence.score(one.variant, one.task, f"{metric}_p")
    said = [text_of(change), bounds_of(change)] if change else [None, None]
    return [*said, p.value if p else None]


def _judged(evidence: RunData, one: Flips) -> list[object]:
    """Holm's p-value, the bound that decides, the verdict."""
    if not evidence.verdicts:
        return []
    found = evidence.comparison(one.variant, one.task, metric_of(evidence, one.task))
    if not found:
        return [None, None, None]
    bound = fixed(found.at_least, 3, signed=True)
    noise = ", within the noise of measuring twice" if found.within_noise else ""
    return [found.p_holm, bound, found.verdict + noise]


def metric_of(evidence: RunData, task: str) -> str:
    """The yes-or-no metric that rows of a task are counted by; of a benchmark the first that was
    compared with merged."""
    if task in METRICS:
        return METRICS[task]
    listed = evidence.verdicts.comparisons if evidence.verdicts else []
    return next((one.metric for one in listed if one.task == task), "accuracy")


def verdict_table(evidence: RunData) -> Table:
    """A verdict for each variant over all tasks, and the comparison that decided."""
    files = evidence.verdicts.files if evidence.verdicts else []
    rows = [[one.variant, one.verdict, one.reason] for one in files]
    return Table(("Variant", "Verdict", "Decided by"), rows)
