"""Stages stopped at seeded random moments; then the same command ends as if there were none."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from stemma.chain import STAGES, TRAINED, upstream
from stemma.digests import digest_of
from stemma.recipe.load import load
from stemma.runs import Run
from tests.faults.bed import QUICK, RUNS, SEED, SETTINGS, assert_whole, calm, copied
from tests.faults.commands import Attempt, command, start
from tests.faults.rows import WAYS

pytestmark = pytest.mark.faults

ROUNDS = int(os.environ.get("FAULTS_ROUNDS", "1"))
INTERRUPTED = "interrupted; the same command goes on with what is kept"


@pytest.mark.parametrize("stage", STAGES)
def test_a_stopped_stage_ends_as_in_peace(
    stage: str, place: Path, tmp_path: Path, seen: Callable[[str], None]
) -> None:
    wanted = calm(stage, place)
    runs = copied(stage, tmp_path / "runs")
    before = upstream_digests(runs, stage)
    draw = random.Random(f"{SEED} {stage}")
    words = command(stage, runs, SETTINGS[stage])
    stops: list[str] = []
    order = ways(stage, draw)
    for number, how in enumerate(order, 1):
        # Later and later, for what is resumed ends sooner; and not before Python itself has
        # started: its first second is not ours.
        share = draw.uniform(0.02, 0.95) * number / len(order)
        moment = max(1.0, share * wanted.seconds)
        attempt = start(words, tmp_path / f"{number}.log")
        if not attempt.lasts(moment):  # resumed, or on a quieter machine, it may be done sooner
            assert attempt.process.returncode == 0, attempt.said[-3000:]
            continue
        stopped_well(attempt, WAYS[how])
        if Run(runs / "tiny").read_manifest(stage):  # written last: it was done before the kill
            assert_whole(runs, stage, wanted)
        stops.append(f"{how} after {moment:.1f} s")
    assert stops, "it ended before every moment that was drawn"
    last = start(words, tmp_path / "last.log")
    assert last.finish() == 0, last.said[-3000:]
    assert_whole(runs, stage, wanted)
    assert upstream_digests(runs, stage) == before
    same = sum(1 for digest in wanted.digests.values() if digest)
    seen(
        f"{', '.join(stops)} of {wanted.seconds:.1f} (seed {SEED}); nobody left, "
        f"then exit 0 and {same} of {len(wanted.digests)} outputs equal by digest"
        + (", the others hold seconds or paths" if same < len(wanted.digests) else "")
    )


def ways(stage: str, draw: random.Random) -> list[str]:
    """How it is stopped, one after the other: every way, in an order drawn anew each round."""
    if QUICK and stage in ("data", *TRAINED):
        return ["kill -9"]
    return [how for _ in range(ROUNDS) for how in draw.sample(list(WAYS), len(WAYS))]


def stopped_well(attempt: Attempt, how: signal.Signals) -> None:
    """By the signal it was sent, with nobody left, and with a word after Ctrl-C."""
    code = attempt.stop(how)
    assert attempt.survivors() == []
    if how != signal.SIGINT:
        assert code == -how
        return
    # Python itself ends by the signal where it came while a class was being made (then a shell
    # says 130 as well).
    assert code in (130, -signal.SIGINT), attempt.said[-3000:]
    assert attempt.said.rstrip().endswith(INTERRUPTED), attempt.said[-3000:]


def upstream_digests(runs: Path, stage: str) -> dict[str, str]:
    """What a stage reads: no stage may change it."""
    names = upstream(load("tiny"), stage)
    return {name: digest_of(runs / "tiny" / name) for name in names}


def test_the_bed_is_whole() -> None:
    """Nothing below means anything on a bed that is damaged before."""
    run = Run(RUNS / "tiny")
    for stage in STAGES:
        for name, output in run.manifest(stage).outputs.items():
            path = run.folder(stage) / output.path
            assert digest_of(path) == output.sha256, f"{stage}/{name}"
