"""What it costs that a stage compares all it reads with the manifests, before it starts and after.

Run `python -m bench.checking RUNS RECIPE` on a finished run (on a copy: its `digests.json` is
removed and made again). "First" is with nothing remembered, "again" right after that; a stage pays
both in the worst case. The share is of the time that its manifest says it took. Then sha256 alone,
on a file of 1 GiB made here, which lies in memory. CPU seconds of one thread.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from statistics import median

from stemma.chain import chain, upstream
from stemma.digests import digest_of
from stemma.freshness import refuse_damaged_inputs, states
from stemma.keys import inputs_of
from stemma.known_digests import KEPT
from stemma.recipe.load import load
from stemma.recipe.models import Recipe
from stemma.runs import Manifest, Run
from stemma.table import markdown

GIB = 2**30
REPEATS = 5
HEAD = ["what", "MB before it", "first, s", "again, s", "the stage took, s", "share"]


def main(runs: Path, name: str) -> None:
    recipe = load(name)
    run = Run(runs / recipe.name)
    stages = [stage for stage in chain(recipe) if upstream(recipe, stage)]
    rows = [_row(recipe, run, stage) for stage in stages if run.read_manifest(stage)]
    (runs / KEPT).unlink(missing_ok=True)
    status = [seconds(lambda: states(recipe, run)) for _ in range(2)]
    rows.append(["`status`", "–", *_rounded(status), "–", "–"])
    print("\n".join(markdown(HEAD, rows)))
    with tempfile.TemporaryDirectory(dir=runs) as folder:
        file = Path(folder) / "gib"
        file.write_bytes(bytes(GIB))
        took = [seconds(lambda: digest_of(file)) for _ in range(REPEATS)]
    rates = sorted(GIB / 1e9 / second for second in took)
    print(f"\nsha256: {median(rates):.2f} GB/s ({rates[0]:.2f} to {rates[-1]:.2f}, n = {REPEATS})")


def _row(recipe: Recipe, run: Run, stage: str) -> list[str]:
    (run.root.parent / KEPT).unlink(missing_ok=True)
    before = [run.manifest(name) for name in upstream(recipe, stage)]
    size = sum(output.bytes for manifest in before for output in manifest.outputs.values())
    checks = [seconds(lambda: check(recipe, run, stage)) for _ in range(2)]
    took = _took(run.manifest(stage))
    share = f"{sum(checks) / took:.1%}" if took else "–"
    return [f"`{stage}`", f"{size / 1e6:,.1f}", *_rounded(checks), f"{took:,.0f}", share]


def check(recipe: Recipe, run: Run, stage: str) -> None:
    """As a stage does it before it starts, and again after it."""
    refuse_damaged_inputs(recipe, run, stage)
    inputs_of(recipe, run, stage)


def seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def _rounded(values: list[float]) -> list[str]:
    return [f"{value:.3f}" for value in values]


def _took(manifest: Manifest) -> float:
    start, end = (datetime.fromisoformat(text) for text in (manifest.start, manifest.end))
    return (end - start).total_seconds()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
