"""Checkpoints that are resumed: sealed, whole, of the same work. Real ones: `test_resume.py`."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

import pytest
import yaml
from ruamel.yaml import YAML

from stemma.errors import UserError
from stemma.training.checkpoints import (
    SEAL,
    Seal,
    binding_of,
    last_good,
    read_seal,
    set_aside_unusable,
)
from tests.factories.checkpoints import BINDING, FILES, make_checkpoint

DIGEST = hashlib.sha256(b"0123456789").hexdigest()


def test_a_whole_checkpoint(tmp_path: Path) -> None:
    seal = read_seal(make_checkpoint(tmp_path, 4))
    assert seal == Seal(step=4, processes=1, binding=BINDING, files=dict.fromkeys(FILES, DIGEST))


@pytest.mark.parametrize("name", [*FILES, SEAL])
@pytest.mark.parametrize("torn", ["cut", "missing", "a bit flipped"])
def test_a_torn_one_is_moved_aside_and_the_one_before_is_taken(
    name: str, torn: str, tmp_path: Path
) -> None:
    make_checkpoint(tmp_path, 4)
    path = make_checkpoint(tmp_path, 10) / name
    content = path.read_bytes()
    if torn == "missing":
        path.unlink()
    else:
        path.write_bytes(content[:-6] if torn == "cut" else bytes([content[0] ^ 1]) + content[1:])
    assert last_good(tmp_path) == (tmp_path / "checkpoint-4", 4)
    assert set_aside_unusable(tmp_path, BINDING, 1) == [
        "checkpoint-10 is damaged, or not written to its end: moved to torn/"
    ]
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["checkpoint-4", "torn"]
    assert (tmp_path / "torn" / "checkpoint-10").is_dir()


def test_checkpoints_of_other_work_are_moved_aside(tmp_path: Path) -> None:
    make_checkpoint(tmp_path, 4, binding="of another")
    told = ["checkpoint-4 is of another recipe, other data or other weights: moved to torn/"]
    assert set_aside_unusable(tmp_path, BINDING, 1) == told
    make_checkpoint(tmp_path, 4, binding="of another")
    assert set_aside_unusable(tmp_path, BINDING, 1) == told, "again, over the one moved before"
    assert set_aside_unusable(tmp_path, BINDING, 1) == []
    assert last_good(tmp_path) is None


def test_another_number_of_processes_is_told_before_anything_starts(tmp_path: Path) -> None:
    make_checkpoint(tmp_path, 4, processes=2)
    with pytest.raises(UserError) as caught:
        set_aside_unusable(tmp_path, BINDING, 1)
    assert str(caught.value) == (
        f"{tmp_path}/checkpoint-4: written by 2 processes, and this training has 1\n"
        "  expected: as many\n"
        "  hint: resume with GPUS=2 (all machines together), or begin anew with FORCE=1"
    )
    assert (tmp_path / "checkpoint-4").is_dir(), "nothing is lost"


def test_one_process_is_told_in_the_singular(tmp_path: Path) -> None:
    make_checkpoint(tmp_path, 4)
    with pytest.raises(UserError, match="written by 1 process, and this training has 2"):
        set_aside_unusable(tmp_path, BINDING, 2)


def test_a_checkpoint_under_another_steps_name_is_not_whole(tmp_path: Path) -> None:
    make_checkpoint(tmp_path, 4).rename(tmp_path / "checkpoint-8")
    assert last_good(tmp_path) is None


def test_the_first_step_of_an_attempt_without_a_checkpoint_is_forgotten(tmp_path: Path) -> None:
    """Two processes left two batches; one process would overwrite only its own."""
    batch = tmp_path / "first_step.rank1.safetensors"
    batch.touch()
    make_checkpoint(tmp_path, 4)
    set_aside_unusable(tmp_path, BINDING, 1)
    assert batch.exists(), "a resumed training does not see its first step again"
    set_aside_unusable(tmp_path, "of another", 1)
    assert not batch.exists()


def a_config(folder: Path) -> dict[str, Any]:
    (folder / "base").mkdir(parents=True)
    (folder / "base" / "model.safetensors").write_bytes(b"weights")
    (folder / "rows.jsonl").write_text("{}\n")
    (folder / "zero1.json").write_text("{}")
    return {
        "base_model": str(folder / "base"),
        "datasets": [{"path": str(folder / "rows.jsonl"), "type": "input_output"}],
        "deepspeed": str(folder / "zero1.json"),
        "learning_rate": 5e-5,
        "rl_beta": 1e-10,
        "seed": 42,
        "bf16": False,
        "output_dir": str(folder / "training"),
        "dataset_prepared_path": str(folder / "prepared"),
        "lora_target_modules": ["q_proj", "v_proj"],
        "stemma_dpo": {"chunked_logps": True},
        "adapter": None,
    }


def test_equal_work_is_bound_alike_wherever_it_lies_and_whoever_reads_its_file(
    tmp_path: Path,
) -> None:
    one, other = a_config(tmp_path / "one"), a_config(tmp_path / "other")
    assert binding_of(one) == binding_of(other)
    stream = io.StringIO()
    YAML(typ="safe").dump(one, stream)
    assert "learning_rate: 5e-05" in stream.getvalue()
    assert binding_of(YAML(typ="safe").load(stream.getvalue())) == binding_of(one)
    assert binding_of(yaml.safe_load(stream.getvalue())) == binding_of(one), "as Axolotl reads it"


@pytest.mark.parametrize(
    "change",
    [
        {"learning_rate": 4e-5},
        {"stemma_dpo": {"chunked_logps": False}},
        {"base_model": "some/model"},
        {"lora_target_modules": ["v_proj", "q_proj"]},
    ],
)
def test_other_settings_are_other_work(change: dict[str, Any], tmp_path: Path) -> None:
    config = a_config(tmp_path)
    assert binding_of(config | change) != binding_of(config)


@pytest.mark.parametrize("name", ["base/model.safetensors", "rows.jsonl", "zero1.json"])
def test_other_content_is_other_work(name: str, tmp_path: Path) -> None:
    config = a_config(tmp_path)
    before = binding_of(config)
    (tmp_path / name).write_bytes(b"other")
    assert binding_of(config) != before
