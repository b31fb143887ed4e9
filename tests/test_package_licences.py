"""Licences of installed packages: read from what a package says of itself, unknown ones named."""

from __future__ import annotations

from importlib.metadata import Distribution, PathDistribution, distribution
from pathlib import Path

import pytest

from stemma import package_licences
from stemma.package_licences import UNKNOWN, licence_of, main, table_rows


def package(folder: Path, *lines: str, text: str = "") -> Distribution:
    """An installed package with these lines of metadata and this text of a licence."""
    info = folder / "some_pack-1.0.dist-info"
    info.mkdir(parents=True)
    head = ["Metadata-Version: 2.1", "Name: Some_Pack", "Version: 1.0", *lines]
    (info / "METADATA").write_text("\n".join(head) + "\n", encoding="utf-8")
    if text:
        (info / "LICENSE").write_text(text, encoding="utf-8")
        (info / "RECORD").write_text(f"{info.name}/LICENSE,,\n", encoding="utf-8")
    return PathDistribution(info)


GNU = "License :: OSI Approved :: GNU Lesser General Public License v3 (LGPLv3)"


@pytest.mark.parametrize(
    ("lines", "text", "licence", "mark"),
    [
        (["License-Expression: MIT", "License: BSD"], "", "MIT", ""),
        ([f"Classifier: {GNU}"], "", GNU.split(" :: ")[2], "copyleft"),
        (["Classifier: License :: OSI Approved", "License: Apache-2.0"], "", "Apache-2.0", ""),
        (["License: UNKNOWN"], "  MIT License\n\nCopyright", "MIT License", ""),
        (["License: MPL-2.0 AND MIT"], "", "MPL-2.0 AND MIT", "copyleft"),
        (["License: " + "words " * 20], "whatever", UNKNOWN, ""),
        ([], "", UNKNOWN, ""),
    ],
)
def test_a_package_says_its_licence(
    tmp_path: Path, lines: list[str], text: str, licence: str, mark: str
) -> None:
    one = package(tmp_path, *lines, text=text)
    assert list(table_rows([one])) == [("some-pack", "1.0", licence, mark)]


def test_what_is_documented_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(package_licences.READ, "some-pack", "BSD-3-Clause")
    [row] = table_rows([package(tmp_path)])
    assert row[2] == "BSD-3-Clause"
    assert licence_of(distribution("pydantic")) == "MIT"


def test_an_unknown_one_fails_and_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(package_licences, "distributions", lambda: [package(tmp_path)])
    assert main() == 1
    said = capsys.readouterr()
    assert "1 packages, 0 of them copyleft, 1 of no known licence" in said.out
    assert said.err.startswith("not known: some-pack\n  hint: look at their projects")


def test_every_package_of_this_environment_is_known(capsys: pytest.CaptureFixture[str]) -> None:
    assert main() == 0
    assert "pydantic " in capsys.readouterr().out
