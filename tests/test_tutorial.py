"""Every command of docs/tutorial.md, run in a copy of the checkout: the quick ones here, the long
chain, with few steps, among the slow tests."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from stemma import ROOT
from stemma.jsonl import read_json
from stemma.runs import Run

TEXT = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
COMMANDS = [
    line
    for block in re.findall(r"^```bash\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)
    for line in block.splitlines()
]
QUICK = ("new", "check", "preview")
LONG = ("all", "status", "chat", "plan", "rehearse")
FETCHES = "make all RECIPE=class"
"""Needs a network and an hour: of it only that the command can be read is tested."""
PARTS = (
    "recipes",
    "stemma",
    "data_builders",
    "export",
    "rag",
    "eval",
    "report",
    "serve",
    "examples",
)
FEW_STEPS = {
    "base.max_steps": 6,
    "train.max_steps": 2,
    "eval.tasks": "[{task: mcq}, {task: preference}]",
}


def verb(command: str) -> str:
    return command.split()[1]


def words(command: str) -> list[str]:
    """The words behind `python -m stemma` that a line of the tutorial comes to."""
    given = ["make", "--no-print-directory", "-n", *shlex.split(command)[1:]]
    environment = {"PATH": os.environ["PATH"]}
    done = subprocess.run(
        given, cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    return shlex.split(done.stdout.strip().splitlines()[-1])[3:]


def run(command: str, folder: Path, *more: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "stemma", *words(command), *more],
        cwd=folder,
        env={**os.environ, "QUESTION": "What does git commit do?"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what the commands need: they write recipes and runs there."""
    folder = tmp_path_factory.mktemp("tutorial")
    for part in PARTS:
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    if (ROOT / ".cache").exists():
        (folder / ".cache").symlink_to((ROOT / ".cache").resolve())
    return folder


def test_every_command_is_run_here() -> None:
    assert [verb(command) for command in COMMANDS if command != FETCHES] == [
        "new", "check", "preview", "all", "status", "chat", "plan", "rehearse"
    ]  # fmt: skip
    assert set(QUICK) | set(LONG) == {verb(command) for command in COMMANDS}
    assert words(FETCHES) == ["all", "class"]


def test_the_quick_commands(checkout: Path) -> None:
    said = {verb(one): run(one, checkout) for one in COMMANDS if verb(one) in QUICK}
    shown = re.findall(r"^```\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)[0]
    assert shown in said["new"]
    assert "class: ok" in said["check"]
    assert "[[ Changes are staged first" in " ".join(said["preview"].split())


@pytest.mark.slow
def test_the_long_chain(checkout: Path) -> None:
    few = [part for key, value in FEW_STEPS.items() for part in ("--set", f"{key}={value}")]
    if not (checkout / "recipes" / "class.yml").is_file():
        run(COMMANDS[0], checkout)
    said = {
        verb(command): run(command, checkout, *(few if "class-tiny" in command else []))
        for command in COMMANDS
        if verb(command) in LONG and command != FETCHES
    }
    steps = re.findall(r"^(?:sft|dpo|mcq) +\d+ +(\d+)", said["plan"], re.MULTILINE)
    assert f"here {steps[0]}, {steps[1]} and {steps[2]} steps" in TEXT
    made = Run(checkout / "runs" / "class-tiny")
    sets = made.manifest("data").counts["sets"]
    sizes = [sum(sets[kind][split] for kind in ("sft", "dpo", "mcq"))
             for split in ("train", "validation", "test")]  # fmt: skip
    assert f"{sizes[0]} train, {sizes[1]} validate, {sizes[2]} test" in TEXT
    assert "class-tiny" in made.output("report", "html").read_text(encoding="utf-8")
    scores = read_json(made.output("eval", "results"))
    assert {score["n"] for score in scores if score["task"] == "mcq"} >= {sets["mcq"]["test"]}


def test_the_teachers_files_are_as_the_tutorial_says() -> None:
    rows = {
        path.stem: len(path.read_text(encoding="utf-8-sig").splitlines()) - 1
        for path in (ROOT / "examples" / "teacher").glob("*.csv")
    }
    assert rows == {"questions": 60, "quiz": 48, "pairs": 35}
    assert "60 questions with answers, 48 multiple-choice questions and 35 pairs" in TEXT
