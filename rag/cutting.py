"""Documents cut into passages: at sentences, never over a section's border. Pure.

A passage takes whole sentences up to `words`. A sentence that is longer is cut between words, and a
run of characters without a blank is cut too, so that no passage is longer, whatever the text is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain, islice

import nupunkt

from rag.documents import Document, Part, clean
from stemma.retrieval.passages import Passage

CUTTER = f"nupunkt {nupunkt.__version__}"
LONGEST_WORD = 24
"""Characters without a blank that count as one word; a longer run counts as several."""
PIECE = 10_000
"""Characters that are looked at for sentences at once: the splitter's time grows faster than its
text."""

_BLOCKS = re.compile(r"\n[ \t]*\n\s*")
_WIDE = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff]")
_WIDE_ENDS = re.compile(r"(?<=[。！？])")
_BLANKS = re.compile(r"[ \t\u00a0]+")


@dataclass(frozen=True)
class Sizes:
    """How long passages are."""

    words: int
    overlap: int = 0


@dataclass(frozen=True)
class _Unit:
    """A sentence, or a line of a block with lines of its own."""

    text: str
    words: int
    place: str
    gap: str
    """What stands before it where it is not a passage's first."""


def cut(document: Document, sizes: Sizes, source: str) -> Iterator[Passage]:
    """The passages of a document, in order.

    Their ids are `source:document#number`, numbers from 1, without a number where the text is a
    passage already. `source` is what the recipe calls the source.
    """
    # Where several ids are listed, blanks stand between them.
    name = f"{source}:{'%20'.join(clean(document.id).split())}"
    found = Passage(name, clean(document.title).strip(), "", source, "")
    packed = _packed(_runs(document), sizes)
    held = list(islice(packed, 2))
    if document.keep_short and len(held) == 1:
        yield _passage(found, held[0])
        return
    for number, units in enumerate(chain(held, packed), start=1):
        yield replace(_passage(found, units), id=f"{name}#{number}")


def _passage(found: Passage, units: list[_Unit]) -> Passage:
    text = units[0].text + "".join(unit.gap + unit.text for unit in units[1:])
    place = clean(_place(units[0].place, units[-1].place))
    # A page's first heading mostly is its title, which stands beside the place anyway.
    place = "" if place == found.title else place.removeprefix(f"{found.title} › ")
    return replace(found, text=text, place=place)


def _place(first: str, last: str) -> str:
    """The place of a passage from its first part's to its last's: `pages 3–4`."""
    if first == last or not last:
        return first
    if first.startswith("page ") and last.startswith("page "):
        return f"pages {first.removeprefix('page ')}–{last.removeprefix('page ')}"
    return first


def _runs(document: Document) -> Iterator[Iterator[_Unit]]:
    """Units that may share passages: those of all parts where the text flows, or else a part's."""
    if document.flows:
        yield (unit for part in document.parts for unit in _units(part))
    else:
        yield from map(_units, document.parts)


def _packed(runs: Iterable[Iterator[_Unit]], sizes: Sizes) -> Iterator[list[_Unit]]:
    for run in runs:
        held: list[_Unit] = []
        count = 0
        fresh = False
        for unit in (piece for long in run for piece in _short_enough(long, sizes.words)):
            if held and count + unit.words > sizes.words:
                if fresh:
                    yield held
                held = _tail(held, min(sizes.overlap, sizes.words - unit.words))
                count = sum(one.words for one in held)
            held.append(unit)
            count += unit.words
            fresh = True
        if held and fresh:
            yield held


def _tail(units: list[_Unit], words: int) -> list[_Unit]:
    """The last units that together have no more than so many words."""
    kept: list[_Unit] = []
    for unit in reversed(units[1:]):
        words -= unit.words
        if words < 0:
            break
        kept.insert(0, unit)
    return kept


def _short_enough(unit: _Unit, words: int) -> Iterator[_Unit]:
    """A unit, or pieces of one that is longer than a passage."""
    if unit.words <= words:
        yield unit
        return
    held: list[str] = []
    count = 0
    gap = unit.gap
    for word in _words(unit.text, words):
        size = count_words(word)
        if held and count + size > words:
            yield replace(unit, text=" ".join(held), words=count, gap=gap)
            held, count, gap = [], 0, " "
        held.append(word)
        count += size
    if held:
        yield replace(unit, text=" ".join(held), words=count, gap=gap)


def _words(text: str, words: int) -> Iterator[str]:
    """Its words; a run that is longer than a passage in pieces."""
    for word in text.split():
        if count_words(word) <= words:
            yield word
            continue
        # Two wide characters are a word at most, whatever else stands between them.
        length = words if _WIDE.search(word) else words * LONGEST_WORD
        yield from (word[at : at + length] for at in range(0, len(word), length))


def count_words(text: str) -> int:
    """The words of a text: runs between blanks, long ones as several, two characters of Chinese,
    Japanese or Korean as one."""
    return sum(
        1
        if len(run) <= LONGEST_WORD and run.isascii()
        else max(1, -(-len(run) // LONGEST_WORD), (len(_WIDE.findall(run)) + 1) // 2)
        for run in text.split()
    )


def _units(part: Part) -> Iterator[_Unit]:
    for block in _BLOCKS.split(clean(part.text)):
        lines = [line for line in block.split("\n") if line.strip()]
        for line in lines:
            pieces = _sentences(line) if len(lines) == 1 else iter([line.rstrip()])
            for number, text in enumerate(pieces):
                if words := count_words(text):
                    yield _Unit(text, words, part.place, " " if number else "\n")


def _sentences(line: str) -> Iterator[str]:
    line = _BLANKS.sub(" ", line).strip()
    for piece in _pieces(line):
        for sentence in nupunkt.sent_tokenize(piece):
            for text in _WIDE_ENDS.split(str(sentence)):
                if text.strip():
                    yield text.strip()


def _pieces(text: str) -> Iterator[str]:
    """A text in pieces of about PIECE characters, each ended at a blank where there is one."""
    at = 0
    while len(text) - at > PIECE:
        end = text.rfind(". ", at, at + PIECE) + 1 or text.rfind(" ", at, at + PIECE)
        end = end if end > at else at + PIECE
        yield text[at:end]
        at = end
    yield text[at:]
