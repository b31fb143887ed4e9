"""The list of traps in docs/engine-notes.md is that of the tests here, and the guards they name exist."""

from __future__ import annotations

import re

from stemma import ROOT
from tests.engines import test_axolotl, test_deepspeed, test_transformers

MODULES = (test_axolotl, test_deepspeed, test_transformers)
ROW = re.compile(r"^\| `(test_\w+)` \|.*\| `([^`]+)`[^|]*\|$", re.MULTILINE)


def guards() -> dict[str, str]:
    """The file of each test."""
    return {
        name: test.guard.split()[0]
        for module in MODULES
        for name, test in vars(module).items()
        if hasattr(test, "guard")
    }


def test_the_list_is_that_of_the_tests() -> None:
    listed = ROW.findall((ROOT / "docs" / "engine-notes.md").read_text(encoding="utf-8"))
    assert dict(listed) == guards()
    assert len(listed) == len(guards()) > 20


def test_guards_exist() -> None:
    assert [path for path in guards().values() if not (ROOT / path).is_file()] == []
