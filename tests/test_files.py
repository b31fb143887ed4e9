"""Files and folders appear whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from stemma.files import atomic, new_folder, publish, remove_parts


def test_a_failed_maker_leaves_no_output(tmp_path: Path) -> None:
    def fail(out: Path) -> None:
        out.write_text("half")
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        publish(tmp_path / "a.gguf", fail)
    assert not (tmp_path / "a.gguf").exists()
    remove_parts(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_half_made_folder_is_not_continued(tmp_path: Path) -> None:
    (tmp_path / ".merged.part").mkdir()
    (tmp_path / ".merged.part" / "torn.safetensors").write_text("half")
    publish(tmp_path / "merged", lambda out: out.mkdir())
    assert list((tmp_path / "merged").iterdir()) == []


def test_a_finished_output_is_kept(tmp_path: Path) -> None:
    (tmp_path / "a.gguf").write_text("whole")
    publish(tmp_path / "a.gguf", _refuse)
    assert (tmp_path / "a.gguf").read_text() == "whole"


def _refuse(out: Path) -> None:
    raise AssertionError(f"{out} is made again")


def test_a_new_folder_takes_the_old_ones_place_only_when_it_is_whole(tmp_path: Path) -> None:
    adapter = tmp_path / "adapter"
    with new_folder(adapter) as part:
        (part / "old").touch()
    with pytest.raises(RuntimeError, match="killed"):
        _leave_half_a_folder(adapter)
    assert [path.name for path in adapter.iterdir()] == ["old"]
    with new_folder(adapter) as part:
        assert list(part.iterdir()) == [], "nothing of the killed attempt"
        (part / "new").touch()
    assert [path.name for path in adapter.iterdir()] == ["new"]
    assert [path.name for path in tmp_path.iterdir()] == ["adapter"]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "below" / "x.txt"
    with atomic(path) as stream:
        stream.write("first")
        assert not path.exists()
    with pytest.raises(RuntimeError, match="full"):
        _leave_half_a_file(path)
    assert path.read_text() == "first"
    assert [one.name for one in path.parent.iterdir()] == ["x.txt"]


def _leave_half_a_folder(path: Path) -> None:
    with new_folder(path) as part:
        (part / "torn").touch()
        raise RuntimeError("killed")


def _leave_half_a_file(path: Path) -> None:
    with atomic(path) as stream:
        stream.write("half of the sec")
        raise RuntimeError("full")
