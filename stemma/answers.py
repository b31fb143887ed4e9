"""Whether a reply is right, by rule: pure, for evaluation and for whoever asks the shipped model.

A gold answer that is a number must equal the last number of the reply; any other must be the reply, or stand in it as
whole words in order, case and punctuation left aside.
"""

from __future__ import annotations

import re
from fractions import Fraction

NUMBER = re.compile(
    r"(?<![\w.)^])(?<!\^-)"  # not inside a word or version, not the exponent of a unit (m/s^2)
    r"-?(?:(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?|\.\d+)(?:[eE][-+]?\d+)?(?:/[1-9]\d*)?"
)
WORD = re.compile(r"[^\W_]+")
MOST = 1000
"""Digits that are read of a number, and powers of ten: a model that repeats itself writes 1e99999999, which would be a
hundred million digits, and runs of digits longer than Python reads."""


def is_right(reply: str, gold: str) -> bool:
    """Whether a reply gives the gold answer."""
    expected = numbers(gold)
    if expected and _is_number(gold):
        found = numbers(reply)
        return bool(found) and found[-1] == expected[0]
    wanted, said = words(gold), words(reply)
    if not wanted:
        return gold.strip() == reply.strip()
    return any(said[begin : begin + len(wanted)] == wanted for begin in range(len(said) - len(wanted) + 1))


def numbers(text: str) -> list[Fraction]:
    """The numbers of a text, exactly: 1,234.50 and 3e-4 and 2/3 are one each; "5-3" holds 5 and 3."""
    parts = [match.replace(",", "").partition("/") for match in NUMBER.findall(text)]
    return [_read(numerator) / _read(denominator or "1") for numerator, _, denominator in parts]


def _read(text: str) -> Fraction:
    """One number without its commas; no gold answer is beyond MOST, so one that is there equals none."""
    mantissa, _, power = text.lower().partition("e")
    return Fraction(mantissa[:MOST]) * Fraction(10) ** max(-MOST, min(MOST, int(power[:MOST] or "0")))


def words(text: str) -> list[str]:
    return WORD.findall(text.casefold())


def _is_number(text: str) -> bool:
    return NUMBER.fullmatch(text.strip().lstrip("$")) is not None
