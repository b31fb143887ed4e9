"""Parts run as processes with a limit.

One that hangs is cut and keeps its figures, one that fails is named.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.gpu import __main__ as main
from bench.gpu.__main__ import DPO, PEAK, SFT, SFT_PLAIN, TOTAL_SECONDS, Part, choose_parts, run
from bench.gpu.device import read_figures

CPU = ["--device", "cpu"]


@pytest.mark.parametrize("sft", [SFT, SFT_PLAIN])
def test_the_limits_leave_time_to_start_and_to_sum_up(sft: tuple[Part, ...]) -> None:
    assert sum(part.seconds for part in (PEAK, *sft, DPO)) <= TOTAL_SECONDS <= 8 * 60 - 15


def test_where_axolotl_is_missing_a_plain_loop_trains(monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose_parts() == ([PEAK, *SFT, DPO], [])
    monkeypatch.setattr(main, "find_spec", lambda _name: None)
    parts, lines = choose_parts()
    assert parts == [PEAK, *SFT_PLAIN, DPO]
    assert [line["name"] for line in read_figures("\n".join(lines))] == ["stock", "fast"]


def test_a_part_that_hangs_is_cut_and_keeps_its_figures(tmp_path: Path) -> None:
    output, problem = run(
        Part("sleeper", ("tests.bench.gpu.sleeper",), 60), CPU, 2, tmp_path / "log"
    )
    assert problem == "cut after 2 s"
    assert read_figures(output) == [{"part": "peak", "name": "square"}]


def test_a_part_that_fails_is_named_with_its_log(tmp_path: Path) -> None:
    output, problem = run(Part("absent", ("bench.absent",), 60), CPU, 30, tmp_path / "log")
    assert problem == f"ended with exit code 1, see {tmp_path / 'log'}"
    assert "No module named bench.absent" in output
