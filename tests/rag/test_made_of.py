from __future__ import annotations

from collections import namedtuple
from pathlib import Path

import pytest

from rag import made_of
from rag.made_of import keep_only
from stemma.errors import UserError

Usage = namedtuple("Usage", "total used free")  # as shutil's is


def make(tmp_path: Path) -> tuple[Path, Path]:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    return tmp_path / "encoder.gguf", folder


def test_a_model_is_kept_for_the_same_and_made_anew_of_another(tmp_path: Path) -> None:
    path, folder = make(tmp_path)
    for _ in range(2):
        keep_only(path, folder, pooling="mean")
        assert not path.exists()
    path.write_text("made")
    keep_only(path, folder, pooling="mean")
    assert path.exists()
    keep_only(path, folder, pooling="cls")
    assert not path.exists()
    path.write_text("made")
    (folder / "config.json").write_text("[]")
    keep_only(path, folder, pooling="cls")
    assert not path.exists()


@pytest.mark.parametrize("note", [None, "", "{", "[1]"])
def test_a_model_of_unknown_origin_is_made_anew(tmp_path: Path, note: str | None) -> None:
    path, folder = make(tmp_path)
    path.write_text("made")
    if note is not None:
        (tmp_path / "encoder.gguf.made.json").write_text(note)
    keep_only(path, folder, pooling="mean")
    assert not path.exists()


def test_a_disk_without_room_is_told_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, folder = make(tmp_path)
    (folder / "model.safetensors").write_bytes(b"\0" * 2_000_000)
    monkeypatch.setattr(made_of.shutil, "disk_usage", lambda _: Usage(1, 1, 1_000_000))
    with pytest.raises(UserError, match="the disk is full: 1 MB free"):
        keep_only(path, folder, pooling="mean")
