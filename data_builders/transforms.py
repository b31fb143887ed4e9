"""What happens to placed rows on their way into a set. Pure: rows in, rows kept and rows dropped with the reason.

What is drawn is drawn by a hash of seed and row id, so it depends neither on the rows' order nor on other sources.
"""

from __future__ import annotations

import re
from bisect import bisect, insort
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b
from itertools import groupby, starmap
from random import Random
from typing import Any, Literal

from rapidfuzz.distance import OSA, Levenshtein
from rapidfuzz.fuzz import ratio

from data_builders.drafts import Placed
from data_builders.split import Sieved, cased, choices_of, draw
from stemma.data_section import PerPart
from stemma.rows import LETTERS, CorpusRow, McqRow, PreferenceRow, SftRow

NEAR = 95.0
"""Percent of characters that two texts must share, in order, to be near copies."""

NEIGHBOURS = 64
"""Rows of a question before and behind a row that it is compared with, in two orders."""

TYPO_LETTERS = 5
"""From so many letters on, a word with one letter too many, or two swapped, is the same word."""
_PIECES = re.compile(r"\\[A-Za-z]+|\d+(?:\.\d+)?|[^\W\d_]+|[^\w\s]|_")
"""LaTeX commands, numbers, words, signs."""
_IDLE = frozenset({"a", "an", "the", ",", ".", ";", ":", "?", '"', "“", "”"})

NOT_SAMPLED = "not sampled"

_DIGITS = re.compile(r"\d+(?:[.,]\d+)*")
# A choice that means others, or a place among them: "All of the above", "Both A and B", "(a) or (b)"; not "I and II".
_OTHERS = re.compile(
    r"\b(?:above|below|preceding)\b"
    r"|\b(?:all|any|both|each|either|neither|none|some) of (?:these|those|them|the (?:other|option|choice|answer)s?)\b"
    r"|^\W*(?:all|both|either|neither|none)\W*$"
    r"|\b(?:option|choice|answer)s? \(?[a-h]\b"
    r"|\b(?:first|last) (?:two|three|option|choice|answer)"
    r"|\([a-h]\)\s*(?:,|&|and|or|nor)"
    r"|^(?:both|either|neither|only)?\s*[a-h]\s*(?:,|&|\b(?:and|or|nor)\b|\bonly\b).{0,20}$",
    re.IGNORECASE,
)
_LETTERS_JOINED = re.compile(r"\b[A-H]\s*(?:,|&|and\b|or\b|nor\b)\s*(?:and |or )?[A-H]\b")
_LETTER_NAMED = re.compile(
    r"\([A-Ja-j]\)|\b[B-HJ]\b|\b(?i:option|choice|answer|letter)s?\W{1,3}(?:is\W{1,3})?[A-Ja-j]\b"
)
_ANY_LETTER_NAMED = re.compile(
    r"\([A-Za-z]\)|\b[B-HJ-Z]\b|\b(?i:option|choice|answer|letter)s?\W{1,3}(?:is\W{1,3})?[A-Za-z]\b"
)
FEW = 10
"""With more choices than this, every single letter may name one."""


def drop_short(rows: Sequence[Placed], words: int) -> Sieved:
    """Without rows that have an answer (of a pair: either) of fewer words."""
    short = (placed for placed in rows if any(len(text.split()) < words for text in _answers(placed)))
    return _without(rows, short, f"answer under {words} words")


def cap_per_question(rows: Sequence[Placed], caps: Mapping[str, PerPart], seed: int) -> Sieved:
    """At most so many rows of a question in each part, counted over all batches of a set; near-duplicate questions
    count as one. A batch without a cap (`caps`: by batch) loses nothing, and its rows count first."""
    groups = _grouped(rows, lambda placed: (placed.part, placed.cluster, _choices(placed)))
    surplus: list[Placed] = []
    for (part, *_), group in groups.items():
        capped = [placed for placed in group if part in caps.get(placed.batch, {})]
        count = len(group) - len(capped)
        for placed in _drawn(capped, "cap", seed):
            if count < _count(caps[placed.batch][part], len(group)):
                count += 1
            else:
                surplus.append(placed)
    return _without(rows, surplus, "more rows of its question than max_per_question")


