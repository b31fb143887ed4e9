r"""Wikipedia in passages of 100 words, as DPR cut it: `psgs_w100.tsv`, with or without `.gz`.

    id<TAB>text<TAB>title
    1<TAB>"Aaron Aaron ( or ; ""Ahärôn"") is a prophet, high priest, …"<TAB>Aaron

Texts stand in quotes, quotes in them are doubled. Each line is a passage already. It is
CC BY-NC 4.0 as DPR packs it: a database of it must not be passed on for money.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from rag.documents import Document, Found, Part, Skipped
from rag.packed import lines_of, open_packed, packed_errors
from rag.sources import Reader
from stemma.errors import Problem, UserError
from stemma.reading.json_rows import NumberedRow
from stemma.reading.tables import HubSet, read_hub
from stemma.recipe.rag_sources import WikiDpr

HEADER = ["id", "text", "title"]
LONGEST_CELL = 1 << 26
"""Characters of a text behind which a quote was not closed rather than much written."""


def read(options: WikiDpr, root: Path) -> Iterator[Found]:
    """Every passage, in the file's order."""
    files = options.named_files(root)
    if not files and options.hub and options.revision:
        # Streamed: the data set's own vectors, 65 of its 78 GB, are never fetched.
        columns = tuple(HEADER)
        wanted = HubSet(options.hub, options.revision, options.config, options.split, columns)
        found = (_of_hub(options.hub, row) for row in read_hub(wanted, root / options.path))
    else:
        found = (one for name, path in files.items() for one in _read(name, path))
    yield from islice(found, options.limit)


def _read(name: str, path: Path) -> Iterator[Found]:
    csv.field_size_limit(LONGEST_CELL)
    with packed_errors(path), open_packed(path) as packed:
        text = io.TextIOWrapper(packed, encoding="utf-8-sig", errors="replace", newline="")
        # Not strict: a lone quote within a text without quotes around it is a quote.
        lines = csv.reader(lines_of(text, path), delimiter="\t")
        header = next(lines, None)
        if header != HEADER:
            shown = "nothing" if header is None else f"a first line of {header[:4]}"
            expected = "the header id, text, title with tabs between"
            hint = "for another table: `source: table`"
            raise UserError(Problem(f"{path}:1", shown[:200], expected, hint))
        try:
            for values in lines:
                yield _passage(values, f"{name}:{lines.line_num}")
        except csv.Error as error:
            found = f"not readable behind line {lines.line_num} ({error})"
            raise UserError(Problem(str(path), found, "quotes in pairs")) from None


def _passage(values: list[str], where: str) -> Found:
    if len(values) != len(HEADER):
        broken = "; a quote that nothing closes?" if any("\n" in one for one in values) else ""
        return Skipped(where, f"{len(values)} values, not 3{broken}")
    if values == HEADER:
        return Skipped(where, "the header again")
    number, text, title = values
    if not number.strip():
        return Skipped(where, "no id")
    if not text.strip():
        return Skipped(where, "no text")
    return Document(number, title, (Part(text),), keep_short=True)


def _of_hub(name: str, numbered: NumberedRow) -> Found:
    where, row = numbered
    if isinstance(row, Problem):
        return Skipped(f"{name}{where}", row.found)
    if missing := [key for key in HEADER if key not in row]:
        found = f"columns {', '.join(row)}"
        raise UserError(Problem(name, found, f"`{missing[0]}`: id, text, title as wiki_dpr has"))
    return _passage([str(row[key] if row[key] is not None else "") for key in HEADER], where)


READER = Reader(read, "CC-BY-NC-4.0")
