"""The environment: setup.sh, pyproject.toml and constraints.txt agree with each other and with the code."""

import ast
import os
import shutil
import subprocess
import sys
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import tomllib
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from stemma import ROOT

PACKAGES = ("stemma", "data_builders", "export", "eval", "report", "serve")
BROUGHT = {  # imports that a declared package brings along, by design
    "accelerate": "axolotl",
    "click": "typer",
    "datasets": "axolotl",
    "deepspeed": "axolotl",
    "gguf": "llama-cpp-python",
    "huggingface_hub": "transformers",
    "markupsafe": "jinja2",
    "pydantic_core": "pydantic",
    "trl": "axolotl",
    "yaml": "axolotl",  # its file is read as it reads it
}


def project() -> dict[str, object]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def requirements(*extras: str) -> list[Requirement]:
    table = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    optional = table["optional-dependencies"]
    lines = [*table["dependencies"], *(line for extra in extras or optional for line in optional[extra])]
    return [Requirement(line) for line in lines]


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pairs = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in pairs}


@cache
def distributions() -> dict[str, list[str]]:
    """Which installed packages an import name belongs to."""
    return dict(packages_distributions())


def imported() -> set[str]:
    files = [file for package in PACKAGES for file in (ROOT / package).rglob("*.py")]
    nodes = [node for file in files for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))]
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}
    return {name.split(".")[0] for name in names} - set(sys.stdlib_module_names) - set(PACKAGES)


def test_every_requirement_is_pinned_to_a_version_it_allows() -> None:
    wrong = [str(r) for r in requirements() if not r.specifier.contains(pins()[canonicalize_name(r.name)])]
    assert wrong == []


def test_constraints_suit_every_torch_build() -> None:
    assert [name for name in pins() if name == "triton" or name.startswith("nvidia-cu")] == []
    assert pins()["torch"] == "2.13.0"


def test_every_import_is_declared() -> None:
    declared = {canonicalize_name(r.name) for r in requirements()}
    owners = {name: [BROUGHT[name]] if name in BROUGHT else distributions().get(name, []) for name in imported()}
    assert {name: found for name, found in owners.items() if not {canonicalize_name(o) for o in found} & declared} == {}


def test_every_declared_package_is_imported() -> None:
    indirect = {"protobuf"}  # read by llama.cpp's converter
    used = {canonicalize_name(owner) for name in imported() for owner in distributions().get(name, [])}
    needed = {canonicalize_name(r.name) for r in requirements("train", "export", "eval", "laptop")}
    assert needed - used - indirect == set()


def test_the_laptop_extra_brings_no_training_engine() -> None:
    names = {canonicalize_name(r.name) for r in requirements("laptop")}
    assert names & {"torch", "transformers", "axolotl", "deepspeed", "bitsandbytes", "openai"} == set()


def test_only_stemma_is_packaged() -> None:
    assert project()["tool"]["setuptools"] == {"packages": ["stemma"]}  # type: ignore[index]


def copy_of_setup(folder: Path) -> Path:
    for name in ("setup.sh", "constraints.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, folder / name)
    return folder


def run_setup(folder: Path) -> subprocess.CompletedProcess[str]:
    """With no Python to be found, so that nothing is ever installed: it either has nothing to do or stops."""
    environment = {**os.environ, "PYTHON": "python-that-is-not-there", "STEMMA_CACHE": str(folder / "store")}
    return subprocess.run(["./setup.sh"], cwd=folder, env=environment, capture_output=True, text=True, check=False)


def make_ready(folder: Path) -> None:
    llama = pins()["llama-cpp-python"]
    (folder / f".cache/llama_cpp_python-{llama}").mkdir(parents=True)
    (folder / ".venv").mkdir()
    command = "cat setup.sh constraints.txt pyproject.toml | sha256sum | cut -d' ' -f1 > .venv/.ready"
    subprocess.run(["bash", "-c", command], cwd=folder, check=True)


def test_setup_without_python_says_what_to_install(tmp_path: Path) -> None:
    done = run_setup(copy_of_setup(tmp_path))
    assert done.returncode == 2
    assert done.stderr == (
        "setup: no python-that-is-not-there on this machine\n"
        "  hint: install Python 3.11, or set PYTHON=/path/to/python3.11\n"
    )


def test_a_ready_environment_is_left_alone(tmp_path: Path) -> None:
    make_ready(copy_of_setup(tmp_path))
    done = run_setup(tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("change", ["interrupted", "new constraints", "sources gone"])
def test_anything_unfinished_or_changed_is_set_up_again(tmp_path: Path, change: str) -> None:
    make_ready(copy_of_setup(tmp_path))
    if change == "interrupted":
        (tmp_path / ".venv/.unfinished").touch()
    elif change == "new constraints":
        (tmp_path / "constraints.txt").write_text("llama-cpp-python==0.3.36\n", encoding="utf-8")
    else:
        shutil.rmtree(tmp_path / ".cache")
    assert run_setup(tmp_path).returncode == 2