def sample(rows: Sequence[Placed], amounts: PerPart, seed: int) -> Sieved:
    """So many rows of each part, or such a share of them; a part that is not named stays whole."""
    groups = _grouped(rows, lambda placed: placed.part)
    spare = [
        placed
        for part, group in groups.items()
        if part in amounts
        for placed in _drawn(group, "sample", seed)[_count(amounts[part], len(group)) :]
    ]
    return _without(rows, spare, NOT_SAMPLED)


def draw_for_sample(row_id: str, seed: int) -> float:
    """Where a row stands in the order that `sample` takes rows in."""
    return draw(seed, f"sample\n{row_id}")


def mix(rows: Sequence[Placed], weights: Mapping[str, float], total: int, seed: int) -> Sieved:
    """`total` training rows, each batch (Placed.batch) with its share; other parts stay whole. See `mix_counts`."""
    training = _grouped((placed for placed in rows if placed.part == "train"), lambda placed: placed.batch)
    counts = mix_counts({batch: len(training.get(batch, ())) for batch in weights}, weights, total)
    spare = [placed for batch, n in counts.items() for placed in _drawn(training.get(batch, ()), "mix", seed)[n:]]
    return _without(rows, spare, "beyond its share of the total")


def mix_counts(available: Mapping[str, int], weights: Mapping[str, float], total: int) -> dict[str, int]:
    """Rows to take of each batch. One that is too short gives all it has, and the others share what it lacks."""
    taken: dict[str, int] = {}
    while open_batches := {batch: weights[batch] for batch in weights if batch not in taken}:
        quotas = _apportion(open_batches, total - sum(taken.values()))
        short = {batch: available[batch] for batch, quota in quotas.items() if available[batch] < quota}
        taken |= short or quotas
    return {batch: taken[batch] for batch in weights}


def _apportion(weights: Mapping[str, float], total: int) -> dict[str, int]:
    """Whole numbers in proportion to the weights that add up to `total` (largest remainders)."""
    exact = {batch: total * weight / sum(weights.values()) for batch, weight in weights.items()}
    by_remainder = sorted(exact, key=lambda batch: (int(exact[batch]) - exact[batch], batch))
    missing = total - sum(map(int, exact.values()))
    return {batch: int(quota) + (batch in by_remainder[:missing]) for batch, quota in exact.items()}


def drop_conflicts(rows: Sequence[Placed], rule: Literal["contradictions", "any", "keep"]) -> Sieved:
    """Without rows that say the opposite of each other, all of them: nobody knows which is right.

    Pairs: `contradictions` rank the same two answers of a question both ways; with `any` every pair goes that has an
    answer chosen here and rejected there. Multiple choice: equal question and choices, different right ones.
    """
    if rule == "keep":
        return list(rows), []
    pairs = [(placed, _ranking(placed.row)) for placed in rows if isinstance(placed.row, PreferenceRow)]
    if rule == "any":
        both = _chosen_and_rejected(ranking for _, ranking in pairs)
        disputed = [placed for placed, (question, *answers) in pairs if any((question, a) in both for a in answers)]
        kept, dropped = _without(rows, disputed, "an answer chosen here and rejected there")
    else:
        said = {ranking for _, ranking in pairs}
        disputed = [placed for placed, (question, better, worse) in pairs if (question, worse, better) in said]
        kept, dropped = _without(rows, disputed, "contradicted by another pair")
    asked = _grouped((placed for placed in kept if placed.kind == "mcq"), _asked)
    unclear = [placed for group in asked.values() if len(set(map(_right, group))) > 1 for placed in group]
    kept, more = _without(kept, unclear, "conflicting right answers")
    return kept, dropped + more


def chosen_and_rejected(rows: Sequence[Placed]) -> int:
    """How many answers are chosen in one pair and rejected in another pair of the same question."""
    return len(_chosen_and_rejected(_ranking(placed.row) for placed in rows if isinstance(placed.row, PreferenceRow)))


def _chosen_and_rejected(rankings: Iterable[tuple[str, bytes, bytes]]) -> set[tuple[str, bytes]]:
    chosen, rejected = set(), set()
    for question, better, worse in rankings:
        chosen.add((question, better))
        rejected.add((question, worse))
    return chosen & rejected


