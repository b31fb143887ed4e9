from __future__ import annotations

from pathlib import Path

import pytest

from data_builders.outputs.files import spool
from stemma.jsonl import read_dicts
from stemma.rows import Dropped

ROW = Dropped(source="dpo: x", where="x:1", reason="duplicate", row={"prompt": "ü"})


def test_dropped_rows_are_there_also_when_the_build_fails(tmp_path: Path) -> None:
    path = tmp_path / "dropped.jsonl"

    def build() -> None:
        with spool(path) as write:
            write(ROW)
            assert not path.exists(), "whole or not at all"
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        build()
    assert read_dicts(path) == [ROW.model_dump()]
    assert [entry.name for entry in tmp_path.iterdir()] == ["dropped.jsonl"]


def test_what_a_killed_build_left_is_written_anew(tmp_path: Path) -> None:
    (tmp_path / ".dropped.jsonl.split").write_text("half a li")
    with spool(tmp_path / "dropped.jsonl") as write:
        write(ROW)
    assert read_dicts(tmp_path / "dropped.jsonl") == [ROW.model_dump()]
