"""Texts put into Markdown as GitHub and the Hugging Face hub render it: they stay text. Pure.

Whatever a recipe, a row, a model or a judge wrote, it makes no heading, list, table cell, emphasis,
link, picture or HTML of its own, and stands on one line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from stemma.visible import visible

_SIGNS = re.compile(
    r"[\\`*~$|<]"
    r"|&(?=#?\w+;)"  # &lt;
    r"|(?<![^\W_])_|_(?![^\W_])"  # not within a name: Q4_K_M
    r"|\[(?![-−+\d.,–% to]*\d\])"  # an interval stays: [0.66–0.76]
    r"|(?<!\d)\]|\](?=[\[(:])"
    r"|(?<=[A-Za-z]):(?=/)|(?<=www)\.|@"  # addresses become links by themselves
    r"|(?:^|(?<=\s))#"
)
_FIRST = re.compile(r"[-+=](?![\w.])|>|[:.](?=\s|$)|\d{1,9}(?=[.)](?:\s|$))")
"""At a line's beginning: lists, quotations, rules, underlines of headings."""
_WRITTEN = {"<": "&lt;", "&": "&amp;", "@": "`@`"}
"""Signs for which a backslash is not enough: GitHub looks for e-mail addresses once it is gone."""


def escaped(text: object) -> str:
    """A text for the middle or the beginning of a line, on one line."""
    line = one_line(text)
    first = _FIRST.match(line)
    lead = ""
    if first:
        lead = f"{first[0]}\\" if first[0].isdigit() else f"\\{first[0]}"
        line = line[first.end() :]
        if first[0].isdigit():  # the point or bracket behind the number
            lead, line = lead + line[0], line[1:]
    return lead + _SIGNS.sub(lambda found: _WRITTEN.get(found[0], f"\\{found[0]}"), line)


def table(heads: Sequence[object], rows: Iterable[Sequence[object]]) -> list[str]:
    """Lines of a table whose cells are texts."""
    return [row(heads), "|---" * len(heads) + "|", *map(row, rows)]


def row(cells: Sequence[object]) -> str:
    """A line of a table whose cells are texts."""
    return f"| {' | '.join(map(escaped, cells))} |"


def one_line(text: object) -> str:
    """A text with single blanks for all blanks and line ends, and nothing that hides or reorders
    it."""
    return visible(" ".join(str(text).split()))
