"""Variants whose figures are those of guessing, where merged's are not.

A lost BOS, another delimiter or constant scores leave an engine running and its answers worthless.
What a self-test of a few texts cannot see, the test rows show: a file, or a server, that scores
like chance beside a merged model that does not is set up wrongly, or has lost all that was learned.
Where merged is at chance too (the random weights of a rehearsal), nothing is said.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from eval.task import Metric, TaskScores
from stemma.comparisons import BASELINE

CHANCE = {("mcq", "accuracy"): "chance", ("preference", "reward_accuracy"): None}
"""By task and metric the metric of the same task that is chance; None: one half."""


def at_chance(scored: Mapping[str, Mapping[str, TaskScores]], made: Sequence[str]) -> list[str]:
    """A sentence for each variant and figure at chance. Pure.

    `made` names the variants that should answer as merged does: its formats, and servers. A figure
    is at chance where its 95 % interval reaches down to chance, and not up to merged's figure,
    whose own interval lies above chance.
    """
    return [line for name in made if name in scored for line in _of(name, scored)]


def _of(name: str, scored: Mapping[str, Mapping[str, TaskScores]]) -> Iterator[str]:
    for (task, metric), named in CHANCE.items():
        found = _named(scored[name].get(task), metric)
        merged = _named(scored.get(BASELINE, {}).get(task), metric)
        if found is None or merged is None:
            continue
        guess = _named(scored[name][task], named) if named else None
        chance = guess.value if guess else 0.5
        if None in (found.low, found.high, merged.low):
            continue
        assert found.low is not None
        assert found.high is not None
        assert merged.low is not None
        if found.low <= chance < merged.low and found.high < merged.value:
            yield (
                f"{name} scores like chance: {task} {metric} {found.value:.3f} "
                f"[{found.low:.3f} to {found.high:.3f}], n = {found.n:,}, chance {chance:.3f}, "
                f"{BASELINE} {merged.value:.3f}; is its text set up as {BASELINE}'s (BOS, "
                "delimiters, template)?"
            )


def _named(scores: TaskScores | None, metric: str) -> Metric | None:
    """The metric of a task, where it was measured."""
    return next((one for one in scores.metrics if one.name == metric), None) if scores else None
