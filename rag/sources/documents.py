"""A folder of Markdown, text, HTML and PDF files: a teacher's own material.

    {source: documents, path: notes, licence: CC-BY-4.0}

A document's id is its path below the folder; a file of another kind, and one that cannot be read,
is skipped with the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain, islice
from pathlib import Path

from rag.documents import Document, Found, Part, Skipped
from rag.formats.html import read_html
from rag.formats.markdown import markdown_parts, title_of
from rag.formats.pdf import read_pdf
from rag.formats.plain import Unreadable, read_lines, text_parts
from rag.sources import Reader
from stemma.errors import Problem, UserError
from stemma.plain_files import not_plain
from stemma.recipe.rag_sources import Documents

LINES_FOR_A_TITLE = 200
"""Lines in which a Markdown file's title is looked for."""


def _markdown(path: Path) -> tuple[str, Iterator[Part]]:
    title = title_of(islice(read_lines(path), LINES_FOR_A_TITLE))
    return title, markdown_parts(read_lines(path))


def _text(path: Path) -> tuple[str, Iterator[Part]]:
    return "", text_parts(path)


def _html(path: Path) -> tuple[str, Iterator[Part]]:
    title, parts = read_html(path)
    return title, iter(parts)


def _pdf(path: Path) -> tuple[str, Iterator[Part]]:
    found = read_pdf(path)
    return found.title, found.parts()


FORMATS: dict[str, Callable[[Path], tuple[str, Iterator[Part]]]] = {
    **dict.fromkeys((".md", ".markdown", ".mdown"), _markdown),
    **dict.fromkeys((".txt", ".text", ".rst"), _text),
    **dict.fromkeys((".html", ".htm", ".xhtml"), _html),
    ".pdf": _pdf,
}
"""By the end of a file's name, what reads it: title and parts."""


def read(options: Documents, root: Path) -> Iterator[Found]:
    """Every file below the folder, in the order of their names."""
    named = options.named_files(root)
    for path in named.values():
        if not path.exists():
            hint = "paths of sources start at data.root (DATA=…)"
            raise UserError(Problem(str(path), "no such file or folder", "documents", hint))
    for name, path in islice(named.items(), options.limit):
        yield _document(name, path)
    for name in options.unreadable(root):
        yield Skipped(name, "no file: a pipe, or a link that leads nowhere or to a folder above")


def _document(name: str, path: Path) -> Found:
    if found := not_plain(path):
        return Skipped(name, found)
    reader = FORMATS.get(path.suffix.lower())
    if reader is None:
        return Skipped(name, f"not a document: {path.suffix or 'a file without an ending'}")
    try:
        title, parts = reader(path)
        # What is unreadable shows by the first part at the latest, or in the middle of a file.
        first = next(parts, None)
        if first is None:
            return Skipped(name, "no text in it")
        whole = parts if path.suffix.lower() in (".html", ".htm", ".xhtml", ".pdf") else list(parts)
    except Unreadable as error:
        return Skipped(name, str(error))
    except OSError as error:
        return Skipped(name, f"cannot be read: {error.strerror or error}")
    flows = path.suffix.lower() == ".pdf"
    return Document(name, title or path.stem, chain([first], whole), flows)


READER = Reader(read)
