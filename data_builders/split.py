"""The split into train, validation and test by question: a question and its near-duplicates lie in
one split across all sets.

The split comes from a seeded hash of the cluster's key (see near_duplicates.py), so it depends
neither on the order of the rows nor on which other sources a recipe names. Where files fix a split
(`use: test`) or a list freezes the test questions of an earlier build, that claim wins; otherwise
test wins over validation, and validation over train.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from pathlib import Path

from data_builders.filters.as_read import as_read
from data_builders.filters.signs import KEPT, meant
from data_builders.flow import CleanRow, Placed
from stemma.answers.listed_options import split_options
from stemma.errors import Problem, UserError
from stemma.plain_files import plain_file
from stemma.recipe.data import Parts
from stemma.rows import McqRow, PreferenceRow, Split

Filtered = tuple[list[Placed], list[tuple[Placed, str]]]
"""Rows kept, and rows dropped with the reason."""

# Numbers, words, and the signs that change a question's meaning ("3 - 4" is not "3 + 4"); other
# punctuation goes.
_TOKENS = re.compile(r"\d+(?:\.\d+)?|[^\W\d_]+|(?<![^\W\d_])-|-(?![^\W\d_])|[/*%\\&#@]|[^\w\s-]")
_KEPT_SIGNS = frozenset("-/*%\\&#@!′·‖⌊⌋⌈⌉⟨⟩" + KEPT)
_OPENING = frozenset("([{")
_CLOSING = frozenset(")]}")
_FRAME = """
a about above all also an and any are as at be been being below best both but by can correct could
describes did do does each either every example except false following for from had has have how i
if ii iii in incorrect into is it its iv least likely may more most must neither no none nor not
of on one only or other should some statement statements than that the their them then there these
they this those to true v was we were what when where which who why will with would you your
"""
FRAME = frozenset(_FRAME.split())
"""Words of grammar and of exam papers."""

_STRENGTH: dict[Split, int] = {"train": 0, "validation": 1, "test": 2}


def bare(prompt: str) -> str:
    """A prompt without the `Question:` and `Answer:` that the chat template writes itself."""
    asked = re.sub(r"^\s*Question:\s*", "", prompt)
    before = asked.rstrip().removesuffix("Answer:")
    question = before.rstrip()
    # On a line of its own. (As one expression it takes hours on a thousand blank lines.)
    is_marked = len(before) < len(asked.rstrip()) and "\n" in before[len(question) :]
    return question if is_marked else asked


@lru_cache(maxsize=4096)  # many rows in a row ask the same
def question_key(question: str) -> str:
    """The question without what does not change it: case, whitespace, punctuation, `Question:` and
    its options."""
    text = meant(split_options(as_read(bare(question)))[0]).casefold()
    return " ".join(token for token in _paired(_TOKENS.findall(text)) if _is_kept(token))


def _paired(tokens: Sequence[str]) -> list[str]:
    """The tokens without brackets that have no partner, as in `a) first b) second`. [0, 1) is a
    pair."""
    waiting = list[int]()
    lonely = set[int]()
    for place, token in enumerate(tokens):
        if token in _OPENING:
            waiting.append(place)
        elif token in _CLOSING and waiting:
            waiting.pop()
        elif token in _CLOSING:
            lonely.add(place)
    lonely.update(waiting)
    return [token for place, token in enumerate(tokens) if place not in lonely]


def choices_of(question: str) -> tuple[str, ...]:
    """The lettered options written under a question, without their letters."""
    return split_options(as_read(bare(question)))[1]


def choices_in(one: CleanRow) -> Sequence[str]:
    """The choices of a row's question: its own, or those that the question lists."""
    return one.row.choices if isinstance(one.row, McqRow) else choices_of(one.draft.question)


def _is_kept(token: str) -> bool:
    """Signs of mathematics, brackets, and marks that belong to a letter (Hindi's vowel signs) tell
    questions apart."""
    if token in _OPENING or token in _CLOSING or token in _KEPT_SIGNS:
        return True
    return token[0].isalnum() or unicodedata.category(token[0])[0] in "SM"


_CASED = re.compile(r"[^\W\d_]+")


def cased(text: str) -> tuple[str, ...]:
    """The words whose case may mean something: `CO`, `mW`, `pH`, `M`; not `Co`, which any word at a
    line's start may look like, nor `A` and `I`, nor anything where all is upper case. Texts that
    differ in them are different: CO and Co, mW and MW."""
    words = _CASED.findall(text)
    if not any(word.islower() for word in words):
        return ()
    return tuple(
        w
        for w in words
        if w[1:] != w[1:].lower() or (len(w) == 1 and w.isupper() and w not in "AI")
    )


