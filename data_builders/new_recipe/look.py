"""A data file as it is found: its encoding, delimiter, columns and rows.

Nothing is asked that can be seen. What `Seen` says is how the source `table` reads the file later.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from stemma.errors import Problem, UserError
from stemma.reading.tables import CSV_FORMATS, FORMATS, SEPARATOR, CsvForm, read_table
from stemma.rows import LETTERS

SAMPLED_ROWS = 1000
"""Rows that the guesses are made of."""
SAMPLED_BYTES = 1 << 20
MOST = 0.8
FEWEST_OTHERS = 2
DELIMITERS = (",", ";", "\t", "|")
WESTERN = "cp1252"
"""Windows' code page of western Europe: what Excel writes as plain `CSV` there."""
WESTERN_SIGNS = frozenset("äöüÄÖÜßéèêëàâîïôùûçÉÈÀÇñÑáíóúÁÍÓÚãõåÅæÆøØœ«»„“”‘’–—…€°µ²³½±×÷§ª¡¿·")
"""Signs of that page that texts really hold: others mean that another page was guessed wrong."""
MAC = "mac_roman"
"""What Excel on a Mac writes as `CSV (Macintosh)`."""
MAC_SIGNS = frozenset("äöüÄÖÜßéèêëàâîïôùûçñáíóú“”„‘’–—…°")
"""Fewer than of Windows' page: in these alone the two are told apart."""
ONE_IN = 5
"""Bytes that are zero, at the least, of a text in two bytes a sign."""
OFFICE = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
"""First bytes of Excel's and LibreOffice's own files."""
SAVE = "open it in Excel or LibreOffice, then: save as, CSV UTF-8"
HINTS = {
    **dict.fromkeys((".xlsx", ".xls", ".xlsm", ".ods", ".numbers"), SAVE),
    ".xml": "from Moodle: download the answers as CSV, or copy the questions into a table",
    ".gift": "from Moodle: copy the questions into a table, a column for each choice",
    ".apkg": "in Anki: export notes as plain text, then see docs/data-sources.md",
    ".docx": "a document: save it as PDF or text, and it is searched; a table: copy it into Excel",
    ".zip": "unpack it",
}
"""By the end of a file's name, what to do with a file that is no table."""


@dataclass(frozen=True)
class Seen:
    """A file and the first of its rows."""

    path: Path
    form: CsvForm
    columns: tuple[str, ...]
    rows: tuple[dict[str, Any], ...]
    """At most `SAMPLED_ROWS`; at least one."""

    @property
    def is_csv(self) -> bool:
        return _is_csv(self.path)

    def values(self, column: str) -> list[str]:
        """The filled cells of a column, as text."""
        cells = (row.get(column) for row in self.rows)
        return [text for cell in cells if cell is not None and (text := str(cell).strip())]

    def share(self, column: str, pattern: re.Pattern[str]) -> float:
        """The share of its filled cells that hold the pattern."""
        values = self.values(column)
        return sum(bool(pattern.search(value)) for value in values) / max(1, len(values))


def look(path: Path) -> Seen:
    """The file as it is found. Raises UserError for what is no table of rows."""
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        hint = HINTS.get(suffix, "save a table as CSV UTF-8")
        raise UserError(_no_table(path, f"a file of type {path.suffix or 'none'!r}", hint))
    form = _form(path) if path.is_file() and _is_csv(path) else CsvForm()
    seen = _seen(path, form)
    if _is_csv(path) and (header := _header_of(seen)):
        seen = _seen(path, replace(form, columns=header))
    return seen


def _seen(path: Path, form: CsvForm) -> Seen:
    rows = tuple(islice(_rows(path, form), SAMPLED_ROWS))
    if not rows:
        raise UserError(Problem(str(path), "no rows in it", "a header line and at least one row"))
    return Seen(path, form, tuple(dict.fromkeys(name for row in rows for name in row)), rows)


def _no_table(path: Path, found: str, hint: str) -> Problem:
    return Problem(str(path), found, f"one of {', '.join(FORMATS)}", hint)


def _header_of(seen: Seen) -> tuple[str, ...]:
    """Names for the columns of a file whose first line is a row already: a question where others
    have one, or a right letter behind a question and its choices. () where it is a header."""
    first, *others = seen.columns
    asks = re.compile(r"[?？]$")
    if len(others) == 1 and asks.search(first) and seen.share(first, asks) > MOST:
        return ("question", "answer")
    letters = tuple(LETTERS[: len(others) - 1])
    is_letter = re.compile(rf"^[{LETTERS}]$")
    if (
        len(others) > FEWEST_OTHERS
        and len(first.split()) > FEWEST_OTHERS
        and is_letter.search(others[-1])
        and seen.share(others[-1], is_letter) == 1
    ):
        return ("question", *letters, "answer")
    return ()


def _is_csv(path: Path) -> bool:
    return path.suffix.lower() in CSV_FORMATS


def _rows(path: Path, form: CsvForm) -> Iterator[dict[str, Any]]:
    for _, row in read_table(path, form):
        if isinstance(row, Problem):
            raise UserError(row)
        yield row


def _form(path: Path) -> CsvForm:
    with path.open("rb") as stream:
        begin = stream.read(SAMPLED_BYTES)
    if begin.startswith(OFFICE):
        raise UserError(_no_table(path, "an Excel or LibreOffice file by another name", SAVE))
    encoding = find_encoding(begin)
    text = begin.decode(encoding, errors="replace")
    return CsvForm(delimiter=find_delimiter(text), encoding=encoding)


def find_encoding(data: bytes) -> str:
    """The encoding of a text's first bytes; `utf-8` wherever they are UTF-8."""
    if data.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return "utf-32"
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    if data.count(0) * ONE_IN > len(data):  # no text in one byte a sign holds so many
        return "utf-16-be" if data[::2].count(0) > data[1::2].count(0) else "utf-16-le"
    try:
        codecs.getincrementaldecoder("utf-8")().decode(data)  # may be cut within a sign
        return "utf-8"
    except UnicodeDecodeError:
        pass
    for encoding, signs in ((WESTERN, WESTERN_SIGNS), (MAC, MAC_SIGNS)):
        text = data.decode(encoding, errors="replace")
        if all(sign.isascii() or sign in signs for sign in text):
            return encoding
    from charset_normalizer import from_bytes

    best = from_bytes(data).best()
    return best.encoding if best else WESTERN


def find_delimiter(text: str) -> str:
    """The delimiter that cuts most of the first lines into the same number of cells, above one;
    a comma where none does. Excel may say it in a first line of its own."""
    if said := SEPARATOR.match(text):
        return said[1]
    return max(DELIMITERS, key=lambda delimiter: _agreement(text, delimiter))


def _agreement(text: str, delimiter: str) -> tuple[float, int]:
    """(share of rows that have as many cells as the first, their number), (0, 0) for one cell."""
    rows = list(islice(_cells(text, delimiter), 100))
    if not rows or len(rows[0]) < 2:
        return 0.0, 0
    width = len(rows[0])
    return sum(len(row) == width for row in rows) / len(rows), width


def _cells(text: str, delimiter: str) -> Iterator[Sequence[str]]:
    try:
        for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter):
            if row:
                yield row
    except csv.Error:  # the rows before it are enough to tell
        return
