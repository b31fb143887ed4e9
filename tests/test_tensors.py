"""stemma.tensors: what is read in pieces is what was saved, and a written file is safetensors' own,
byte for byte."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from stemma import tensors
from stemma.errors import UserError
from stemma.tensors import Shape, Tensors, write_tensors

SAVED = {
    "b.weight": torch.arange(35, dtype=torch.float32).reshape(7, 5),
    "a.norm": torch.tensor([1.0, float("inf")]),
    "é": torch.tensor(3.0),
    "none": torch.empty((0, 4)),
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tensors, "PIECE", 10)
    save_file(
        {name: SAVED[name] for name in list(SAVED)[:1]},
        tmp_path / "model-00001-of-00002.safetensors",
    )
    save_file(
        {name: SAVED[name] for name in list(SAVED)[1:]},
        tmp_path / "model-00002-of-00002.safetensors",
    )
    return tmp_path


def test_pieces_are_rows_of_the_tensor(folder: Path) -> None:
    found = Tensors(folder)
    assert set(found) == set(SAVED)
    assert found["b.weight"].shape == Shape(torch.float32, (7, 5))
    pieces = list(found["b.weight"].pieces())
    assert [len(piece) for piece in pieces] == [2, 2, 2, 1]
    assert torch.equal(torch.cat(pieces), SAVED["b.weight"])
    assert torch.equal(found["a.norm"][...], SAVED["a.norm"])
    assert torch.equal(found["none"][...], SAVED["none"])
    assert [piece.shape for piece in found["é"].pieces()] == [()]
    assert found["é"][...] == 3.0
    assert list(found["none"].pieces()) == []


def test_a_wide_tensor_is_read_row_by_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensors, "PIECE", 3)
    save_file({"wide": torch.arange(8.0).reshape(2, 4)}, tmp_path / "wide.safetensors")
    assert [piece.tolist() for piece in Tensors(tmp_path)["wide"].pieces()] == [
        [[0, 1, 2, 3]],
        [[4, 5, 6, 7]],
    ]


@pytest.mark.parametrize("left", [0, 4, 30])
def test_a_damaged_header_is_named(left: int, tmp_path: Path) -> None:
    save_file(SAVED, tmp_path / "model.safetensors")
    path = tmp_path / "model.safetensors"
    path.write_bytes(path.read_bytes()[:left])
    with pytest.raises(UserError, match=r"model\.safetensors: its header cannot be read"):
        Tensors(tmp_path)


def test_a_file_that_is_cut_off_is_named(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_file({"a": torch.ones(100)}, path)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(UserError, match=r"model\.safetensors: it is cut off\n.*expected.*whole"):
        Tensors(tmp_path)["a"][...]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int64])
def test_a_written_file_is_what_safetensors_writes(
    dtype: torch.dtype, folder: Path, tmp_path: Path
) -> None:
    found = Tensors(folder)
    shapes = {name: Shape(dtype, found[name].shape.sizes) for name in found if name != "a.norm"}
    write_tensors(
        tmp_path / "ours", shapes, lambda name: (piece.to(dtype) for piece in found[name].pieces())
    )
    theirs = {name: SAVED[name].to(dtype) for name in shapes}
    save_file(theirs, tmp_path / "theirs", metadata={"format": "pt"})
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()


def test_dtypes_of_several_sizes_are_aligned(tmp_path: Path) -> None:
    mixed = {
        "a": torch.ones(3, dtype=torch.uint8),
        "b": torch.ones(3),
        "c": torch.ones(3, dtype=torch.bfloat16),
    }
    shapes = {name: Shape(tensor.dtype, tuple(tensor.shape)) for name, tensor in mixed.items()}
    write_tensors(tmp_path / "mixed.safetensors", shapes, lambda name: iter([mixed[name]]))
    found = load_file(tmp_path / "mixed.safetensors")
    assert all(torch.equal(found[name], mixed[name]) for name in mixed)


def bytes_read() -> int:
    lines = Path("/proc/self/io").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("rchar:"))


def test_each_byte_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensors, "PIECE", 30_000)
    value = torch.randn(7000, 300).bfloat16()
    save_file({"half": value}, tmp_path / "model.safetensors")
    stored = Tensors(tmp_path)["half"]
    begin = bytes_read()
    pieces = list(stored.pieces())
    taken = bytes_read() - begin
    assert len(pieces) == 70
    assert torch.cat(pieces).equal(value)
    # 4.2 MB; by safetensors' own slices it was 70 times as much.
    assert taken < 2 * 4_200_000
