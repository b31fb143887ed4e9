"""What a run does not show, or shows to be worse: sentences for the opening of both pages. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from report.readable import fixed, interval
from report.run_data import RunData
from stemma.rows import Score

SHARES = {
    "mcq": ("accuracy", "multiple-choice accuracy"),
    "preference": ("reward_accuracy", "reward accuracy"),
    "generation": ("accuracy", "the share of written answers that are right"),
}
"""The yes-or-no metric of each task, and its name in a sentence."""
PERSON = "person"


def unproven(evidence: RunData) -> list[str]:
    """The sentences, the weightiest first; the last holds for every run."""
    found = [
        *_of_training(evidence),
        *_of_later_stages(evidence),
        *_of_the_file(evidence),
        *_of_chance(evidence),
        *_of_judges(evidence),
    ]
    seed = evidence.recipe.seed
    found.append(
        f"It was trained once, with seed {seed}: the intervals tell of other questions of the same "
        "kind, not of another training and not of other subjects."
    )
    return found


def _of_training(evidence: RunData) -> Iterator[str]:
    """Training as a whole: the merged model against the base, on the same rows."""
    if "base" not in evidence.recipe.eval.variants:
        yield "That training helped: `base` is not among `eval.variants`, so it was not measured."
        return
    for task, (_, name) in SHARES.items():
        base, merged, change = _pair(evidence, "base", task)
        if not (base and merged and change) or change.low is None or change.high is None:
            continue
        said = f"{_arrow(base, merged)}, {_turned(change)}"
        if change.low > 0:
            yield f"Training made {name} worse than the base model's: {said}."
        elif change.high >= 0:
            yield f"That training changed {name}: base to merged {said}, across zero."


def _of_later_stages(evidence: RunData) -> Iterator[str]:
    """What training behind a stage took away of that stage's gain: of each task the most."""
    stages = evidence.came_of[1:]
    for task, (_, name) in SHARES.items():
        lost = []
        for stage in stages[:-1]:
            before, merged, change = _pair(evidence, stage, task)
            if before and merged and change and change.low is not None and change.low > 0:
                lost.append((change.value, stage, f"{_arrow(before, merged)}, {_turned(change)}"))
        if lost:
            _, stage, said = max(lost)
            later = stages[stages.index(stage) + 1 :]
            yield f"Training {_joined(later)} behind {stage} cost {name}: {said}."


def _of_the_file(evidence: RunData) -> Iterator[str]:
    """The shipped file against merged."""
    ship = evidence.recipe.export.ship
    if ship not in evidence.recipe.eval.variants:
        yield f"How good {ship} is: it ships and is not among `eval.variants`: not measured."
    margin = f"{100 * evidence.verdicts.margin:g}" if evidence.verdicts else ""
    for one in evidence.verdicts.files if evidence.verdicts else []:
        if one.variant == ship and one.verdict == "not shown":
            yield f"That {ship} is within {margin} points of merged: {one.reason}."
        elif one.variant == ship and one.verdict != "non-inferior":
            yield f"{ship} is {one.verdict} than merged: {one.reason}.".replace(
                "inferior than", "inferior to"
            )


def _of_chance(evidence: RunData) -> Iterator[str]:
    """The shipped file against guessing, and against always picking the longer answer."""
    ship = evidence.recipe.export.ship
    mcq = evidence.score(ship, "mcq", "accuracy")
    chance = evidence.chance("mcq")
    if mcq and mcq.low is not None and chance is not None and mcq.low <= chance:
        yield (
            f"That it does better than guessing at multiple choice: {_bounded(mcq)} where guessing "
            f"gives {fixed(chance, 2)}."
        )
    pairs = evidence.score(ship, "preference", "reward_accuracy")
    longer = evidence.score(ship, "preference", "longer_accuracy")
    if pairs and longer and pairs.low is not None and pairs.low <= longer.value:
        yield (
            f"That it prefers better answers and not just longer ones: {_bounded(pairs)}, where "
            f"the longer answer gives {fixed(longer.value, 2)}."
        )


def _of_judges(evidence: RunData) -> Iterator[str]:
    for score in evidence.scores:
        if score.metric != "win_rate_half_ties" or score.low is None or score.high is None:
            continue
        facts = evidence.manifests["eval"].facts.get(f"{score.variant} {score.task}")
        kind = facts.get("kind", "model") if isinstance(facts, dict) else "model"
        if kind != PERSON:
            who = "a script" if kind == "scripted" else "a model"
            yield f"That people would judge as {who} did ({score.task}): no person judged."
        if score.low <= 0.5 <= score.high:
            yield f"That {score.variant} writes better answers ({score.task}): {_bounded(score)}."


def _pair(
    evidence: RunData, variant: str, task: str
) -> tuple[Score | None, Score | None, Score | None]:
    """A variant's figure, merged's, and the variant's less merged's; rewards of the reference
    itself are no figures."""
    if task == "preference" and variant == evidence.recipe.eval.reference:
        return None, None, None
    metric = SHARES[task][0]
    change = evidence.score(variant, task, f"{metric}_minus_merged")
    compared = evidence.comparison(variant, task, metric)
    if compared and compared.within_noise:
        change = None
    return (
        evidence.score(variant, task, metric),
        evidence.score("merged", task, metric),
        change,
    )


def _arrow(before: Score, after: Score) -> str:
    return f"{fixed(before.value, 2)} → {fixed(after.value, 2)}"


def _turned(change: Score) -> str:
    """A variant's difference to merged, told as merged's to the variant."""
    assert change.low is not None, "only what has an interval is told"
    assert change.high is not None, "an interval has two ends"
    bounds = interval(-change.high, -change.low, 3, signed=True)
    return f"{fixed(-change.value, 3, signed=True)} {bounds}, n = {change.n:,}"


def _bounded(score: Score) -> str:
    bounds = interval(score.low, score.high)
    return f"{fixed(score.value, 2)} {bounds}, n = {score.n:,}"


def _joined(names: list[str]) -> str:
    return " and ".join(names)
