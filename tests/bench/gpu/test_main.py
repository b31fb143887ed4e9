"""Parts run as processes with a limit: one that hangs is cut and keeps its figures, one that fails is named."""

from __future__ import annotations

from pathlib import Path

from bench.gpu.__main__ import PARTS, TOTAL_SECONDS, Part, run
from bench.gpu.device import said

CPU = ["--device", "cpu"]


def test_the_limits_leave_time_to_start_and_to_sum_up() -> None:
    assert sum(part.seconds for part in PARTS) <= TOTAL_SECONDS <= 570


def test_a_part_that_hangs_is_cut_and_keeps_its_figures(tmp_path: Path) -> None:
    output, problem = run(Part("sleeper", ("tests.bench.gpu.sleeper",), 60), CPU, 2, tmp_path / "log")
    assert problem == "cut after 2 s"
    assert said(output) == [{"part": "peak", "name": "square"}]


def test_a_part_that_fails_is_named_with_its_log(tmp_path: Path) -> None:
    output, problem = run(Part("absent", ("bench.absent",), 60), CPU, 30, tmp_path / "log")
    assert problem == f"ended with exit code 1, see {tmp_path / 'log'}"
    assert "No module named bench.absent" in output
