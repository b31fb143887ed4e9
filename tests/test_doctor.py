"""What `doctor` asks of a machine depends on what its environment is for."""

import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from stemma import doctor


def examined(monkeypatch: pytest.MonkeyPatch, runs: Path, *installed: str) -> dict[str, str]:
    """The mark of each finding where no other packages are installed."""

    def version(name: str) -> str:
        if name not in installed:
            raise PackageNotFoundError(name)
        return "1.0"

    monkeypatch.setattr(doctor, "version", version)
    monkeypatch.setattr(doctor, "_probe", lambda *_: ("loads", True))
    monkeypatch.setattr(sys, "version_info", (3, 11, 2))
    return {finding.what: finding.mark for finding in doctor.examine(runs)}


LAPTOP = ("llama-cpp-python", "numpy", "model2vec", "snowballstemmer")


def test_a_laptop_is_judged_as_a_laptop(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Python 3.11, no torch, no Axolotl, no converter: all of it is as it must be."""
    (tmp_path / "physics/export").mkdir(parents=True)
    (tmp_path / "physics/export/manifest.json").touch()
    found = examined(monkeypatch, tmp_path, *LAPTOP)
    assert set(found.values()) == {"ok"}
    assert found.keys() == {"made for", "python", *LAPTOP, "models to chat with"}


def test_a_laptop_without_a_model_is_told_what_to_bring(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert examined(monkeypatch, tmp_path, *LAPTOP)["models to chat with"] == "note"
    [finding] = [f for f in doctor.examine(tmp_path) if f.what == "models to chat with"]
    wanted = (
        f"bring a run's `export` folder: {tmp_path}/RECIPE/export, and `rag` where it has passages"
    )
    assert (finding.found, finding.hint) == ("none", wanted)


def test_a_laptop_that_lacks_a_package_fails(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found = examined(monkeypatch, tmp_path, "llama-cpp-python", "numpy", "snowballstemmer")
    assert found["model2vec"] == "FAIL"


def test_an_environment_for_looking_lacks_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found = examined(monkeypatch, tmp_path)
    assert (found["chat"], found["training"]) == ("note", "note")
    assert "FAIL" not in found.values()


@pytest.mark.parametrize("engine", ["torch", "axolotl"])
def test_half_a_training_environment_is_judged_as_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, engine: str
) -> None:
    found = examined(monkeypatch, tmp_path, engine, *LAPTOP)
    assert found[engine] == "ok"
    assert found["deepspeed"] == found["python"] == "FAIL"


def test_a_build_for_another_processor_is_told_and_does_not_end_doctor() -> None:
    text, works = doctor._probe("import os, signal; os.kill(os.getpid(), signal.SIGILL)", "it")
    assert (text, works) == ("it ended (-4)", False)
