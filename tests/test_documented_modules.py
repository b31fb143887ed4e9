"""ARCHITECTURE.md names every module of the product; every path that a guide names exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from stemma import ROOT

PRODUCT = ("stemma", "data_builders", "export", "rag", "eval", "report", "serve")
GUIDES = sorted(
    [
        ROOT / "README.md",
        ROOT / "ARCHITECTURE.md",
        ROOT / "CONTRIBUTING.md",
        *ROOT.glob("docs/*.md"),
    ]
)
FOLDER = re.compile(r"^### `([\w/]+/)`: ", re.MULTILINE)
MODULE = re.compile(r"^\| `(\w+)` \|", re.MULTILINE)
MADE = {"recipes/class.yml", "recipes/class-tiny.yml"}
"""What the tutorial's `make new` writes."""
PATH = re.compile(rf"`((?:{'|'.join((*PRODUCT, 'tests', 'bench', 'recipes', 'docs'))})/[\w./-]*)`")


def architecture() -> str:
    return (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")


def listed() -> dict[str, list[str]]:
    """The modules in the table of each folder."""
    _, *parts = FOLDER.split(architecture().partition("\n## Modules\n")[2])
    tables = dict(zip(parts[::2], parts[1::2], strict=True))
    return {folder: MODULE.findall(text.partition("\n## ")[0]) for folder, text in tables.items()}


def on_disk() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for path in (path for name in PRODUCT for path in (ROOT / name).rglob("*.py")):
        if not path.stem.startswith("__"):
            found.setdefault(f"{path.parent.relative_to(ROOT)}/", []).append(path.stem)
    return found


def test_every_module_stands_in_its_folders_table_once() -> None:
    assert {folder: sorted(names) for folder, names in listed().items()} == {
        folder: sorted(names) for folder, names in on_disk().items()
    }
    assert len(listed()) > 15


@pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.name)
def test_every_path_that_a_guide_names_exists(guide: Path) -> None:
    named = set(PATH.findall(guide.read_text(encoding="utf-8")))
    missing = {path for path in named - MADE if not (ROOT / path).exists()}
    assert sorted(path for path in missing if not path.startswith("recipes/<")) == []


def test_the_journeys_name_many_files() -> None:
    journeys = architecture().partition("\n## Journey ")[2].partition("\n## Layers")[0]
    assert len(set(PATH.findall(journeys))) > 35


def tree_of_folders() -> list[str]:
    """The paths in ARCHITECTURE.md's tree, in its order."""
    block = architecture().partition("\n## Where things are\n")[2]
    found = []
    parent = ""
    for line in block.split("```")[1].strip().splitlines():
        name = line.split()[0]
        parent = parent if line.startswith(" ") else name
        found.append(parent + name if line.startswith(" ") else name)
    return found


def test_the_tree_is_the_disks() -> None:
    named = tree_of_folders()
    assert [
        path for path in named if not path.startswith("runs/") and not (ROOT / path).exists()
    ] == []
    rooms = [
        f"{path.parent.relative_to(ROOT)}/"
        for name in PRODUCT
        for path in (ROOT / name).glob("*/__init__.py")
    ]
    inside_one_line = {"eval/backends/", "eval/tasks/"}
    assert set(rooms) - set(named) == inside_one_line
