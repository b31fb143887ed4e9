"""The search for questions that stand in a text as whole sentences: the rule `sentence` of
`decontaminate`, for stems too short for runs of words to say much.

"Q17. Which gas do plants take in? Explain." asks "Which gas do plants take in?" just as well as
that alone does.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence, Set
from itertools import pairwise

from data_builders.filters.signs import QUOTE
from data_builders.split import FRAME

Words = Sequence[str]

LONGEST = 30
"""Words of a stem, at most: of a longer one the other rules find every part."""
SHORTEST = 4
TELLING = 2
"""Words of a stem within a text, at least, and how many of them must be no words of grammar and
exam papers. A text that asks nothing else may be shorter."""

_BORDER = re.compile(r"(?<=[.?!:;)\]])[\s\"'”’*_]+|\s*\n\s*|[\"“”]")
_IDLE = frozenset({QUOTE, "#", "@", "\\", "&"})


class WholeStems:
    """Stems, indexed once to look for them in many texts."""

    def __init__(
        self, keys: Sequence[str], asked: Callable[[str], str], words_of: Callable[[str], list[str]]
    ) -> None:
        """`keys` of split.question_key; `asked` makes one of a piece of text, `words_of` its
        words."""
        self._asked = asked
        self._words_of = words_of
        self._stems: defaultdict[tuple[str, ...], dict[tuple[str, ...], list[int]]] = defaultdict(
            dict
        )
        """By words, then by signs."""
        self._openings: set[str] = set()
        """The first word of each stem: of a text, only pieces that open so are looked up."""
        for number, key in enumerate(keys):
            words = tuple(words_of(key))
            if 1 < len(words) <= LONGEST and not FRAME.issuperset(words):
                self._stems[words].setdefault(_signs(key), []).append(number)
                self._openings.add(words[0])

    def held_in(self, text: str, most: int) -> list[int]:
        """The first questions, `most` of them, that whole sentences of a text (see `as_read`)
        ask."""
        if not self._stems:
            return []
        ends = [0, *(border.end() for border in _BORDER.finditer(text)), len(text)]
        pieces = list(pairwise(ends))
        worded = [
            (begin, end, words)
            for begin, end in pieces
            if (words := self._words_of(text[begin:end]))
        ]
        found: set[int] = set()
        for begin, end, run in _runs(worded, self._openings):
            is_all = begin == worded[0][0] and end == worded[-1][1]
            if (stems := self._stems.get(run)) and (is_all or _says_enough(run)):
                found.update(stems.get(_signs(self._asked(text[begin:end])), [])[:most])
        return sorted(found)[:most]


def _runs(
    pieces: Sequence[tuple[int, int, Words]], openings: Set[str]
) -> Iterator[tuple[int, int, tuple[str, ...]]]:
    """Neighbouring pieces, together no longer than a stem can be, that open with one of these
    words: (begin, end, their words)."""
    for at, (begin, _, first) in enumerate(pieces):
        if first[0] not in openings:
            continue
        words: tuple[str, ...] = ()
        for _, end, more in pieces[at : at + LONGEST]:  # each holds a word at least
            words = (*words, *more)
            if len(words) > LONGEST:
                break
            yield begin, end, words


def _says_enough(words: Words) -> bool:
    return len(words) >= SHORTEST and sum(word not in FRAME for word in words) >= TELLING


def _signs(key: str) -> tuple[str, ...]:
    """The signs of a key in their order: 5 - 3 is not 5 + 3."""
    return tuple(token for token in key.split() if not token[0].isalnum() and token not in _IDLE)
