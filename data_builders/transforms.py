"""Transforms of rows on their way into a set: conflicts, caps per question, samples, mixtures.
Pure: rows in, rows kept and rows dropped with the reason.

What is drawn is drawn by a hash of seed and row id, so it depends neither on the rows' order nor on
other sources.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Any, Literal

from data_builders.flow import Placed
from data_builders.split import Filtered, cased, choices_in, draw
from stemma.recipe.data import PerSplit
from stemma.rows import LETTERS, CorpusRow, McqRow, PreferenceRow, SftRow

NOT_SAMPLED = "not sampled"


def drop_short(rows: Sequence[Placed], words: int) -> Filtered:
    """Drop rows that have an answer (of a pair: either) of fewer words."""
    short = (
        placed for placed in rows if any(len(text.split()) < words for text in _answers(placed))
    )
    return without(rows, short, f"answer under {words} words")


def cap_per_question(rows: Sequence[Placed], caps: Mapping[str, PerSplit], seed: int) -> Filtered:
    """Keep so many rows of a question in each split, counted over all sources of a set;
    near-duplicate questions count as one, unless a set is split by pair. A source without a cap
    (`caps`: by source) loses nothing, and its rows count first."""
    groups = grouped(rows, lambda placed: (placed.split, _asked_in_all(placed), choices(placed)))
    surplus: list[Placed] = []
    for (split, *_), group in groups.items():
        capped = [placed for placed in group if split in caps.get(placed.source, {})]
        count = len(group) - len(capped)
        for placed in _drawn(capped, "cap", seed):
            if count < _count(caps[placed.source][split], len(group)):
                count += 1
            else:
                surplus.append(placed)
    return without(rows, surplus, "more rows of its question than max_per_question")


def _asked_in_all(placed: Placed) -> str:
    return placed.key if placed.by_pair else placed.cluster


def sample(rows: Sequence[Placed], amounts: PerSplit, seed: int) -> Filtered:
    """Keep so many rows of each split, or such a share of them; a split that is not named stays
    whole."""
    groups = grouped(rows, lambda placed: placed.split)
    spare = [
        placed
        for split, group in groups.items()
        if split in amounts
        for placed in _drawn(group, "sample", seed)[_count(amounts[split], len(group)) :]
    ]
    return without(rows, spare, NOT_SAMPLED)


def draw_for_sample(row_id: str, seed: int) -> float:
    """Where a row stands in the order that `sample` takes rows in."""
    return draw(seed, f"sample\n{row_id}")


def mix(rows: Sequence[Placed], weights: Mapping[str, float], total: int, seed: int) -> Filtered:
    """Keep `total` training rows, each source (Placed.source) with its share; other splits stay
    whole. See `mix_counts`."""
    training = grouped(
        (placed for placed in rows if placed.split == "train"), lambda placed: placed.source
    )
    counts = mix_counts(
        {source: len(training.get(source, ())) for source in weights}, weights, total
    )
    spare = [
        placed
        for source, n in counts.items()
        for placed in _drawn(training.get(source, ()), "mix", seed)[n:]
    ]
    return without(rows, spare, "beyond its share of the total")


def mix_counts(
    available: Mapping[str, int], weights: Mapping[str, float], total: int
) -> dict[str, int]:
    """Rows to take of each source. One that is too short gives all it has, and the others share
    what it lacks."""
    taken: dict[str, int] = {}
    while open_sources := {source: weights[source] for source in weights if source not in taken}:
        quotas = _apportion(open_sources, total - sum(taken.values()))
        short = {
            source: available[source]
            for source, quota in quotas.items()
            if available[source] < quota
        }
        taken |= short or quotas
    return {source: taken[source] for source in weights}


def _apportion(weights: Mapping[str, float], total: int) -> dict[str, int]:
    """Whole numbers in proportion to the weights that add up to `total` (largest remainders)."""
    exact = {source: total * weight / sum(weights.values()) for source, weight in weights.items()}
    by_remainder = sorted(exact, key=lambda source: (int(exact[source]) - exact[source], source))
    missing = total - sum(map(int, exact.values()))
    return {
        source: int(quota) + (source in by_remainder[:missing]) for source, quota in exact.items()
    }


def drop_conflicts(
    rows: Sequence[Placed], rule: Literal["contradictions", "any", "keep"]
) -> Filtered:
    """Drop rows that say the opposite of each other, all of them: nobody knows which is right.

    Pairs: `contradictions` rank the same two answers of a question both ways; with `any` every pair
    goes that has an answer chosen here and rejected there. Multiple choice: equal question and
    choices, different right ones.
    """
    if rule == "keep":
        return list(rows), []
    pairs = [
        (placed, _ranking(placed.row)) for placed in rows if isinstance(placed.row, PreferenceRow)
    ]
    if rule == "any":
        both = _chosen_and_rejected(ranking for _, ranking in pairs)
        disputed = [
            placed
            for placed, (question, *answers) in pairs
            if any((question, a) in both for a in answers)
        ]
        kept, dropped = without(rows, disputed, "an answer chosen here and rejected there")
    else:
        said = {ranking for _, ranking in pairs}
        disputed = [
            placed
            for placed, (question, better, worse) in pairs
            if (question, worse, better) in said
        ]
        kept, dropped = without(rows, disputed, "contradicted by another pair")
    asked = grouped((placed for placed in kept if placed.kind == "mcq"), _asked)
    unclear = [
        placed
        for group in asked.values()
        if len(set(map(right_choice, group))) > 1
        for placed in group
    ]
    kept, more = without(kept, unclear, "conflicting right answers")
    return kept, dropped + more


def chosen_and_rejected(rows: Sequence[Placed]) -> int:
    """The number of answers that are chosen in one pair and rejected in another of the same
    question."""
    return len(
        _chosen_and_rejected(
            _ranking(placed.row) for placed in rows if isinstance(placed.row, PreferenceRow)
        )
    )


def _chosen_and_rejected(rankings: Iterable[tuple[str, bytes, bytes]]) -> set[tuple[str, bytes]]:
    chosen = set()
    rejected = set()
    for question, better, worse in rankings:
        chosen.add((question, better))
        rejected.add((question, worse))
    return chosen & rejected


def _asked(placed: Placed) -> Hashable:
    """What a multiple-choice row asks: rows alike in it must have one right choice."""
    return placed.key, cased(placed.draft.question), choices(placed)


def _ranking(pair: PreferenceRow) -> tuple[str, bytes, bytes]:
    """(question with its options, better answer, worse answer), to compare. Case and whitespace do
    not count, unless they are all in which the answers differ: CO against Co, or the indentation of
    a program."""
    question = _folded(pair.prompt)
    answers = (pair.chosen, pair.rejected)
    one, other = map(_folded, answers)
    chosen, rejected = answers if one == other else (one, other)
    return question, _digest(chosen), _digest(rejected)


def _folded(text: str) -> str:
    return " ".join(text.casefold().split())


def _digest(text: str) -> bytes:
    return blake2b(text.encode(), digest_size=16).digest()


def length_balance(pairs: Sequence[PreferenceRow]) -> dict[str, Any]:
    """Statistics of how much longer chosen answers are, in words: a judge that likes length shows
    here."""
    if not pairs:
        return {"n": 0}
    lengths = [(len(pair.chosen.split()), len(pair.rejected.split())) for pair in pairs]
    return {
        "n": len(pairs),
        "chosen_longer": round(
            sum(chosen > rejected for chosen, rejected in lengths) / len(pairs), 4
        ),
        "equally_long": round(
            sum(chosen == rejected for chosen, rejected in lengths) / len(pairs), 4
        ),
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


def choices(placed: Placed) -> frozenset[str]:
    """The choices of the question, in any order: questions such as "Which is true?" differ in them
    alone."""
    return frozenset(" ".join(choice.casefold().split()) for choice in choices_in(placed))


def right_choice(placed: Placed) -> str:
    row = placed.row
    return (
        " ".join(row.choices[LETTERS.index(row.answer)].casefold().split())
        if isinstance(row, McqRow)
        else ""
    )


def grouped(rows: Iterable[Placed], by: Callable[[Placed], Any]) -> dict[Any, list[Placed]]:
    groups = defaultdict(list)
    for placed in rows:
        groups[by(placed)].append(placed)
    return groups


def _drawn(rows: Iterable[Placed], purpose: str, seed: int) -> list[Placed]:
    """The rows in an order drawn by hash, another one for each purpose: one draw must not favour
    what another one left."""
    return sorted(rows, key=lambda placed: draw(seed, f"{purpose}\n{placed.row.id}"))


def _count(amount: float, available: int) -> int:
    return amount if isinstance(amount, int) else max(1, round(amount * available))


def without(rows: Sequence[Placed], dropped: Iterable[Placed], reason: str) -> Filtered:
    gone = {id(placed) for placed in dropped}
    return [p for p in rows if id(p) not in gone], [(p, reason) for p in rows if id(p) in gone]
