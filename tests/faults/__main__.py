"""`make faults`: the rows of docs/reliability.md, run on the demo's finished run."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import pytest

from stemma import ROOT


def main() -> int:
    """Run the rows; the exit code is pytest's, or 2 where there is no finished demo."""
    given = arguments()
    runs = Path(given.runs).absolute()
    if not (runs / "tiny" / "report" / "manifest.json").is_file():
        print(f"{runs}/tiny: no finished demo\n  hint: run `make demo`, or pass RUNS=folder")
        return 2
    os.environ["FAULTS_RUNS"] = str(runs)
    if given.quick:
        os.environ["FAULTS_QUICK"] = "1"
    else:
        os.environ.setdefault("FAULTS_PAGE", str(ROOT / "docs" / "reliability.md"))
    from tests.faults.rows import ROWS

    # A fixed order: what is done in peace once serves all trials of a stage.
    tests = dict.fromkeys(row.test.partition("[")[0] for row in ROWS)
    chosen = ["-k", given.rows] if given.rows else []
    return pytest.main(["-p", "tests.faults.page", "-m", "not gpu", *chosen, *tests])


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make faults")
    parser.add_argument("--runs", default="runs", help="the folder with the finished demo")
    parser.add_argument("--quick", action="store_true", help="the rows of CI, and no page")
    parser.add_argument("--rows", default="", help="which rows, as pytest's -k")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
