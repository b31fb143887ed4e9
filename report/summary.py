"""The report's opening in plain words: what was made, how good the shipped variant is, with figures and their n."""

from __future__ import annotations

from dataclasses import dataclass

from report.evidence import Evidence
from report.readable import fixed, interval, rate, size
from report.tables import COLUMNS, Column, chance_of, verdict_of
from stemma.rows import Score

MCQ, REWARD, MARGIN, GENERATED, SIZE, _PROMPT, DECODE, MEMORY = COLUMNS


@dataclass(frozen=True)
class Tile:
    """A key figure of the shipped variant."""

    title: str
    value: str
    note: str


def sentences(evidence: Evidence) -> list[str]:
    """A few sentences; what was not measured is not mentioned."""
    ship = evidence.recipe.export.ship
    stages = " → ".join(["base", *evidence.recipe.training_stages()])
    said = [f"{stages}, exported from {evidence.recipe.export.from_}; {ship} ships{_weight(evidence, ship)}."]
    return said + [sentence for part in (_mcq, _reward, _generated, _speed) for sentence in part(evidence, ship)]


def tiles(evidence: Evidence) -> list[Tile]:
    """The shipped variant's key figures, as far as measured."""
    ship = evidence.recipe.export.ship
    found = []
    for column in (MCQ, REWARD, GENERATED):
        score = _score(evidence, ship, column)
        if score is not None:
            note = f"{interval(score.low, score.high)} n = {score.n:,}".strip()
            found.append(Tile(column.title, fixed(score.value, 2), note))
    files = evidence.weights(ship)
    if files is not None:
        found.append(Tile("Size on disk", size(files.bytes), ship))
    speed = _score(evidence, ship, DECODE)
    if speed is not None:
        memory = _score(evidence, ship, MEMORY)
        note = f"peak memory {size(memory.value)}" if memory else ""
        found.append(Tile("Decode", f"{rate(speed.value)} tok/s", note))
    return found


def _score(evidence: Evidence, variant: str, column: Column) -> Score | None:
    return evidence.score(variant, column.task, column.metric)


def _weight(evidence: Evidence, variant: str) -> str:
    files = evidence.weights(variant)
    return f" ({size(files.bytes)})" if files else ""


def _percent(share: float) -> str:
    return f"{fixed(100 * share, 0)}\u00a0%"  # never broken between figure and sign


def _bounds(score: Score) -> str:
    if score.low is None or score.high is None:
        return ""
    return f"95\u00a0% interval {_percent(score.low)} to {_percent(score.high)}"


def _mcq(evidence: Evidence, ship: str) -> list[str]:
    score, base, chance = _score(evidence, ship, MCQ), _score(evidence, "base", MCQ), chance_of(evidence, MCQ)
    if score is None:
        return []
    notes = [_bounds(score), f"chance {_percent(chance)}" if chance is not None else ""]
    notes.append(f"the base model: {_percent(base.value)}" if base else "")
    told = "; ".join(note for note in notes if note)
    said = [f"It answers {_percent(score.value)} of {score.n:,} held-out multiple-choice questions right ({told})."]
    change = evidence.score(ship, MCQ.task, f"{MCQ.metric}_minus_merged")
    return said + ([_change(change)] if change else [])


def _change(score: Score) -> str:
    """What quantising cost, and whether that can be told from noise."""
    points = f"{fixed(100 * score.value, 1, signed=True)} points"
    bounds = ""
    if score.low is not None and score.high is not None:
        bounds = f" ({fixed(100 * score.low, 1, signed=True)} to {fixed(100 * score.high, 1, signed=True)})"
    verdict = {"": "not distinguishable from no change", "better": "better", "worse": "a real loss"}[verdict_of(score)]
    return f"Against the merged model that is {points}{bounds}: {verdict}."


def _reward(evidence: Evidence, ship: str) -> list[str]:
    score, margin = _score(evidence, ship, REWARD), _score(evidence, ship, MARGIN)
    if score is None:
        return []
    mean = f", with a mean margin of {fixed(margin.value, 3, signed=True)}" if margin else ""
    longer = evidence.score(ship, REWARD.task, "longer_accuracy")
    notes = [_bounds(score), f"always picking the longer answer: {_percent(longer.value)}" if longer else ""]
    told = f" ({'; '.join(filter(None, notes))})" if any(notes) else ""
    return [f"It prefers the better answer in {_percent(score.value)} of {score.n:,} held-out pairs{told}{mean}."]


def _generated(evidence: Evidence, ship: str) -> list[str]:
    score = _score(evidence, ship, GENERATED)
    if score is None:
        return []
    told = f" ({_bounds(score)})" if _bounds(score) else ""
    return [f"Writing freely, it gets {_percent(score.value)} of {score.n:,} answers right{told}."]


def _speed(evidence: Evidence, ship: str) -> list[str]:
    speed, memory = _score(evidence, ship, DECODE), _score(evidence, ship, MEMORY)
    if speed is None:
        return []
    held = f" and holds {size(memory.value)} at its peak" if memory else ""
    return [f"On this machine it writes {rate(speed.value)} tokens a second{held}."]
