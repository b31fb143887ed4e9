"""Needs of the GPU bench, and the lines with figures that its parts print."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from bench.gpu.device import read_figures
from bench.gpu.needs import require
from stemma import ROOT
from stemma.errors import UserError

without_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")


@without_gpu
def test_no_gpu_is_one_clear_error() -> None:
    with pytest.raises(UserError) as error:
        require("cuda", small=False)
    assert str(error.value) == (
        "bench.gpu: no CUDA device\n  expected: a GPU with 70 GB free (H100, H200)\n"
        "  hint: `--device cpu --small` tries the same code on a CPU; a CUDA build of torch "
        "comes with `make setup`"
    )


def test_a_cpu_needs_no_gpu() -> None:
    require("cpu", small=True)


@without_gpu
@pytest.mark.slow
def test_the_command_ends_with_2_and_no_traceback() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench.gpu"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "bench.gpu: no CUDA device" in done.stderr
    assert "Traceback" not in done.stderr


def test_figures_are_found_among_what_engines_print() -> None:
    output = 'loading…\n{"part": "dpo", "name": "ours"}\n{"loss": 1}\n{"part": "dpo", "na'
    assert read_figures(output) == [{"part": "dpo", "name": "ours"}], (
        "a line that a kill cut is no figure"
    )
