"""Words of a text as BM25 compares them: lower case, without accents, stemmed.

Stems are English (Porter, 1980, by snowballstemmer). Words of other languages are kept as the
stemmer leaves them. Writing without blanks (Chinese, Japanese, Thai, Lao, Khmer, Burmese) is
compared by single signs and by pairs of neighbours, as most search engines do; Korean too, whose
nouns have their particles attached.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

STOP_WORDS = frozenset(
    """a about above after again against all am an and any are aren as at be because been before
    being below between both but by can cannot could couldn did didn do does doesn doing don down
    during each few for from further had hadn has hasn have haven having he her here hers herself
    him himself his how i if in into is isn it its itself just ll me more most mustn my myself no
    nor not now of off on once only or other our ours ourselves out over own re s same shan she
    should shouldn so some such t than that the their theirs them themselves then there these they
    this those through to too under until up ve very was wasn we were weren what when where which
    while who whom why will with won would wouldn you your yours yourself yourselves""".split()  # noqa: SIM905 (one word a line would fill pages)
)
"""Words too common to find a passage by, as snowball lists them with what stands before and after
an apostrophe. They have their part in the order of those that other words find."""
MARK = "'"
"""Stands before a stop word, which is not stemmed: no stem begins so."""
LONGEST = 40
"""Letters of a word that are compared: what is longer is no word of a language."""
KEPT_STEMS = 1_000_000
"""Stems kept in memory, about 100 bytes each; then the memory is emptied."""

_SIGN = (
    r"\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
    r"\uac00-\ud7a3\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"
)
"""Kana and Chinese signs; Korean syllables; Thai and Lao, Burmese, Khmer."""
_WORD = re.compile(rf"[^\W_{_SIGN}]+|[{_SIGN}]+")
_ASCII_WORD = re.compile(r"[a-z0-9]+")
_SIGNS = re.compile(rf"[{_SIGN}]+")
_LOCK = Lock()
_stems: dict[str, str] = {}
"""The stem of each word seen so far; a stop word with its mark."""


def words_of(text: str) -> list[str]:
    """The words of a text in their order, without stop words."""
    return [word for word in all_words_of(text) if word[0] != MARK]


def all_words_of(text: str) -> list[str]:
    """The words of a text in their order; a stop word begins with MARK."""
    if not text.isascii():
        marked = unicodedata.normalize("NFKD", text)
        bare = "".join(letter for letter in marked if not unicodedata.combining(letter))
        text = unicodedata.normalize("NFC", bare)  # Korean letters are syllables again
    found = []
    for word in _words(text.lower()):
        stem = _stems.get(word)
        if stem is None:
            stem = _remember(word)
        found.append(stem)
    return found


def _words(text: str) -> Iterator[str]:
    """Words as they are written; of writing without blanks its signs, and each with the next."""
    if text.isascii():
        yield from _ASCII_WORD.findall(text)
        return
    for word in _WORD.findall(text):
        if _SIGNS.fullmatch(word):
            yield from word
            yield from map("".join, pairwise(word))
        else:
            yield word


def _remember(word: str) -> str:
    with _LOCK:  # the stemmer keeps the word it works on
        stem = MARK + word if word in STOP_WORDS else _stemmer()(word[:LONGEST])
        if len(_stems) >= KEPT_STEMS:
            _stems.clear()
        _stems[word] = stem
    return stem


@cache
def _stemmer() -> Callable[[str], str]:
    import snowballstemmer

    # `stemmer` hands out a C version where PyStemmer is installed; both are the same algorithm.
    stem: Callable[[str], str] = snowballstemmer.stemmer("porter").stemWord
    return stem