def _asked(placed: Placed) -> Hashable:
    """What a multiple-choice row asks: rows alike in it must have one right choice."""
    return placed.key, cased(placed.draft.question), _choices(placed)


def _ranking(pair: PreferenceRow) -> tuple[str, bytes, bytes]:
    """(question with its options, better answer, worse answer), to compare. Case and whitespace do not count, unless
    they are all in which the answers differ: CO against Co, or the indentation of a program."""
    question, answers = _folded(pair.prompt), (pair.chosen, pair.rejected)
    one, other = map(_folded, answers)
    chosen, rejected = answers if one == other else (one, other)
    return question, _digest(chosen), _digest(rejected)


def _folded(text: str) -> str:
    return " ".join(text.casefold().split())


def _digest(text: str) -> bytes:
    return blake2b(text.encode(), digest_size=16).digest()


def drop_near_copies(rows: Sequence[Placed]) -> Sieved:
    """Without rows that repeat another row of the same question, part and set but for a few characters.

    Texts with different numbers are never copies, and choices must be equal as a set, the right one too.
    """
    copies: list[Placed] = []
    for group in _grouped(rows, _must_be_equal).values():
        originals = _Originals()
        for placed in group:
            texts = _compared(placed)
            if any(all(map(_is_near, texts, original)) for original in originals.beside(texts)):
                copies.append(placed)
            else:
                originals.add(texts)
    return _without(rows, copies, "near copy of another row")


