"""Rows of the files that data comes in: JSON (see `json_rows`), CSV, Parquet, or a pinned data set
of the hub.

Everything is read row by row, so a file of any size costs little memory. What is no row is a
Problem in its place, and the reader goes on where it can: all problems of a file are reported at
once.
"""

from __future__ import annotations

import codecs
import csv
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stemma.credentials import gated_hint, hub_words
from stemma.errors import Problem, UserError
from stemma.jsonl import unreadable
from stemma.plain_files import plain_file
from stemma.reading.json_rows import (
    SAVE_AGAIN,
    NumberedRow,
    not_encoded,
    read_json_rows,
    wrong_row,
)

if TYPE_CHECKING:
    import pyarrow

FORMATS = (".jsonl", ".json", ".csv", ".tsv", ".parquet")
CSV_FORMATS = (".csv", ".tsv")
SEPARATOR = re.compile(r"\ufeff?\"?sep=([,;\t|])\"?[\r\n]")
"""The first line by which a table tells Excel its delimiter; it is no row."""
LONGEST_CELL = 1 << 26
"""Characters of a CSV value behind which a quote was not closed rather than much written."""


@dataclass(frozen=True)
class CsvForm:
    """The form of a CSV file."""

    columns: tuple[str, ...] = ()
    """Their names, where the file has no header line."""
    delimiter: str = ","
    encoding: str = "utf-8"


CSV = CsvForm()


@dataclass(frozen=True)
class HubSet:
    """One split of a data set of the Hugging Face hub, at one commit; `name` may also be a folder
    that holds one."""

    name: str
    revision: str
    config: str | None
    split: str
    columns: tuple[str, ...] = ()
    """Stream these alone: of Parquet files nothing else is fetched, and nothing is stored. By
    default the whole split is fetched, and kept in the loader's cache."""


def read_table(path: Path, form: CsvForm) -> Iterator[NumberedRow]:
    """Every row of a file, in its order."""
    plain_file(path, "a data file", "check `path` in the recipe, and DATA=")
    suffix = path.suffix.lower()  # Windows writes DATA.CSV
    if suffix not in FORMATS:
        raise UserError(
            Problem(str(path), f"a file of type {path.suffix!r}", f"one of {', '.join(FORMATS)}")
        )
    if suffix == ".parquet":
        return _read_parquet(path)
    encoding = form.encoding if suffix in CSV_FORMATS else CSV.encoding
    if encoding == CSV.encoding and _begins_as_utf16(path):
        found = "text in UTF-16 or UTF-32"
        return iter([wrong_row(path, "", found, "text in UTF-8", SAVE_AGAIN)])
    if suffix in CSV_FORMATS:
        rows = _read_csv(path, replace(form, delimiter="\t") if suffix == ".tsv" else form)
    else:
        rows = read_json_rows(path)
    return _decoded(rows, path, encoding)


