"""What is installed beside Axolotl takes part in no training unnamed."""

from __future__ import annotations

from pathlib import Path

import pytest

from stemma import launch
from stemma.cluster import Cluster
from stemma.errors import UserError
from stemma.foreign import foreign


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package that registers a plugin and a model."""
    metadata = tmp_path / "taster-1.2.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: Taster\nVersion: 1.2\n", encoding="utf-8")
    points = "[axolotl.plugins]\nt = taster:Plugin\n[axolotl.model_support]\nm = taster:Model\n"
    (metadata / "entry_points.txt").write_text(points, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))


def test_axolotls_own_are_let_through() -> None:
    assert foreign() == []


@pytest.mark.usefixtures("installed")
def test_each_registration_is_told_with_its_package() -> None:
    model, plugin = map(str, foreign())
    assert plugin == (
        "entry point axolotl.plugins: Axolotl would load `taster:Plugin` of taster 1.2 into every training, unnamed\n"
        "  expected: Axolotl's own only\n  hint: pip uninstall taster"
    )
    assert model.startswith("entry point axolotl.model_support: Axolotl would load `taster:Model` of taster 1.2")


@pytest.mark.usefixtures("installed")
def test_nothing_is_trained_beside_one(tmp_path: Path) -> None:
    config = {"output_dir": str(tmp_path / "training"), "dataset_prepared_path": str(tmp_path / "p"), "base_model": "m"}
    with pytest.raises(UserError, match=r"of taster 1\.2 into every training"):
        launch.train(config, tmp_path / "axolotl.yml", Cluster(), print)
    assert not (tmp_path / "axolotl.log").exists(), "Axolotl was not started"


@pytest.mark.usefixtures("installed")
def test_by_hand_the_plugin_refuses_it() -> None:
    from stemma.plugin import StemmaPlugin

    with pytest.raises(RuntimeError, match=r"of taster 1\.2 into every training"):
        StemmaPlugin().register({"deepspeed": "zero1.json"})
