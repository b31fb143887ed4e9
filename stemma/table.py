"""Tables as text: aligned for a terminal, and in Markdown."""

from __future__ import annotations

from collections.abc import Sequence

UNKNOWN = "–"


def aligned(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table: columns of figures are right-aligned, columns of words left-aligned."""
    columns = [_column(head, cells) for head, *cells in zip(heads, *rows, strict=True)]
    return ["  ".join(cells).rstrip() for cells in zip(*columns, strict=True)]


def _column(head: str, cells: Sequence[str]) -> list[str]:
    width = max(map(len, (head, *cells)))
    figures = all(cell[:1].isdigit() or cell == UNKNOWN for cell in cells)
    return [cell.rjust(width) if figures else cell.ljust(width) for cell in (head, *cells)]


def markdown(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table in Markdown."""
    lines = [heads, ["---"] * len(heads), *rows]
    escaped = [[cell.replace("|", "\\|") for cell in line] for line in lines]
    return [f"| {' | '.join(cells)} |" for cells in escaped]