def is_generic(key: str) -> bool:
    """Whether a question's key has neither a telling word nor a number: "which is true" asks
    nothing alone."""
    return all(word in FRAME for word in re.findall(r"[^\W_]+", key))


def question_id(question: str, choices: Iterable[str] = ()) -> str:
    """A short id shared by all rows that ask the same. Its options (`choices`, or those it lists)
    count only where the stem is generic: "Which is true?" is another question with others."""
    key = question_key(question)
    listed = as_set(choices) or as_set(choices_of(question)) if is_generic(key) else ()
    return "q-" + hashlib.sha256("\n".join([key, *sorted(listed)]).encode()).hexdigest()[:12]


def as_set(choices: Iterable[str]) -> frozenset[str]:
    """Choices to compare, in any order, however their blanks and case are, without characters drawn
    as nothing."""
    return frozenset(" ".join(as_read(choice).casefold().split()) for choice in choices)


def id_of(placed: Placed) -> str:
    """The id of a row's question."""
    if isinstance(placed.row, PreferenceRow):
        return placed.row.question_id
    return question_id(placed.key, choices_in(placed))


def read_frozen(path: Path) -> frozenset[str]:
    """The ids of a file, one a line, e.g. `q-0d5f3a1b2c4e`. Raises UserError naming every line that
    is none."""
    plain_file(path, "a file of question ids", "see data.frozen_test")
    try:
        lines = path.read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            [Problem(str(path), str(error), "a file of question ids", "see data.frozen_test")]
        ) from error
    wrong = [line for line in lines if not re.fullmatch("q-[0-9a-f]{12}", line)]
    if wrong:
        hint = "a build writes such a file beside its test sets"
        raise UserError(
            [
                Problem(str(path), line, "a question id such as q-0d5f3a1b2c4e", hint)
                for line in wrong
            ]
        )
    return frozenset(lines)


def frozen_clusters(
    asked: Iterable[tuple[str, Iterable[str]]],
    frozen: frozenset[str],
    cluster: Callable[[str], str],
) -> set[str]:
    """The clusters that hold a frozen question, of keys with their choices: all their questions
    belong to test."""
    return (
        {cluster(key) for key, choices in asked if question_id(key, choices) in frozen}
        if frozen
        else set()
    )


def choose_split(cluster: str, seed: int, shares: Parts) -> Split:
    """The split of a cluster, by a point in [0, 1) drawn by hash: test from the lower end,
    validation from the upper.

    So where two sets have shares of different sizes, the smaller test lies inside the larger test,
    likewise validation, and only training rows of the set with the smaller shares are lost.
    """
    point = draw(seed, cluster)
    if point < shares.test:
        return "test"
    return "validation" if point >= 1 - shares.validation else "train"


def draw(seed: int, key: str) -> float:
    """A number in [0, 1) that depends on nothing but seed and key: rows drawn by it do not depend
    on their order."""
    return int(hashlib.sha256(f"{seed}\n{key}".encode()).hexdigest()[:13], 16) / 16**13


def keep_apart(rows: Sequence[Placed]) -> Filtered:
    """Leave every cluster in one split: the strongest that a recipe fixed, or else the strongest
    that was drawn.

    A row whose split the recipe fixed stays in any case: two fixed splits that share questions are
    for the decontamination gate to report, not for a filter to settle in silence. So are rows that
    are split by pair.
    """
    claims: dict[str, tuple[bool, int]] = {}
    rows_by_question = [placed for placed in rows if not placed.by_pair]
    for placed in rows_by_question:
        claims[placed.cluster] = max(
            claims.get(placed.cluster, (False, 0)), (placed.fixed, _STRENGTH[placed.split])
        )
    dropped = []
    for placed in rows_by_question:
        claim = claims[placed.cluster][1]
        own = _STRENGTH[placed.split]
        if own != claim and not placed.fixed:
            # "part", the old word: the reasons stand in dropped.jsonl, whose digest is in the keys
            # of trainings.
            dropped.append(
                (placed, "in evaluation part" if own < claim else "in a part fixed by the recipe")
            )
    gone = {id(placed) for placed, _ in dropped}
    return [placed for placed in rows if id(placed) not in gone], dropped
