"""A folder of made rows counts only as it was written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from eval.sealed import is_whole, sealing


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "rows.jsonl").write_text("[2]\n"),
        lambda folder: (folder / "rows.jsonl").write_text(""),
        lambda folder: (folder / "rows.jsonl").unlink(),
        lambda folder: (folder / "sha256.json").unlink(),
        lambda folder: (folder / "sha256.json").write_text("{"),
        lambda folder: (folder / "sha256.json").write_text("[]"),
    ],
)
def test_whatever_is_changed_the_folder_does_not_count(
    tmp_path: Path, damage: Callable[[Path], object]
) -> None:
    folder = tmp_path / "made"
    assert not is_whole(folder)
    with sealing(folder) as part:
        (part / "rows.jsonl").write_text("[1]\n", encoding="utf-8")
        assert not is_whole(folder)
    assert is_whole(folder)
    damage(folder)
    assert not is_whole(folder)
