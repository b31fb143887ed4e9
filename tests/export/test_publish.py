"""export.publish: whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from export.publish import publish, sweep


def test_a_failed_maker_leaves_no_output(tmp_path: Path) -> None:
    def fail(out: Path) -> None:
        out.write_text("half")
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        publish(tmp_path / "a.gguf", fail)
    assert not (tmp_path / "a.gguf").exists()
    sweep(tmp_path)
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
