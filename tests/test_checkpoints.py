"""Which checkpoints are gone on with: sealed, whole, of the same work. Real ones: `test_resume.py`."""

from __future__ import annotations

from pathlib import Path

import pytest

from stemma.checkpoints import SEAL, Seal, last_good, put_in_order, read_seal, sizes
from stemma.errors import UserError
from stemma.jsonl import write_json

BINDING = "of this work"
FILES = ("trainer_state.json", "adapter_model.safetensors", "rng_state_1.pth", "global_step4/zero_pp_rank_0_optim.pt")


def make_checkpoint(output: Path, step: int, binding: str = BINDING, processes: int = 1) -> Path:
    folder = output / f"checkpoint-{step}"
    for name in FILES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"0123456789")
    write_json(folder / SEAL, Seal(step=step, processes=processes, binding=binding, files=sizes(folder)).model_dump())
    return folder


def test_a_whole_checkpoint(tmp_path: Path) -> None:
    seal = read_seal(make_checkpoint(tmp_path, 4))
    assert seal == Seal(step=4, processes=1, binding=BINDING, files=dict.fromkeys(FILES, 10))


@pytest.mark.parametrize("name", [*FILES, SEAL])
@pytest.mark.parametrize("torn", ["cut", "missing"])
def test_a_torn_one_is_moved_aside_and_the_one_before_is_taken(name: str, torn: str, tmp_path: Path) -> None:
    make_checkpoint(tmp_path, 4)
    path = make_checkpoint(tmp_path, 10) / name
    path.write_bytes(path.read_bytes()[:-6]) if torn == "cut" else path.unlink()
    assert last_good(tmp_path) == (tmp_path / "checkpoint-4", 4)
    assert put_in_order(tmp_path, BINDING, 1) == ["checkpoint-10 is not written to its end: moved to torn/"]
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["checkpoint-4", "torn"]
    assert (tmp_path / "torn" / "checkpoint-10").is_dir()


def test_checkpoints_of_other_work_are_moved_aside(tmp_path: Path) -> None:
    make_checkpoint(tmp_path, 4, binding="of another")
    told = ["checkpoint-4 is of another recipe, other data or other weights: moved to torn/"]
    assert put_in_order(tmp_path, BINDING, 1) == told
    make_checkpoint(tmp_path, 4, binding="of another")
    assert put_in_order(tmp_path, BINDING, 1) == told, "again, over the one moved before"
    assert put_in_order(tmp_path, BINDING, 1) == []
    assert last_good(tmp_path) is None


def test_another_number_of_processes_is_told_before_anything_starts(tmp_path: Path) -> None:
    make_checkpoint(tmp_path, 4, processes=2)
    with pytest.raises(UserError) as caught:
        put_in_order(tmp_path, BINDING, 1)
    assert str(caught.value) == (
        f"{tmp_path}/checkpoint-4: written by 2 processes, and this training has 1\n"
        "  expected: as many\n"
        "  hint: go on with GPUS=2 (all machines together), or begin anew with FORCE=1"
    )
    assert (tmp_path / "checkpoint-4").is_dir(), "nothing is lost"
