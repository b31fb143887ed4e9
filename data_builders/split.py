"""Train, validation and test by question: a question lies in exactly one part across all sets of a recipe.

The part comes from a seeded hash of the normalised question, so it depends neither on the order of the rows nor on
which other sources a recipe names. Where files fix a part (`use: test`), the stronger claim wins: test over validation
over train; the weaker row is dropped.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata

from data_builders.drafts import Placed
from stemma.recipe import Parts
from stemma.rows import Split

# Numbers, words, and the signs that change a question's meaning ("3 - 4" is not "3 + 4"); other punctuation goes.
_TOKENS = re.compile(r"\d+(?:\.\d+)?|[^\W\d_]+|(?<![^\W\d_])-|-(?![^\W\d_])|[/*%\\&#@]|[^\w\s-]")
_KEPT_SIGNS = frozenset("-/*%\\&#@")
_OPTIONS = re.compile(r"\n\s*Options:\s*\n\s*[A1][.)].*", re.DOTALL)
_STRENGTH: dict[Split, int] = {"train": 0, "validation": 1, "test": 2}


def bare(prompt: str) -> str:
    """A prompt without the `Question:` and `Answer:` that the chat template writes itself."""
    return re.sub(r"^\s*Question:\s*|\s*\n\s*Answer:\s*$", "", prompt)


def question_key(question: str) -> str:
    """The question without what does not change it: case, whitespace, punctuation, `Question:` and its options."""
    text = unicodedata.normalize("NFC", _OPTIONS.sub("", bare(question))).casefold()
    text = re.sub(r"[‐-―−]", "-", text)
    text = re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "", text)
    return " ".join(token for token in _TOKENS.findall(text) if _is_kept(token))


def _is_kept(token: str) -> bool:
    return token[0].isalnum() or token in _KEPT_SIGNS or unicodedata.category(token[0])[0] == "S"


def question_id(question: str) -> str:
    """A short id shared by all rows that ask the same."""
    return "q-" + hashlib.sha256(question_key(question).encode()).hexdigest()[:12]


def choose_part(key: str, seed: int, parts: Parts) -> Split:
    """The part of a question, by a point in [0, 1) drawn by hash: test from the lower end, validation from the upper.

    So where two sets have shares of different sizes, the smaller test lies inside the larger test, likewise validation,
    and only training rows of the set with the smaller parts are lost.
    """
    point = int(hashlib.sha256(f"{seed}\n{key}".encode()).hexdigest()[:13], 16) / 16**13
    if point < parts.test:
        return "test"
    return "validation" if point >= 1 - parts.validation else "train"


def keep_apart(rows: list[Placed]) -> tuple[list[Placed], list[Placed]]:
    """(kept, dropped): drops a row whose question another row claims for a stronger part."""
    strongest: dict[str, int] = {}
    for placed in rows:
        strongest[placed.key] = max(_STRENGTH[placed.part], strongest.get(placed.key, 0))
    kept = [placed for placed in rows if _STRENGTH[placed.part] == strongest[placed.key]]
    return kept, [placed for placed in rows if _STRENGTH[placed.part] < strongest[placed.key]]
