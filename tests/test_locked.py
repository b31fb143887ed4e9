"""The locked file agrees with constraints.txt and pyproject.toml, and setup.sh installs by it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import tomllib
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from stemma import ROOT
from stemma.locked import LEFT_OUT, locked_text

LOCKED = ROOT / "locked-Linux-x86_64.txt"
ENTRY = re.compile(r"([a-z0-9-]+)==(\S+) \\\n    --hash=sha256:[0-9a-f]{64}\n")
NOT_SET_UP = {"ray", "spacy", "tensorboardx"}
"""Pinned for extras that `make setup` leaves out."""


def body() -> str:
    lines = LOCKED.read_text(encoding="utf-8").splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith("#"))


def locked() -> dict[str, str]:
    return dict(ENTRY.findall(body()))


def constraints() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    every = [Requirement(line) for line in lines if line and not line.startswith("#")]
    here = {**default_environment(), "python_version": "3.12"}
    return {
        canonicalize_name(one.name): str(one.specifier).removeprefix("==")
        for one in every
        if one.marker is None or one.marker.evaluate(here)
    }


def test_every_requirement_has_a_version_and_a_hash() -> None:
    assert ENTRY.sub("", body()) == ""
    assert len(locked()) > 250
    assert list(locked()) == sorted(locked())


def test_the_versions_are_those_of_constraints() -> None:
    pinned = constraints()
    assert {name: pinned.get(name) for name in locked()} == locked()
    missing = {name for name in pinned if name not in locked() and not LEFT_OUT.fullmatch(name)}
    assert missing == NOT_SET_UP, "make locked"


def test_every_package_that_is_declared_is_locked_or_left_out_on_purpose() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    set_up = [extras[name] for name in extras if name not in ("spacy", "ray")]
    lines = [*project["dependencies"], *(line for extra in set_up for line in extra)]
    for one in map(Requirement, lines):
        name = canonicalize_name(one.name)
        if LEFT_OUT.fullmatch(name):
            assert name in ("torch", "llama-cpp-python")
        else:
            assert one.specifier.contains(locked()[name], prereleases=True), one


def test_it_tells_no_address_and_no_path() -> None:
    assert "://" not in body()
    assert "/" not in body()
    assert not {"torch", "stemma", "pip", "triton"} & locked().keys()


def test_pips_report_becomes_the_file() -> None:
    archive = {"archive_info": {"hashes": {"sha256": "5f"}}, "url": "file:///secret/A_b.whl"}
    one = {"metadata": {"name": "A_b", "version": "1.0"}, "download_info": archive}
    assert locked_text([one]).splitlines()[2:] == ["a-b==1.0 \\", "    --hash=sha256:5f"]


FAKE = """#!/bin/sh
case "$1" in -c) exec {python} "$@";; esac
case "$*" in *"-m venv"*) mkdir -p .venv/bin; cp "$0" .venv/bin/python; cp "$0" .venv/bin/pip;; esac
echo "$*" >> {log}
case "$*" in *require-hashes*) {hashes};; *download*) exit 1;; *--dry-run*) exit 1;; esac
"""


def installed(folder: Path, hashes: str = "exit 0", **variables: str) -> tuple[list[str], str]:
    """What setup.sh asks of pip where the sdist and the wheel are there, and what it says."""
    for name in ("setup.sh", "constraints.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    (folder / "locked-Linux-x86_64.txt").write_text("a==1 --hash=sha256:0\n", encoding="utf-8")
    setup = folder / "setup.sh"
    text = setup.read_text(encoding="utf-8")
    for step in ("fetch_sdist", "unpack_sources", "build_wheel", "check_disk", "check_machine"):
        assert f"\n{step}() " in text
        text = re.sub(rf"^ *{step}( .*)?$", ":", text, flags=re.MULTILINE)
    setup.write_text(text, encoding="utf-8")
    python, log = folder / "python3.12", folder / "asked.txt"
    fake = FAKE.format(python=sys.executable, log=log, hashes=hashes)
    python.write_text(fake, encoding="utf-8")
    python.chmod(0o755)
    given = {"PYTHON": str(python), "STEMMA_CACHE": str(folder / "store")} | variables
    done = subprocess.run(
        ["./setup.sh"],
        cwd=folder,
        env={**os.environ, **given},
        capture_output=True,
        text=True,
        check=False,
    )
    lines = log.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line.startswith("-m pip install")], done.stderr


def test_setup_installs_by_hash_first_and_the_rest_on_top(tmp_path: Path) -> None:
    asked, said = installed(tmp_path)
    first, torch, rest = (line for line in asked if "pip==" not in line and "--dry-run" not in line)
    assert "--no-deps --require-hashes --requirement locked-Linux-x86_64.txt" in first
    assert "--constraint constraints.txt torch" in torch
    assert "--no-build-isolation" in rest
    assert "by locked-Linux-x86_64.txt" in said


def test_without_the_file_versions_alone_hold(tmp_path: Path) -> None:
    asked, said = installed(tmp_path, STEMMA_LOCKED="")
    assert not any("--require-hashes" in line or "isolation" in line for line in asked)
    assert sum("--constraint constraints.txt" in line for line in asked) == 2
    assert "setup: 5 of 5: installing Axolotl, DeepSpeed and the rest (about 4 minutes)" in said


def test_a_file_with_another_hash_stops_it(tmp_path: Path) -> None:
    asked, said = installed(tmp_path, hashes="exit 1")
    assert "--require-hashes" in asked[-1], "nothing is installed behind it"
    *_, error, hint = said.splitlines()
    assert error == "setup: installing failed, for the reason above"
    assert "STEMMA_LOCKED= ./setup.sh installs by version alone" in hint
    assert not (tmp_path / ".venv/.ready").exists()