def _begins_as_utf16(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_hub(wanted: HubSet, local: Path) -> Iterator[NumberedRow]:
    """Every row of a split. `local`, where a file would be read first, is the hint when loading
    fails, at its beginning or in its middle."""
    import datasets

    datasets.disable_progress_bars()
    with _hub_errors(wanted, local):
        rows = iter(_streamed(wanted) if wanted.columns else _fetched(wanted))
        schema = next(rows)
    number = 0
    while True:
        with _hub_errors(wanted, local):
            row = next(rows, None)
        if row is None:
            return
        number += 1
        yield f" row {number}", _as_written(row, schema)


def _fetched(wanted: HubSet) -> Iterator[Any]:
    """The schema, then the rows."""
    import datasets

    rows = datasets.load_dataset(
        wanted.name, wanted.config, revision=wanted.revision, split=wanted.split
    )
    yield rows.features.arrow_schema if rows.features else ()
    yield from rows


def _streamed(wanted: HubSet) -> Iterator[Any]:
    """The schema, then the rows with the wanted columns; what is no Parquet is streamed whole."""
    import datasets

    builder = datasets.load_dataset_builder(wanted.name, wanted.config, revision=wanted.revision)
    known = builder.info.features
    missing = [name for name in wanted.columns if known is not None and name not in known]
    if missing:
        raise ValueError(f"no column {', '.join(missing)}: it has {', '.join(known)}")
    if hasattr(builder.config, "columns"):
        builder.config.columns = list(wanted.columns)
        features = builder.info.features
        if features is not None:
            builder.info.features = datasets.Features({n: features[n] for n in wanted.columns})
    rows = builder.as_streaming_dataset(split=wanted.split)
    yield rows.features.arrow_schema if rows.features else ()
    for row in rows:
        yield {name: value for name, value in row.items() if name in wanted.columns}


@contextmanager
def _hub_errors(wanted: HubSet, local: Path) -> Iterator[None]:
    """Tell as such whatever the network, the hub's client or a file's loader raises."""
    try:
        yield
    except Exception as error:
        found = f"cannot be loaded: {type(error).__name__}: {hub_words(error)[:300]}"
        expected = f"its split {wanted.split!r} at {wanted.revision}"
        hint = f"put the file at {local}: it is read first"
        if " is a gated dataset" in found:
            hint = f"{gated_hint(f'datasets/{wanted.name}')}; or {hint}"
        raise UserError(Problem(wanted.name, found, expected, hint)) from None


def _read_csv(path: Path, form: CsvForm) -> Iterator[NumberedRow]:
    """Blank lines are no rows. A value may span lines: a row stands where it begins."""
    csv.field_size_limit(LONGEST_CELL)  # the module's own 128 KiB refuse a long text
    encoding = "utf-8-sig" if form.encoding == "utf-8" else form.encoding
    with path.open(encoding=encoding, newline="") as stream:
        first = stream.readline()
        before = 1 if SEPARATOR.match(first) else 0
        text = stream if before else chain([first], stream)
        lines = csv.reader(text, delimiter=form.delimiter, strict=True)
        at = before
        try:
            columns = form.columns or _named(next(lines, []))
            if len(set(columns)) < len(columns):
                found = f"columns {', '.join(columns)}"
                hint = "rename one in the header line"
                yield wrong_row(path, f":{at + 1}", found, "a name of its own for each", hint)
                return
            at = before + lines.line_num
            for values in lines:
                where = f":{at + 1}"
                at = before + lines.line_num
                if values:
                    yield _csv_row(path, where, columns, values)
        except csv.Error as error:
            where = f":{at + 1}"  # the row that it happened in; its end may be the file's
            expected = 'quotes in pairs: "a ""b"" c"'
            yield wrong_row(path, where, f"not valid CSV ({error})", expected)


def _csv_row(path: Path, where: str, columns: Sequence[str], values: Sequence[str]) -> NumberedRow:
    """A row by its columns; empty values behind the last column are none (Excel writes them)."""
    if not any(values[len(columns) :]) and len(values) >= len(columns):
        return where, dict(zip(columns, values, strict=False))
    expected = f"{len(columns)} values: {', '.join(columns)}"
    hint = other_delimiter(columns) or "is a quote or a comma missing?"
    return wrong_row(path, where, f"{len(values)} values", expected, hint)


def _named(header: Sequence[str]) -> tuple[str, ...]:
    """The columns of a header line; where several have no name they are called by their place."""
    names = [name.strip() for name in header]
    if names.count("") < 2:
        return tuple(names)
    return tuple(name or f"column {place}" for place, name in enumerate(names, start=1))


def other_delimiter(columns: Sequence[str]) -> str:
    """A hint for a table of one column whose name holds what stands between the cells of others;
    "" for any other."""
    if len(columns) != 1:
        return ""
    found = next((sign for sign in ";\t|," if sign in columns[0]), "")
    return f"delimiter: {json.dumps(found)}" if found else ""


def _read_parquet(path: Path) -> Iterator[NumberedRow]:
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            columns = file.schema_arrow.names
            if len(set(columns)) < len(columns):
                found = f"columns {', '.join(columns)}"
                yield wrong_row(path, "", found, "a name of its own for each")
                return
            rows = (
                row for batch in file.iter_batches(batch_size=1000) for row in batch.to_pylist()
            )
            for number, row in enumerate(rows, start=1):
                yield f" row {number}", _as_written(row, file.schema_arrow)
    # Beside pyarrow's own: text that is no UTF-8, dates that Python does not have.
    except (pyarrow.ArrowException, OSError, ValueError, ArithmeticError, MemoryError) as error:
        found = f"not readable as Parquet: {error}"
        yield wrong_row(path, "", found, "a whole Parquet file", "fetch it again")


def _as_written(row: dict[str, Any], schema: Iterable[pyarrow.Field]) -> dict[str, Any]:
    """The row with its narrow floats as they were written: a float32 of 0.1 is 0.10000000149011612
    in Python's."""
    narrow = {field.name: field.type for field in schema if re.search(r"float\b", str(field.type))}
    return (
        {**row, **{name: _shortest(row[name], kind) for name, kind in narrow.items()}}
        if narrow
        else row
    )


def _shortest(value: Any, kind: pyarrow.DataType) -> Any:
    """A value whose floats of less than 64 bits are the shortest that are the same in their own
    width."""
    import numpy as np
    from pyarrow import types

    if isinstance(value, float) and (types.is_float32(kind) or types.is_float16(kind)):
        width = np.float32 if types.is_float32(kind) else np.float16
        return float(str(width(value)))
    if isinstance(value, list) and hasattr(kind, "value_type"):
        return [_shortest(one, kind.value_type) for one in value]
    if isinstance(value, dict) and types.is_struct(kind):
        return {name: _shortest(one, kind.field(name).type) for name, one in value.items()}
    return value


def _decoded(rows: Iterator[NumberedRow], path: Path, encoding: str) -> Iterator[NumberedRow]:
    """The rows, up to the first that cannot be read at all."""
    try:
        yield from rows
    except RecursionError:
        yield "", Problem(str(path), "brackets nested too deep to read", "rows of a data set")
    except UnicodeDecodeError:
        try:
            path.read_bytes().decode(encoding)
        except UnicodeDecodeError as error:
            line = error.object.count(b"\n", 0, error.start) + 1
            where = f":{line}"
            named = "UTF-8" if encoding == CSV.encoding else encoding
            yield where, not_encoded(f"{path}{where}", error, named)
    except ValueError as error:
        yield "", Problem(str(path), unreadable(error), "rows of a data set")
