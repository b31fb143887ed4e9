"""Text files: decoded, and read a piece at a time whatever their size."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from pathlib import Path

from rag.documents import Part

LONGEST_LINE = 1 << 20
"""Characters of a line that are read at once; a longer one comes in pieces."""
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


class Unreadable(Exception):
    """A file that is no document, or none that can be read; says why."""


def encoding_of(path: Path) -> str:
    """What its first bytes say; UTF-8 where they say nothing."""
    with path.open("rb") as stream:
        begin = stream.read(4)
    return next((name for mark, name in _MARKS if begin.startswith(mark)), "utf-8")


def read_lines(path: Path) -> Iterator[str]:
    """The lines of a text file with their ends. Raises Unreadable naming the first line that is no
    text."""
    number = 0
    try:
        with path.open(encoding=encoding_of(path), newline=None) as stream:
            while line := stream.readline(LONGEST_LINE):
                number += line.endswith("\n")
                yield line
    except UnicodeError:
        raise Unreadable(_not_text(path, number + 1)) from None


def _not_text(path: Path, near: int) -> str:
    """Where the file stops being UTF-8; the reader is a block ahead of the line it gave last."""
    decoder = codecs.getincrementaldecoder(encoding_of(path))()
    line = 1
    with path.open("rb") as stream:
        for block in iter(lambda: stream.read(LONGEST_LINE), b""):
            try:
                line += decoder.decode(block).count("\n")
            except UnicodeDecodeError as error:
                line += error.object[: error.start].count(b"\n")
                byte = error.object[error.start]
                return f"not UTF-8: byte 0x{byte:02x} in line {line}; save it again as UTF-8"
    return f"not {encoding_of(path)}: about line {near}"


def text_parts(path: Path) -> Iterator[Part]:
    """A text file a paragraph at a time: lines up to a blank one are one block."""
    held: list[str] = []
    size = 0
    for line in read_lines(path):
        if held and (not line.strip() or size > LONGEST_LINE):
            yield Part(_paragraph(held))
            held, size = [], 0
        if line.strip():
            held.append(line)
            size += len(line)
    if held:
        yield Part(_paragraph(held))


def _paragraph(lines: list[str]) -> str:
    """Wrapped lines as one; lines of an indented block, as of a listing, stay."""
    if all(line[:1] in " \t" for line in lines):
        return "".join(lines).rstrip("\n")
    return " ".join(line.strip() for line in lines)
