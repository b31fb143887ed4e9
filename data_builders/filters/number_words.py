"""Numbers that are written out: "two hundred and forty-five blocks" has the number 245, as "245
blocks" has."""

from __future__ import annotations

from collections.abc import Sequence

_FROM_ONE = """
one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
seventeen eighteen nineteen
"""
_SMALL = {word: number for number, word in enumerate(_FROM_ONE.split(), 1)}
_UNITS = {word: number for word, number in _SMALL.items() if number < 10}
_FROM_TWENTY = "twenty thirty forty fifty sixty seventy eighty ninety"
_TENS = {word: 10 * place for place, word in enumerate(_FROM_TWENTY.split(), 2)}
_LARGE = {"thousand": 1_000, "million": 1_000_000, "billion": 1_000_000_000}
_BEGIN = frozenset({*_SMALL, *_TENS, "hundred", *_LARGE})
_ALL = _BEGIN - {"one"}


def read_numbers(words: Sequence[str]) -> list[str]:
    """Lower-case words with numbers in figures. "one" alone stays: it is a pronoun more often than
    a number."""
    if _ALL.isdisjoint(words):
        return list(words)
    found: list[str] = []
    at = 0
    while at < len(words):
        if words[at] not in _BEGIN:
            found.append(words[at])
            at += 1
            continue
        value, end = _number(words, at)
        found.append(words[at] if end == at or words[at:end] == ["one"] else str(value))
        at = max(end, at + 1)
    return found


def _number(words: Sequence[str], at: int) -> tuple[int, int]:
    """The number that begins here and where it ends: here, if there is none."""
    total = 0
    smallest = 10**12
    while at < len(words):
        value, end = _below_thousand(words, at)
        scale = _LARGE.get(words[end], 1) if end < len(words) else 1
        if (end == at and scale == 1) or scale >= smallest:
            break
        total += (value if end > at else 1) * scale
        smallest = scale
        at = end + (scale > 1)
        if scale == 1:
            break
    return total, at


def _below_thousand(words: Sequence[str], at: int) -> tuple[int, int]:
    value, end = _below_hundred(words, at)
    if words[end : end + 1] != ["hundred"] or value > 99:
        return value, end
    value = (value if end > at else 1) * 100
    end = end + 1
    linked = end + (words[end : end + 1] == ["and"])
    more, behind = _below_hundred(words, linked)
    return (value + more, behind) if behind > linked else (value, end)


def _below_hundred(words: Sequence[str], at: int) -> tuple[int, int]:
    word = words[at] if at < len(words) else ""
    if word in _SMALL:
        return _SMALL[word], at + 1
    if word not in _TENS:
        return 0, at
    unit = _UNITS.get(words[at + 1], 0) if at + 1 < len(words) else 0
    return _TENS[word] + unit, at + 1 + (unit > 0)
