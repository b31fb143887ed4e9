"""The documents' commands, links and recipes exist."""

import re
from pathlib import Path

import pytest
import typer.main

from stemma import ROOT
from stemma.cli import app

DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("bench/**/*.md")])
CODE = re.compile(r"^```.*?^```|`[^`\n]+`", re.DOTALL | re.MULTILINE)


def code(document: Path) -> str:
    return "\n".join(CODE.findall(document.read_text(encoding="utf-8")))


def quoted(pattern: str) -> set[str]:
    return {found for document in DOCUMENTS for found in re.findall(pattern, code(document))}


def make_targets() -> set[str]:
    return set(
        re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    )


def verbs() -> set[str]:
    group = typer.main.get_command(app)
    return set(group.commands)  # type: ignore[attr-defined]


def test_there_are_documents() -> None:
    names = {document.name for document in DOCUMENTS}
    assert {
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "engine-notes.md",
    } <= names


def test_every_quoted_make_target_exists() -> None:
    targets = quoted(r"\bmake ([a-z][a-z-]*)")
    assert {"demo", "test"} <= targets
    assert targets - make_targets() == set()


def test_every_quoted_verb_exists() -> None:
    named = quoted(r"python -m stemma ([a-z][a-z-]*)")
    assert "all" in named
    assert named - verbs() == set()


def test_every_named_recipe_exists() -> None:
    named = (
        quoted(r"(?:RECIPE|WITH)=([\w.-]+)")
        | quoted(r"recipes/([\w.-]+)\.yml")
        | quoted(r"extends: ([\w.-]+)")
    )
    assert "tiny" in named
    made = quoted(r"make new NAME=([\w.-]+)")
    named -= made | {f"{name}-tiny" for name in made}
    assert named - {path.stem for path in (ROOT / "recipes").glob("*.yml")} == set()


def test_the_index_names_every_guide() -> None:
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8").partition("## All pages")[2]
    linked = set(re.findall(r"^\| \[([\w/.-]+)\]\(\1\)", index, re.MULTILINE))
    there = {path.relative_to(ROOT / "docs").as_posix() for path in ROOT.glob("docs/**/*.md")}
    assert there - {"README.md"} == linked


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_relative_link_resolves(document: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)", document.read_text(encoding="utf-8"))
    broken = [link for link in links if "://" not in link and not (document.parent / link).exists()]
    assert broken == []


def anchors(document: Path) -> set[str]:
    """The anchors that GitHub gives a page's headings."""
    text = re.sub(r"^```.*?^```", "", document.read_text(encoding="utf-8"), flags=re.M | re.S)
    heads = re.findall(r"^#+ (.*)", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).strip().replace(" ", "-") for head in heads}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_to_a_heading_resolves(document: Path) -> None:
    links = re.findall(r"\]\(([^)\s:]*\.md|)#([^)\s]+)\)", document.read_text(encoding="utf-8"))
    assert [
        f"{page}#{anchor}"
        for page, anchor in links
        if anchor not in anchors(document.parent / page if page else document)
    ] == []


def test_the_changelog_has_an_unreleased_part() -> None:
    assert "\n## Unreleased\n" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
