"""Packages installed beside Axolotl take part in no training unnamed."""

from __future__ import annotations

from pathlib import Path

import pytest

from stemma.errors import UserError
from stemma.training import launch
from stemma.training.cluster import Cluster
from stemma.training.foreign_plugins import foreign


def install(folder: Path, name: str, metadata: str | None, points: bytes) -> None:
    """A package's metadata, in a folder on sys.path; without any, as a broken installation leaves
    it."""
    where = folder / name
    where.mkdir()
    if metadata is not None:
        (where / "METADATA").write_text(metadata, encoding="utf-8")
    (where / "entry_points.txt").write_bytes(points)


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package that registers a plugin and a model."""
    points = b"[axolotl.plugins]\nt = taster:Plugin\n[axolotl.model_support]\nm = taster:Model\n"
    install(
        tmp_path,
        "taster-1.2.dist-info",
        "Metadata-Version: 2.1\nName: Taster\nVersion: 1.2\n",
        points,
    )
    monkeypatch.syspath_prepend(str(tmp_path))


def test_axolotls_own_are_let_through() -> None:
    assert foreign() == []


@pytest.mark.usefixtures("installed")
def test_each_registration_is_told_with_its_package() -> None:
    model, plugin = map(str, foreign())
    assert plugin == (
        "entry point axolotl.plugins: Axolotl would load `taster:Plugin` of taster 1.2 into every "
        "training, unnamed\n"
        "  expected: Axolotl's own only\n  hint: pip uninstall taster"
    )
    assert model.startswith(
        "entry point axolotl.model_support: Axolotl would load `taster:Model` of taster 1.2"
    )


@pytest.mark.parametrize("metadata", [None, "Metadata-Version: 2.1\n"])
@pytest.mark.parametrize("name", ["taster-1.2.dist-info", "taster.egg-info"])
def test_of_damaged_metadata_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, metadata: str | None
) -> None:
    install(tmp_path, name, metadata, b"[axolotl.plugins]\nt = taster:Plugin\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    (problem,) = map(str, foreign())
    assert (
        "would load `taster:Plugin` of a package whose metadata names none into every training"
        in problem
    )
    assert problem.endswith(
        "hint: find it: grep -rl 'taster:Plugin' --include=entry_points.txt .venv"
    )


@pytest.mark.parametrize(
    "points", [b"\xff\xfe[axolotl.plugins]", b"[axolotl.plugins]\nno equals sign\n"]
)
def test_entry_points_that_cannot_be_read_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, points: bytes
) -> None:
    install(tmp_path, "taster-1.2.dist-info", "Metadata-Version: 2.1\nName: taster\n", points)
    monkeypatch.syspath_prepend(str(tmp_path))
    (problem,) = map(str, foreign())
    assert problem.startswith("installed packages: entry_points.txt of taster: ")


@pytest.mark.parametrize(
    ("name", "value"), [("axolotl_contribs", "axolotl.evil:P"), ("axolotl", "evil:P")]
)
def test_a_likely_name_is_not_axolotls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    points = f"[axolotl.plugins]\nt = {value}\n".encode()
    install(
        tmp_path,
        f"{name}-9.dist-info",
        f"Metadata-Version: 2.1\nName: {name}\nVersion: 9\n",
        points,
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    assert [f"`{value}` of {name} 9 into" in str(problem) for problem in foreign()] == [True]


@pytest.mark.usefixtures("installed")
def test_nothing_is_trained_beside_one(tmp_path: Path) -> None:
    config = {
        "output_dir": str(tmp_path / "training"),
        "dataset_prepared_path": str(tmp_path / "p"),
        "base_model": "m",
    }
    with pytest.raises(UserError, match=r"of taster 1\.2 into every training"):
        launch.train(config, tmp_path / "axolotl.yml", Cluster(), print)
    assert not (tmp_path / "axolotl.log").exists(), "Axolotl was not started"


@pytest.mark.usefixtures("installed")
def test_by_hand_the_plugin_refuses_it() -> None:
    from stemma.plugin import StemmaPlugin

    with pytest.raises(RuntimeError, match=r"of taster 1\.2 into every training"):
        StemmaPlugin().register({"deepspeed": "zero1.json"})
