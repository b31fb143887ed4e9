"""The tables of docs/engine-notes.md.

Files they name exist, and the traps shown here stand in them with their guards.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

from stemma import ROOT

TESTS = sorted(Path(__file__).parent.glob("test_*.py"))
HEADS = ["trap", "seen", "guard", "test"]
BAR = re.compile(r"(?<!\\)\|")
PATH = re.compile(
    r"`((?:stemma|data_builders|eval|export|report|serve|tests|recipes)/[\w./-]*|setup\.sh)`"
)
TRAP = re.compile(r"`(test_\w+)`")


def guards() -> dict[str, str]:
    """The file that each test's `@trap(...)` names.

    Read, not imported: importing takes the engines.
    """
    found = {}
    for path in TESTS:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            for decorator in getattr(node, "decorator_list", []):
                if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "trap":
                    assert isinstance(node, ast.FunctionDef)
                    found[node.name] = ast.literal_eval(decorator.args[0]).split()[0]
    return found


def rows() -> list[dict[str, str]]:
    """The rows of the tables of traps."""
    text = (
        (ROOT / "docs" / "engine-notes.md").read_text(encoding="utf-8").partition("\n## Gone ")[0]
    )
    lines = [
        line for line in text.splitlines() if line.startswith("|") and not line.startswith("|---")
    ]
    cells = [[cell.strip() for cell in BAR.split(line)[1:-1]] for line in lines]
    return [dict(zip(HEADS, row, strict=True)) for row in cells if row != HEADS]


def test_every_row_says_how_it_was_seen() -> None:
    assert len(rows()) > 100
    assert [row["trap"] for row in rows() if not row["seen"].startswith(("run", "source"))] == []
    assert [row["trap"] for row in rows() if not all(row.values())] == []


def test_every_file_that_is_named_exists() -> None:
    named = {path for row in rows() for path in PATH.findall(row["guard"] + row["test"])}
    assert len(named) > 40
    assert sorted(path for path in named if not (ROOT / path).exists()) == []


def test_each_trap_that_is_shown_stands_in_a_row_with_its_guard() -> None:
    listed = {name: row["guard"] for row in rows() for name in TRAP.findall(row["test"])}
    assert listed.keys() == guards().keys()
    assert {
        name: guard for name, guard in guards().items() if f"`{guard}`" not in listed[name]
    } == {}
    assert len(listed) > 20


def test_guards_exist() -> None:
    assert [path for path in guards().values() if not (ROOT / path).is_file()] == []