class _Originals:
    """Texts of one question, in order by how they begin and by how they end (the sorted neighbourhood method).

    A text is compared with its NEIGHBOURS in both orders: with all where there are few, and not with a thousand others
    where a template has made them.
    """

    def __init__(self) -> None:
        self._by_begin: list[tuple[str, tuple[str, ...]]] = []
        self._by_end: list[tuple[str, tuple[str, ...]]] = []

    def add(self, texts: tuple[str, ...]) -> None:
        insort(self._by_begin, ("\n".join(texts), texts))
        insort(self._by_end, ("\n".join(texts)[::-1], texts))

    def beside(self, texts: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        """The nearest in each order."""
        joined = "\n".join(texts)
        for ordered, key in ((self._by_begin, joined), (self._by_end, joined[::-1])):
            place = bisect(ordered, (key, texts))
            yield from (other for _, other in ordered[max(place - NEIGHBOURS, 0) : place + NEIGHBOURS])


def _must_be_equal(placed: Placed) -> Hashable:
    numbers = tuple(tuple(_DIGITS.findall(text)) for text in _compared(placed))
    answer = (_right(placed), placed.row.answer_as) if isinstance(placed.row, McqRow) else None
    return placed.kind, placed.part, placed.cluster, _choices(placed), answer, numbers


def _compared(placed: Placed) -> tuple[str, ...]:
    match placed.row:
        case SftRow(messages=messages):
            return tuple(message.content for message in messages)
        case PreferenceRow(prompt=prompt, chosen=chosen, rejected=rejected):
            return prompt, chosen, rejected
        case McqRow(question=question, explanation=explanation):
            return question, explanation
        case CorpusRow(text=text):
            return (text,)


def _is_near(one: str, other: str) -> bool:
    """Whether texts differ in nothing but layout, case that means nothing, articles, and the spelling of long words.

    What differs decides, not how much is shared: exam questions with one long preamble differ in a word.
    """
    if cased(one) != cased(other):
        return False
    ours, theirs = _pieces(one), _pieces(other)
    if ours == theirs:
        return True
    if not ratio(one, other, score_cutoff=NEAR):  # far quicker, and nearly always enough
        return False
    return all(starmap(_means_the_same, _changed(ours, theirs)))


@lru_cache(maxsize=4096)  # a text is held against every other of its question
def _pieces(text: str) -> list[str]:
    return _PIECES.findall(text.casefold())


def _changed(ours: Sequence[str], theirs: Sequence[str]) -> Iterator[tuple[Sequence[str], Sequence[str]]]:
    """The stretches in which two lists differ, each with what stands in its place."""
    for equal, stretch in groupby(Levenshtein.opcodes(ours, theirs), key=lambda edit: edit.tag == "equal"):
        edits = list(stretch)
        if not equal:
            first, last = edits[0], edits[-1]
            yield ours[first.src_start : last.src_end], theirs[first.dest_start : last.dest_end]


def _means_the_same(ours: Sequence[str], theirs: Sequence[str]) -> bool:
    """Whether two stretches differ in articles, closing marks, blanks or one slip of the pen only."""
    one, other = ("".join(piece for piece in pieces if piece not in _IDLE) for pieces in (ours, theirs))
    if one == other:
        return True
    long = max(len(one), len(other)) >= TYPO_LETTERS
    return long and (one + other).isalpha() and one[0] == other[0] and _is_slip(one, other)


def _is_slip(one: str, other: str) -> bool:
    """A letter too many, or two letters swapped; another letter in its place makes another word (affect, effect)."""
    return OSA.distance(one, other) == 1 and (len(one) != len(other) or sorted(one) == sorted(other))


def permute_choices(row: McqRow, seed: int) -> McqRow:
    """The choices shuffled by seed and row id; `meta["order"]` says which letter each had, e.g. `CADB`.

    A row is left as it is where a choice refers to others, or where the explanation names letters.
    """
    if any(map(_OTHERS.search, row.choices)) or any(map(_LETTERS_JOINED.search, row.choices)):
        return row
    if (_LETTER_NAMED if len(row.choices) <= FEW else _ANY_LETTER_NAMED).search(row.explanation):
        return row
    order = list(LETTERS[: len(row.choices)])
    Random(f"{seed}\n{row.id}").shuffle(order)
    choices = [row.choices[LETTERS.index(letter)] for letter in order]
    answer, meta = LETTERS[order.index(row.answer)], {**row.meta, "order": "".join(order)}
    return row.model_copy(update={"choices": choices, "answer": answer, "meta": meta})


def length_balance(pairs: Sequence[PreferenceRow]) -> dict[str, Any]:
    """How much longer chosen answers are, in words: a judge that likes length shows here."""
    if not pairs:
        return {"n": 0}
    lengths = [(len(pair.chosen.split()), len(pair.rejected.split())) for pair in pairs]
    return {
        "n": len(pairs),
        "chosen_longer": round(sum(chosen > rejected for chosen, rejected in lengths) / len(pairs), 4),
        "equally_long": round(sum(chosen == rejected for chosen, rejected in lengths) / len(pairs), 4),
        "mean_words_chosen": round(sum(chosen for chosen, _ in lengths) / len(pairs), 1),
        "mean_words_rejected": round(sum(rejected for _, rejected in lengths) / len(pairs), 1),
    }


def _answers(placed: Placed) -> tuple[str, ...]:
    match placed.row:
        case SftRow(messages=messages):
            return (messages[-1].content,)
        case PreferenceRow(chosen=chosen, rejected=rejected):
            return chosen, rejected
        case CorpusRow(text=text):
            return (text,)
        case McqRow(answer_as="explained", explanation=explanation):
            return (explanation,)
        case _:
            return ()


def _choices(placed: Placed) -> frozenset[str]:
    """The choices of the question, in any order: questions such as "Which is true?" differ in them alone."""
    choices = placed.row.choices if isinstance(placed.row, McqRow) else choices_of(placed.draft.question)
    return frozenset(" ".join(choice.casefold().split()) for choice in choices)


def _right(placed: Placed) -> str:
    row = placed.row
    return " ".join(row.choices[LETTERS.index(row.answer)].casefold().split()) if isinstance(row, McqRow) else ""


def _grouped(rows: Iterable[Placed], by: Callable[[Placed], Any]) -> dict[Any, list[Placed]]:
    groups = defaultdict(list)
    for placed in rows:
        groups[by(placed)].append(placed)
    return groups


def _drawn(rows: Iterable[Placed], purpose: str, seed: int) -> list[Placed]:
    """In an order drawn by hash, another one for each purpose: one draw must not favour what another one left."""
    return sorted(rows, key=lambda placed: draw(seed, f"{purpose}\n{placed.row.id}"))


def _count(amount: float, available: int) -> int:
    return amount if isinstance(amount, int) else max(1, round(amount * available))


def _without(rows: Sequence[Placed], dropped: Iterable[Placed], reason: str) -> Sieved:
    gone = {id(placed) for placed in dropped}
    return [p for p in rows if id(p) not in gone], [(p, reason) for p in rows if id(p) in gone]
