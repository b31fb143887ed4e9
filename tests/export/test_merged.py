"""export.merged: the stage's own model and gates where its dtype is asked for, else merged anew."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from export.conversations import TriedConversations
from export.merged import is_stored_in, make_merged, merged_gates
from stemma.gate import HandOver, recorded
from stemma.stages import Work
from stemma.templates import Template
from stemma.training import merge_gate
from stemma.training.merge import MergeParts, merge_adapter, write_merged
from tests.factories.manifests import write_manifest
from tests.factories.models import TEMPLATE
from tests.factories.run_to_export import make_chain

GATES = [
    HandOver("adapter", "training").exactly("trained LoRA pairs", 4, 4, 4),
    HandOver("merged", "merging the adapter").at_most("mean KL", 2e-4, 1e-3, 900),
]
TRIAL = TriedConversations([], [], [([2, 120, 130, 140], 2)], 2, Template.read(TEMPLATE))


@pytest.fixture
def work(tmp_path: Path) -> Work:
    """A chain whose stage has handed over a merged model in float32, with GATES."""
    export = {
        "from": "sft",
        "merge": {"dtype": "float32"},
        "gguf": {"types": ["F16"]},
        "ship": "gguf-F16",
    }
    recipe, run = make_chain(tmp_path, export, hidden=32)
    merge_adapter(
        tmp_path / "model",
        run.folder("sft") / "adapter",
        run.folder("sft") / "merged",
        TRIAL.template,
    )
    outputs = {"adapter": "adapter", "merged": "merged"}
    write_manifest(run, "sft", outputs, facts={"gates": recorded(GATES)})
    run.folder("export").mkdir()
    return Work(recipe, run, "export", _silent)


def test_the_stages_merged_model_is_taken_with_its_gates(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(merge_gate, "merge_gate", _refuse)
    monkeypatch.setattr("export.merged.write_merged", _refuse)
    merged = make_merged(work)
    assert merged_gates(work, merged, TRIAL) == [GATES[1]]
    stage = work.run.folder("sft") / "merged"
    assert {path.name for path in merged.iterdir()} == {path.name for path in stage.iterdir()}
    for path in merged.iterdir():
        assert path.read_bytes() == (stage / path.name).read_bytes()
    name = "model.safetensors"
    assert (merged / name).stat().st_ino == (stage / name).stat().st_ino, "no gigabytes twice"
    assert (merged / "config.json").stat().st_ino != (stage / "config.json").stat().st_ino


def test_what_is_taken_is_what_merging_would_write(work: Work, tmp_path: Path) -> None:
    merge = MergeParts(tmp_path / "model", work.run.folder("sft") / "adapter", "float32")
    write_merged(merge, tmp_path / "again", TRIAL.template)
    merged = make_merged(work)
    for path in (tmp_path / "again").iterdir():
        assert (merged / path.name).read_bytes() == path.read_bytes(), path.name


def test_without_hard_links_weights_are_copied(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise OSError("cross-device link")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    merged = make_merged(work) / "model.safetensors"
    stage = work.run.folder("sft") / "merged" / "model.safetensors"
    assert merged.read_bytes() == stage.read_bytes()
    assert merged.stat().st_ino != stage.stat().st_ino


def test_gates_of_an_earlier_version_are_measured_again(work: Work) -> None:
    outputs = {"adapter": "adapter", "merged": "merged"}
    write_manifest(work.run, "sft", outputs, facts={"merge": {"kl": 2e-4}})
    gates = merged_gates(work, make_merged(work), TRIAL)
    assert [gate.subject for gate in gates] == ["merged"] * 4
    assert all(gate.passed for gate in gates)


def test_another_dtype_is_merged_and_compared(work: Work) -> None:
    section = work.recipe.export
    merge = section.merge.model_copy(update={"dtype": "bfloat16"})
    recipe = work.recipe.model_copy(
        update={"exported_as": section.model_copy(update={"merge": merge})}
    )
    half = Work(recipe, work.run, "export", _silent)
    merged = make_merged(half)
    assert is_stored_in("bfloat16", merged)
    assert not is_stored_in("float32", merged)
    kl, *_ = merged_gates(half, merged, TRIAL)
    assert (kl.name, kl.n) == ("mean KL to adapter-on-start, nats per token", 4)
    assert kl.value is not None
    assert 0 < kl.value < 1e-3


def _refuse(*_: Any) -> None:
    raise AssertionError("computed again")


def _silent(text: str) -> None:
    del text
