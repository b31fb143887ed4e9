"""The wheel: all of `stemma`, its rooms and the pinned list of Axolotl's keys, and nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from stemma import ROOT

BUILD = "import sys; from setuptools import build_meta; print(build_meta.build_wheel(sys.argv[1]))"


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a wheel built from a copy of the checkout installs. Nothing is fetched."""
    source = tmp_path_factory.mktemp("source")
    target = tmp_path_factory.mktemp("site-packages")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for folder in ("stemma", "eval", "export", "recipes"):
        shutil.copytree(
            ROOT / folder, source / folder, ignore=shutil.ignore_patterns("__pycache__")
        )
    command = [sys.executable, "-c", BUILD, str(target)]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    [wheel] = target.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target)
    wheel.unlink()
    return target


def files(folder: Path) -> set[str]:
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {path.as_posix() for path in found if "__pycache__" not in path.parts}


def test_the_wheel_holds_every_file_of_the_package(unpacked: Path) -> None:
    installed = files(unpacked / "stemma")
    assert installed == files(ROOT / "stemma")
    assert {"plugin/__init__.py", "recipe/axolotl_fields.json"} <= installed


def test_the_wheel_holds_nothing_else(unpacked: Path) -> None:
    others = {path.name for path in unpacked.iterdir()} - {"stemma"}
    assert [name for name in others if not name.endswith(".dist-info")] == []


def test_the_pinned_list_is_read_where_it_was_installed(unpacked: Path) -> None:
    code = (
        "from stemma.recipe.axolotl_keys import PINNED, axolotl_fields; axolotl_fields(); "
        "print(PINNED)"
    )
    environment = {**os.environ, "PYTHONPATH": str(unpacked)}
    command = [sys.executable, "-P", "-c", code]
    done = subprocess.run(
        command, cwd=unpacked, env=environment, capture_output=True, text=True, check=True
    )
    assert Path(done.stdout.strip()).is_relative_to(unpacked)
