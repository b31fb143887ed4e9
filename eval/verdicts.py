"""Every variant held against merged: paired differences, Holm's correction, a verdict a file, and
the rows that flipped.

A verdict says what the questions show, and `not shown` where they are too few: equal accuracies on
150 questions are no proof that there is no difference. It is read off an exact bound
(`eval.paired`). A file is non-inferior only where it is on every task, which needs no correction
for their number (Berger, Technometrics 24, 1982, 295-300: the worst task is the test).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from math import ceil
from pathlib import Path

from eval.paired import bounds, counted
from eval.statistics import holm, sign_flip_p
from eval.task import TaskScores
from stemma.comparisons import BASELINE, Comparison, FileVerdict, Flip, Verdict, Verdicts
from stemma.jsonl import write_json, write_jsonl
from stemma.plan.detectable import questions_needed
from stemma.recipe.eval_arms import split_arm
from stemma.recipe.evaluation import EvalSection, NonInferiority
from stemma.rows import Score

WORSE = 0.05
"""Holm's p-value under which a variant counts as worse."""
GRAVEST = ("inferior", "worse", "not shown", "non-inferior")
"""Verdicts, the one that decides over a file first."""

ScoredTasks = Mapping[str, TaskScores]
"""One variant's figures, by task."""


def verdicts(scored: Mapping[str, ScoredTasks], section: EvalSection) -> Verdicts:
    """Every variant against merged on every yes-or-no metric; none where merged was not scored."""
    rule = section.non_inferiority
    found = [
        comparison
        for task, metric in _metrics(scored)
        for comparison in _compared(scored, (task, metric), section)
    ]
    files = [
        _of_file(variant, [one for one in found if one.variant == variant])
        for variant in dict.fromkeys(one.variant for one in found)
    ]
    return Verdicts(
        baseline=BASELINE,
        margin=rule.margin,
        level=rule.level,
        files=files,
        comparisons=found,
    )


def _metrics(scored: Mapping[str, ScoredTasks]) -> Iterator[tuple[str, str]]:
    """Each task and yes-or-no metric that merged has."""
    for task, found in scored.get(BASELINE, {}).items():
        yield from ((task, metric) for metric in found.right)


def _compared(
    scored: Mapping[str, ScoredTasks], place: tuple[str, str], section: EvalSection
) -> list[Comparison]:
    """All variants on one metric: Holm's correction is over them."""
    task, metric = place
    others = _others(scored, task, section.reference)
    merged = scored[BASELINE][task]
    alone = [
        compare((name, task, metric), scored[name][task], merged, section.non_inferiority)
        for name in others
    ]
    corrected = holm([one.p for one in alone])
    return [
        _judged(one.model_copy(update={"p_holm": p}), section.non_inferiority)
        for one, p in zip(alone, corrected, strict=True)
    ]


def _others(scored: Mapping[str, ScoredTasks], task: str, reference: str) -> list[str]:
    """The variants that are compared with merged on a task: not those asked with passages, whose
    verdict would be on the passages (`eval.arms` compares them)."""
    # Rewards of the reference are all zero, so it is neither right nor wrong.
    left_out = {BASELINE, reference} if task == "preference" else {BASELINE}
    return [
        name
        for name in scored
        if task in scored[name] and name not in left_out and not split_arm(name)[1]
    ]


def compare(
    names: tuple[str, str, str], found: TaskScores, merged: TaskScores, rule: NonInferiority
) -> Comparison:
    """One variant (`names`: variant, task, metric) against merged, not yet judged."""
    variant, task, metric = names
    right, before = found.right[metric], merged.right[metric]
    values = [int(right[row]) - int(before[row]) for row in right]
    groups = [found.groups.get(row, row) for row in right]
    by_question: Counter[str] = Counter()
    for group, change in zip(groups, values, strict=True):
        by_question[group] += change
    at_least, at_most = bounds(values, groups, rule.level)
    low, high = bounds(values, groups, 0.975)
    p = sign_flip_p(by_question)
    return Comparison(
        variant=variant,
        task=task,
        metric=metric,
        n=len(values),
        questions=len(by_question),
        worth=counted(values, groups, rule.level).n,
        lost=values.count(-1),
        gained=values.count(1),
        difference=sum(values) / len(values),
        at_least=at_least,
        at_most=at_most,
        low=low,
        high=high,
        p=p,
        p_holm=p,
        verdict="not shown",
        needed=None,
    )


