"""Documents as sources read them, before they are cut into passages."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufeff\ufffe\uffff]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_LIGATURES = {
    "\ufb00": "ff",
    "\ufb01": "fi",
    "\ufb02": "fl",
    "\ufb03": "ffi",
    "\ufb04": "ffl",
    "\ufb05": "st",
    "\ufb06": "st",
    "\u00ad": "",
    "\u200b": "",
    "\u2028": "\n",
    "\u2029": "\n\n",
}
_TRANSLATED = str.maketrans(_LIGATURES)


@dataclass(frozen=True)
class Part:
    """A piece of a document that stands at one place: a section, a page, a paragraph."""

    text: str
    """Blocks with a blank line between them; a line break within a block is the author's."""
    place: str = ""
    """A path of headings (`Heat › Entropy`), a page (`page 3`), or nothing."""


@dataclass(frozen=True)
class Document:
    """A document, read part by part: `parts` may be a generator, so that a book needs no memory."""

    id: str
    """Its name in its source."""
    title: str
    parts: Iterable[Part]
    flows: bool = False
    """Whether a passage may run over the border of two parts, as text does over pages."""
    keep_short: bool = False
    """Whether its text is a passage already, which keeps the document's id, unless it is too
    long."""


@dataclass(frozen=True)
class Skipped:
    """A document that was found and is not in the database, and why: nothing disappears."""

    where: str
    reason: str


Found = Document | Skipped


def clean(text: str) -> str:
    """Text without control characters (NUL among them), halves of surrogate pairs, soft hyphens,
    and with ligatures as letters: what a search compares."""
    text = _CONTROL.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    return _SURROGATE.sub("\ufffd", text).translate(_TRANSLATED)
