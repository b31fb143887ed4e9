r"""Articles as wikiextractor writes them with `--json`, one object a line, packed or not:

{"id": "12", "revid": "9", "url": "https://…?curid=12", "title": "Heat", "text": "Heat is…\n"}
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from rag.documents import Document, Found, Part, Skipped
from rag.packed import lines_of, open_packed, packed_errors
from rag.sources import Reader
from stemma.recipe.rag_sources import Wikipedia


def read(options: Wikipedia, root: Path) -> Iterator[Found]:
    """Every article of its files, in their order."""
    articles = (
        found for name, path in options.named_files(root).items() for found in _read(name, path)
    )
    yield from islice(articles, options.limit)


def _read(name: str, path: Path) -> Iterator[Found]:
    with packed_errors(path), open_packed(path) as stream:
        for number, line in enumerate(lines_of(stream, path), start=1):
            if line.strip():
                yield _article(line, f"{name}:{number}")


def _article(line: bytes, where: str) -> Found:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        kind = "not UTF-8" if isinstance(error, UnicodeDecodeError) else "not valid JSON"
        return Skipped(where, kind)
    if not isinstance(value, dict):
        return Skipped(where, "not a JSON object")
    wrong = [key for key in ("title", "text") if not isinstance(value.get(key), str)]
    if wrong or not isinstance(value.get("id"), (str, int)):
        return Skipped(where, f"no text under `{(wrong or ['id'])[0]}`")
    title, text = value["title"].strip(), value["text"].strip()
    # Older versions repeat the title as the text's first line.
    text = text.removeprefix(title + "\n")
    if not text.strip():
        return Skipped(where, "no text in it")
    paragraphs = "\n\n".join(line for line in text.split("\n") if line.strip())
    return Document(str(value["id"]), title, (Part(paragraphs),))


READER = Reader(read, "CC-BY-SA-4.0")
