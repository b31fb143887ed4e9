"""The memory bench's sums by hand, and one real piece of work (slow)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bench.memory import SMALL, growth, make_model
from bench.process_memory import Peak, family, measure, resident
from stemma import ROOT
from stemma.errors import StageFailed


def test_growth_is_told_a_token() -> None:
    found = {count: Peak(0, 1000 + 50 * count, 0) for count in (20, 40, 80)}
    assert growth(found, 100) == 0.5


def test_children_are_counted() -> None:
    code = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'input()'])"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE) as child:
        # A process just begun holds next to nothing: wait until the interpreter is there.
        while len(family(child.pid)) < 2 or resident(family(child.pid)[1]) < 1_000_000:
            assert child.poll() is None
        assert family(child.pid)[0] == child.pid
        assert child.stdin is not None
        child.stdin.write(b"\n")
    assert (family(child.pid), resident(child.pid)) == ([], 0)


def test_a_model_of_true_shapes_is_one_that_transformers_loads(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    folder = make_model(tmp_path / "model", 1000, SMALL, "bfloat16")
    model, loaded = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True)
    assert not loaded["missing_keys"]
    assert not loaded["unexpected_keys"]
    assert (
        model.num_parameters()
        == 1000 * 64 + 2 * (64 * 64 * 2 + 64 * 16 * 2 + 3 * 64 * 128 + 2 * 64) + 64
    )


@pytest.mark.slow
def test_evaluation_keeps_no_logits(tmp_path: Path) -> None:
    """A hundredth of them at most. Where glibc puts a batch is chance, tens of megabytes of it: the
    bench itself takes the least of three runs, and says what a token really takes."""
    folder = make_model(tmp_path / "model", 256_000, SMALL, "bfloat16")
    found = {n: measure(ROOT, work="pairs", count=n, kind="hf", model=folder) for n in (8, 160)}
    assert growth(found, 100) < 256_000 * 4 / 100
    with pytest.raises(StageFailed, match="pairs: exit code 1"):
        measure(ROOT, work="pairs", count=1, kind="hf", model=tmp_path / "none")