def _judged(found: Comparison, rule: NonInferiority) -> Comparison:
    """The comparison with its verdict, and the questions it would take where they were too few."""
    shown: Verdict | None = None
    if found.at_least >= -rule.margin:
        shown = "non-inferior"
    elif found.at_most < -rule.margin:
        shown = "inferior"
    elif found.difference < 0 and found.p_holm < WORSE:
        shown = "worse"
    if shown:
        return found.model_copy(update={"verdict": shown})
    changed = max(1, found.lost + found.gained) / found.n
    independent = questions_needed(rule.margin, changed, rule.level)
    needed = ceil(independent * found.questions / found.worth)
    return found.model_copy(update={"needed": needed})


def _of_file(variant: str, compared: Sequence[Comparison]) -> FileVerdict:
    """The gravest verdict of all tasks, and the comparison it comes from."""
    decides = min(compared, key=lambda one: (GRAVEST.index(one.verdict), one.at_least))
    bound = f"{decides.difference:+.3f}, at least {decides.at_least:+.3f}".replace("-", "−")
    of = f" of {decides.questions:,} questions" if decides.questions != decides.n else ""
    reason = f"{decides.task} {decides.metric.replace('_', ' ')}: {bound}, n = {decides.n:,}{of}"
    if decides.verdict == "not shown":
        reason += f"; about {decides.needed:,} questions would show it"
    return FileVerdict(variant=variant, verdict=decides.verdict, reason=reason)


def differences(found: Verdicts) -> list[Score]:
    """The comparisons as rows of results.json: difference with its 95 % interval, p-values."""
    rows: list[Score] = []
    for one in found.comparisons:
        name = f"{one.metric}_minus_{found.baseline}"
        samples = f"samples/{one.variant}/{one.task}.jsonl"
        bounded = {"low": one.low, "high": one.high}
        for metric, value, more in (
            (name, one.difference, bounded),
            (f"{name}_p", one.p, {}),
            (f"{name}_p_holm", one.p_holm, {}),
        ):
            rows.append(
                Score(
                    variant=one.variant,
                    task=one.task,
                    metric=metric,
                    value=value,
                    n=one.n,
                    samples=samples,
                    **more,
                )
            )
    return rows


def flips(scored: Mapping[str, ScoredTasks], reference: str) -> list[Flip]:
    """The rows whose being right differs between merged and some variant, most flipped first."""
    found: list[Flip] = []
    for task, metric in _metrics(scored):
        merged = scored[BASELINE][task]
        others = _others(scored, task, reference)
        for row, was_right in merged.right[metric].items():
            flipped = [
                name for name in others if scored[name][task].right[metric][row] != was_right
            ]
            if flipped:
                found.append(
                    Flip(
                        task=task,
                        metric=metric,
                        id=row,
                        question=merged.groups.get(row, row),
                        merged_right=was_right,
                        flipped=flipped,
                    )
                )
    return sorted(found, key=lambda flip: -len(flip.flipped))


def write(folder: Path, found: Verdicts, flipped: Sequence[Flip]) -> dict[str, str]:
    """Write both files; returns the stage's outputs."""
    write_json(folder / "verdicts.json", found.model_dump())
    write_jsonl(folder / "flips.jsonl", [flip.model_dump() for flip in flipped])
    return {"verdicts": "verdicts.json", "flips": "flips.jsonl"}
