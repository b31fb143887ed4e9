"""The reference's log-probabilities kept on disk, and what is damaged of them computed again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from datasets import Dataset
from safetensors.torch import save_file
from torch import Tensor

from stemma.plugin.reference import Cache, add_reference

ROWS = {"prompt_ids": [[1], [2]], "chosen_ids": [[3], [4]], "rejected_ids": [[5], [6]]}


@pytest.fixture
def asked() -> list[list[int]]:
    """The batches that the reference was asked for."""
    return []


def added(folder: Path, asked: list[list[int]]) -> list[Any]:
    def score(rows: list[int]) -> tuple[Tensor, Tensor]:
        asked.append(rows)
        return torch.tensor([-1.5, -2.5])[rows], torch.tensor([-3.5, -4.5])[rows]

    cache = Cache(folder, "weights", {})
    dataset = Dataset.from_dict(ROWS)
    found = add_reference(dataset, [2, 2], cache, Accelerator(cpu=True), score)
    return [found["ref_chosen_logps"][:], found["ref_rejected_logps"][:]]


def flip_a_bit(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


def without_digest(path: Path) -> None:
    save_file({"logps": torch.tensor([[-9.0, -9.0], [-9.0, -9.0]])}, path)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-6])


def test_it_is_computed_once(tmp_path: Path, asked: list[list[int]]) -> None:
    assert added(tmp_path, asked) == added(tmp_path, asked) == [[-1.5, -2.5], [-3.5, -4.5]]
    assert len(asked) == 1


@pytest.mark.parametrize("damage", [flip_a_bit, without_digest, cut])
def test_what_is_damaged_is_computed_again(
    tmp_path: Path, asked: list[list[int]], damage: Any
) -> None:
    added(tmp_path, asked)
    [path] = tmp_path.iterdir()
    whole = path.read_bytes()
    damage(path)
    assert added(tmp_path, asked) == [[-1.5, -2.5], [-3.5, -4.5]]
    assert (len(asked), path.read_bytes()) == (2, whole)
