"""A person's judging from start to end: `stemma judge RECIPE`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from eval.judge.agreement import JudgeAgreement, agreement
from eval.judge.bradley_terry import rate
from eval.judge.page import PageServer
from eval.judge.person import JOURNAL, Sitting, judged_pairs, read_journal
from eval.judge.verdicts import PairVerdict
from stemma.runs import Run
from stemma.table import aligned

Say = Callable[[str], None]


def sit(run: Run, person: str, port: int, seed: int, say: Say) -> list[str]:
    """Serves the page until it is ended (Ctrl-C); the lines that tell what came of it."""
    pairs = judged_pairs(run)
    journal = run.root.parent / JOURNAL
    sitting = Sitting(pairs, journal, person, seed)
    with PageServer(sitting, port) as server:
        say(f"judge: {len(sitting.given)} of {len(pairs)} pairs judged by {person}")
        say(f"judge: open {server.url} in a browser of this machine; Ctrl-C ends")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            say("judge: ended; every verdict is kept")
    return summary(pairs, read_people(journal, pairs), seed)


def read_people(journal: Path, pairs: Sequence[PairVerdict]) -> list[PairVerdict]:
    """What all people said of the run's variants."""
    compared = {(one.policy, one.reference) for one in pairs}
    return [one for one in read_journal(journal) if (one.policy, one.reference) in compared]


def summary(models: Sequence[PairVerdict], people: Sequence[PairVerdict], seed: int) -> list[str]:
    """Agreement of each two judges, and the rating of each variant by all verdicts together."""
    judges = sorted({one.judge for one in (*models, *people)})
    by_judge = {name: [one for one in (*models, *people) if one.judge == name] for name in judges}
    lines = [
        f"{first} and {second}: {_agreed(found)}"
        for number, first in enumerate(judges)
        for second in judges[number + 1 :]
        if (found := agreement(by_judge[first], by_judge[second]))
    ]
    rated = rate([*models, *people], seed)
    if not rated:
        return lines
    rows = [
        [one.variant, f"{one.value:+.2f}", f"{one.low:+.2f} to {one.high:+.2f}", f"{one.n:,}"]
        for one in rated
    ]
    heads = ("variant", "rating (log-odds)", "95 % interval", "verdicts on pairs")
    return [*lines, *aligned(heads, rows)]


def _agreed(found: JudgeAgreement) -> str:
    kappa = "kappa not defined" if found.kappa is None else f"kappa {found.kappa:.2f}"
    return f"{kappa}, agreed {found.agreed:.0%}, n = {found.n}"
