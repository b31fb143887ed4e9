"""The list of traps in docs/engine-notes.md is that of the tests here, and the guards they name exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from stemma import ROOT

TESTS = sorted(Path(__file__).parent.glob("test_*.py"))
ROW = re.compile(r"^\| `(test_\w+)` \|.*\| `([^`]+)`[^|]*\|$", re.MULTILINE)


def guards() -> dict[str, str]:
    """The file that each test's `@trap(...)` names. Read, not imported: importing takes the engines."""
    found = {}
    for path in TESTS:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            for decorator in getattr(node, "decorator_list", []):
                if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "trap":
                    assert isinstance(node, ast.FunctionDef)
                    found[node.name] = ast.literal_eval(decorator.args[0]).split()[0]
    return found


def test_the_list_is_that_of_the_tests() -> None:
    listed = ROW.findall((ROOT / "docs" / "engine-notes.md").read_text(encoding="utf-8"))
    assert dict(listed) == guards()
    assert len(listed) == len(guards()) > 20


def test_guards_exist() -> None:
    assert [path for path in guards().values() if not (ROOT / path).is_file()] == []
