"""Any table (CSV, TSV, JSON, JSON Lines, Parquet) by a mapping of its columns.

A line of `facts.csv`

    nr,chapter,fact
    7,Heat,Water boils at 100 °C at sea level.

is a document by `{source: table, path: facts.csv, columns: {id: nr, title: chapter, text: fact}}`.
A column is named as `stemma/reading/columns.py` says: a path, a text itself, or several joined.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from rag.documents import Document, Found, Part, Skipped
from rag.sources import Reader
from stemma.errors import Problem, UserError
from stemma.reading.columns import Cells, NoColumn, NoText, no_column
from stemma.reading.json_rows import NumberedRow
from stemma.reading.tables import CsvForm, HubSet, read_hub, read_table
from stemma.recipe.rag_sources import PassageTable


def read(options: PassageTable, root: Path) -> Iterator[Found]:
    """Every row of its files, in their order. A text that is short enough is a passage as it is."""
    rows = (
        _document(options, name, numbered, alone=len(tables) == 1)
        for tables in [_tables(options, root)]
        for name, table in tables
        for numbered in table
    )
    yield from islice(rows, options.limit)


def _tables(options: PassageTable, root: Path) -> list[tuple[str, Iterator[NumberedRow]]]:
    files = options.named_files(root)
    if not files and options.hub and options.revision:
        wanted = HubSet(options.hub, options.revision, options.config, options.split)
        return [(options.hub, read_hub(wanted, root / options.path))]
    form = CsvForm(tuple(options.header), options.delimiter)
    return [(name, read_table(path, form)) for name, path in files.items()]


def _document(options: PassageTable, name: str, numbered: NumberedRow, alone: bool) -> Found:
    where, row = numbered
    if isinstance(row, Problem):
        return Skipped(f"{name}{where}", row.found)
    columns = options.columns
    cells = Cells(row)
    try:
        text = cells.text(columns.text)
        title = cells.text(columns.title) or Path(name).stem
        place = cells.text(columns.place)
        number = cells.text(columns.id) if columns.id else where.strip(": ").replace(" ", "-")
    except NoColumn as error:
        raise UserError(no_column(f"{name}{where}", error, list(row))) from None
    except NoText as error:
        return Skipped(f"{name}{where}", str(error))
    if options.after:
        text = text.partition(options.after)[2].strip()
    if not text:
        behind = f" behind `{options.after}`" if options.after else ""
        return Skipped(f"{name}{where}", f"nothing in `{columns.text}`{behind}")
    if not number:
        return Skipped(f"{name}{where}", f"nothing in `{columns.id}`")
    own = number if alone or columns.id else f"{name}:{number}"
    return Document(own, title, (Part(text, place),), keep_short=True)


READER = Reader(read)
