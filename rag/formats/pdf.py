"""PDF files: a child process reads the pages, so that a file that hangs or fills the memory costs
that file alone.

    python -m rag.formats.pdf notes.pdf

prints one JSON value a line: `{"title": …, "pages": n}`, then each page's text, or `{"error": …}`.
"""

from __future__ import annotations

import json
import re
import resource
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rag.documents import Part
from rag.formats.plain import Unreadable
from stemma import ROOT
from stemma.processes import child_environment, die_with_parent

PAGE_SECONDS = 60.0
"""How long one page may take before its file is given up."""
MEMORY_BYTES = 2 * 2**30
"""Address space of the child."""
_MANY = 4
"""Pages from which on a line that they repeat is a header or a footer."""
_SHORT = 8
"""Lines of a page up to which its first and last one alone may be such."""
_BROKEN = re.compile(r"(?<=[a-zà-ÿ])-\n(?=[a-zà-ÿ])")
_LEADERS = re.compile(r"(?:[ .·]*[.·]){4,}")
"""Dots that lead from a heading to its page in a table of contents."""
_NUMBER = re.compile(r"\d+")
_ENDS = re.compile(r"[.!?:;]['\")\]]?$")


@dataclass(frozen=True)
class Pdf:
    """A PDF file as text."""

    title: str
    pages: list[str]
    remark: str = ""
    """What is not in the text, e.g. pages without any."""

    def parts(self) -> Iterator[Part]:
        """The pages, without the headers and footers that they share."""
        repeated = _repeated([page.split("\n") for page in self.pages])
        for number, page in enumerate(self.pages, start=1):
            lines = [line for line in page.split("\n") if _mark(line) not in repeated]
            if text := _prose("\n".join(lines)):
                yield Part(text, f"page {number}")


def read_pdf(path: Path) -> Pdf:
    """Title and text of a file. Raises Unreadable for one that is encrypted, scanned or broken."""
    messages = list(_ask_child(path))
    begin, pages = messages[0], messages[1:]
    texts = [str(page["text"]) for page in pages]
    if not texts:
        raise Unreadable("no pages in it")
    empty = [number for number, text in enumerate(texts, start=1) if not text.strip()]
    if len(empty) == len(texts):
        raise Unreadable(f"no text on its {len(texts)} pages: scanned? it needs OCR first")
    remark = f"no text on {len(empty)} of {len(texts)} pages" if empty else ""
    return Pdf(str(begin["title"]), texts, remark)


def _ask_child(path: Path) -> Iterator[dict[str, Any]]:
    command = [sys.executable, "-m", "rag.formats.pdf", str(path.absolute())]
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=child_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        preexec_fn=die_with_parent,  # noqa: PLW1509  # it sets one flag of the kernel's
    ) as child:
        try:
            yield from _messages(child)
        finally:
            child.kill()


def _messages(child: subprocess.Popen[bytes]) -> Iterator[dict[str, Any]]:
    assert child.stdout is not None
    done = -1
    expected = 0
    while done < expected:
        late = threading.Timer(PAGE_SECONDS, child.kill)
        late.start()
        line = child.stdout.readline()
        is_late = not late.is_alive()
        late.cancel()
        if not line:
            raise Unreadable(_ended(child, max(done, 0) + 1, is_late))
        message = json.loads(line)
        if "error" in message:
            raise Unreadable(message["error"])
        done += 1
        expected = int(message.get("pages", expected))
        yield message


def _ended(child: subprocess.Popen[bytes], page: int, is_late: bool) -> str:
    if is_late:
        return f"page {page} takes longer than {PAGE_SECONDS:.0f} s"
    child.wait()
    return f"reading it ended at page {page} ({_ending(child)})"


def _ending(child: subprocess.Popen[bytes]) -> str:
    code = child.returncode
    return f"signal {-code}" if code and code < 0 else f"exit code {code}; too little memory?"


def _mark(line: str) -> str:
    return _NUMBER.sub("0", line.strip())


def _repeated(pages: Sequence[Sequence[str]]) -> set[str]:
    """First and last lines that more than half of the pages have, whatever numbers are in them."""
    if len(pages) < _MANY:
        return set()
    counts: Counter[str] = Counter()
    for lines in pages:
        written = [line for line in lines if line.strip()]
        edge = 2 if len(written) > _SHORT else 1
        counts.update({_mark(line) for line in (*written[:edge], *written[-edge:])})
    return {mark for mark, count in counts.items() if count > len(pages) / 2}


def _prose(text: str) -> str:
    """Lines joined to paragraphs, words broken over lines put together.

    A PDF has no paragraphs: one ends with a line that ends a sentence and is much shorter than the
    others.
    """
    text = _LEADERS.sub(" … ", _BROKEN.sub("", text))
    lines = [line.strip() for line in text.split("\n")]
    usual = sorted(len(line) for line in lines if line)
    full = usual[int(len(usual) * 0.8)] if usual else 0
    blocks: list[list[str]] = [[]]
    for line in lines:
        if line:
            blocks[-1].append(line)
        if not line or (_ENDS.search(line) and len(line) < 0.8 * full):
            blocks.append([])
    return "\n\n".join(" ".join(block) for block in blocks if block)


def _child(path: Path) -> None:
    """Print what the file holds; the parent believes no exit code, only what was printed."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    import logging

    from pypdf import PdfReader
    from pypdf.errors import DependencyError

    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    try:
        reader = PdfReader(path)
        if reader.is_encrypted and not reader.decrypt(""):
            _say(error="encrypted: it opens with a password only")
            return
        title = (reader.metadata.title if reader.metadata else None) or ""
        _say(title=title.strip(), pages=len(reader.pages))
        for page in reader.pages:
            _say(text=page.extract_text())
    except DependencyError as error:
        _say(error=f"encrypted: {error}")
    except MemoryError:
        _say(error=f"takes more than {MEMORY_BYTES // 2**30} GiB of memory")
    except Exception as error:  # whatever pypdf raises of a broken file
        reason = f"{type(error).__name__}: {str(error)[:200]}".rstrip(": ")
        _say(error=f"not readable as PDF ({reason})")


def _say(**message: object) -> None:
    print(json.dumps(message), flush=True)


if __name__ == "__main__":
    _child(Path(sys.argv[1]))
