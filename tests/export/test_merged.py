"""export.merged: the stage's own figures where its weights are these, its own gate where they are
not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from export.conversations import Trial
from export.merged import make_merged, merge_gates
from stemma.stages import Work
from stemma.templates import Template
from stemma.training import gates
from stemma.training.merge import merge_adapter
from tests.factories.manifests import write_manifest
from tests.factories.models import TEMPLATE
from tests.factories.run_to_export import make_chain

STAGE = {
    "merge": {"max_difference": 0.1, "kl": 2e-4, "top1": 0.99, "positions": 900},
    "adapter_effect": {"max_difference": 3.0, "kl": 0.1, "top1": 0.8, "positions": 900},
}
TRIAL = Trial([], [], [([2, 120, 130, 140], 2)], 2, Template.read(TEMPLATE))


@pytest.fixture
def work(tmp_path: Path) -> Work:
    """A chain whose stage has handed over a merged model in float32, with STAGE's figures."""
    export = {"from": "sft", "merge": {"dtype": "float32"}, "gguf": {"types": ["F16"]}, "ship": "gguf-F16"}
    recipe, run = make_chain(tmp_path, export, hidden=32)
    merge_adapter(tmp_path / "model", run.folder("sft") / "adapter", run.folder("sft") / "merged", TRIAL.template)
    write_manifest(run, "sft", {"adapter": "adapter", "merged": "merged"}, facts=STAGE)
    run.folder("export").mkdir()
    return Work(recipe, run, "export", _silent)


def test_equal_weights_are_not_compared_again(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gates, "merge_gate", _refuse)
    kl, top1, lost = merge_gates(work, make_merged(work), TRIAL)
    assert (kl.measured, kl.n, kl.passed) == (2e-4, 900, True)
    assert (top1.measured, lost.measured) == (0.99, pytest.approx(2e-3))


def test_another_dtype_is_compared(work: Work) -> None:
    section = work.recipe.export
    merge = section.merge.model_copy(update={"dtype": "bfloat16"})
    recipe = work.recipe.model_copy(update={"exported_as": section.model_copy(update={"merge": merge})})
    half = Work(recipe, work.run, "export", _silent)
    kl, *_ = merge_gates(half, make_merged(half), TRIAL)
    assert kl.n == 4
    assert 0 < kl.measured < 1e-3


def _refuse(*_: Any) -> None:
    raise AssertionError("computed again")


def _silent(text: str) -> None:
    del text
