"""docs/troubleshooting.md: every message it quotes is one that the program has."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache

import pytest

from stemma import ROOT

PAGE = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
QUOTED = re.findall(r"^### `+ ?(.*?) ?`+$", PAGE, re.MULTILINE)
FOREIGN = {"CUDA out of memory"}
PRODUCT = ("stemma", "data_builders", "export", "rag", "eval", "report", "serve")
COMPOSED = {
    "memory: … GB are free": ("memory", "… GB are free"),
    "…: tensors with NaN or infinity": ("tensors with NaN or infinity",),
    "… training rows overlap with evaluation questions…": (
        "… training rows overlap",
        "… with evaluation questions…",
    ),
}
"""Messages that two texts of the program make together."""


def literals(tree: ast.AST) -> Iterator[str]:
    """Every text of a module, with `…` for what an f-string fills in."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        elif isinstance(node, ast.JoinedStr):
            yield "".join(
                str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values
            )


@cache
def texts() -> list[str]:
    found = {
        text.replace("`", "")
        for folder in PRODUCT
        for path in (ROOT / folder).rglob("*.py")
        for text in literals(ast.parse(path.read_text(encoding="utf-8")))
        if " " in text
    }
    setup = (ROOT / "setup.sh").read_text(encoding="utf-8")
    return [*found, *re.sub(r"\$\{?\w+(:\S*)?\}?", "…", setup).splitlines()]


def stands(message: str) -> bool:
    """Whether a text of the program has these words, in this order."""
    pieces = [re.escape(piece) for piece in message.replace("`", "").split("…")]
    pattern = re.compile(".*?".join(pieces), re.DOTALL)
    return any(pattern.search(text) for text in texts())


def test_the_page_quotes_many_messages() -> None:
    assert len(QUOTED) > 40


@pytest.mark.parametrize("message", [one for one in QUOTED if one not in FOREIGN])
def test_a_quoted_message_is_the_programs(message: str) -> None:
    for part in COMPOSED.get(message, (message,)):
        assert len(part.replace("…", "").strip(" :`")) > 5, "too little to be told by"
        assert stands(part), f"no text of the program says: {part}"


def test_words_that_nothing_says_are_found_out() -> None:
    assert not stands("stage … of recipe … is not finished yet")
