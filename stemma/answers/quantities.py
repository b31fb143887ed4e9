"""Numbers with their units, exactly: 1,234.50, 3e8, 1/2, -4, 19 m/s, 50 %; and which of them a
reply states."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from stemma.answers.claims import END, FILLER, WORKS_ON, claims, plain, sentences
from stemma.answers.texts import negation_before, tokens
from stemma.answers.units import PERCENT, Unit, unit_at

NUMBER = re.compile(
    # Not inside a word or version, not the exponent of a unit (m/s^2).
    r"(?<![\w.)√±^])(?<!\^-)(?<!\d,)"
    r"-?(?:\d{1,3}(?:,\d{3}){1,9}(?!\d)|\d{1,30}|(?=\.\d))(?:\.\d{1,30})?(?:[eE][-+]?\d{1,3}(?!\d))?"
    r"(?:\s?/\s?[1-9]\d{0,29})?(?![.,]?\d)"
)
_CURRENCY = "$€£ "
_MARKED = re.compile(r"^A: *(.*)$", re.MULTILINE)
"""A last line as GSM8K's solutions end: it decides alone."""
_GOES_ON = re.compile(r"\s?(?:[-+/^=×·÷<>(*\\!π√±\d]|x\b)|[^\W\d_]")
"""Behind a number and its unit: it is a part of something larger, 5!, 2x, 3π, 12 + 7. A word needs
a blank."""
_OPERAND_BEFORE = re.compile(
    r"[\w)]\s?[-+×*/÷·^]\s?[-(]?\s?$|(?:[√±≤≥≠]|(?<![=-])(?<![=-] )[<>])\s?-?$|[\w)]-$"
    r"|\b(?:log|ln|exp|sin|cos|tan|lim)\s?\(?\s?-?$"
    r"|\b(?:(?:more|less|greater|fewer|larger|smaller|higher|lower) than|at (?:least|most)"
    r"|(?:could|might|may) be|maybe|perhaps|possibly) ?-?$",
    re.IGNORECASE,
)
"""Parts of a sum, of a function, bounds and guesses: "x < 5", "at least 5" and "perhaps 5" are no
5."""
_NEAR, _BEFORE = 60, 20
"""Characters around a number that are looked at, so that time does not grow with the square of the
reply."""
_OPERAND_BEHIND = re.compile(r"\s?[-+×*/÷·±]\s?[\w(]|\^|!|\\|\s?[π√]")

_RESULT = re.compile(
    r"(?:=|\b(?:is|are|equals?|gives|makes|yields)\b(?: (?:equal to|indeed|then|exactly|just))?)"
    r"\s?[$€£]?(?=[-.\d])"
)

_CONDITION = re.compile(r"\b(?:if|when|until|suppose|assum\w+|let)\b", re.IGNORECASE)

_ONES = (
    "zero one two three four five six seven eight nine ten "
    "eleven twelve thirteen fourteen fifteen sixteen seventeen"
)
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
NUMBER_WORDS = {
    **{word: number for number, word in enumerate(f"{_ONES} eighteen nineteen".split())},
    **{word: 10 * number for number, word in enumerate(_TENS.split(), start=2)},
    "a": 0,
    "hundred": 100,
}
_ONE_WORD = "|".join(word for word in NUMBER_WORDS if word not in ("a", "hundred"))
_WORDS = re.compile(
    rf"(?:(?:{_ONE_WORD})(?:[ -](?:{_ONE_WORD}|hundred)){{0,3}}|(?:a )?hundred)(?![\w-])",
    re.IGNORECASE,
)
_END_OF_WORDS = re.compile(
    r"(?: (?!of\b|or\b|and\b|to\b|times\b|hal|third|quarter|fourth|fifth)[a-zA-Z°%/²³^]{1,12})?\W*$"
)


@dataclass(frozen=True)
class Quantity:
    """A number with its unit."""

    value: Fraction
    places: int | None
    """Digits behind the decimal point; None for a fraction or a power of ten."""
    unit: Unit | None
    rest: str
    """The text behind the number, for units that only the gold answer knows: 12 apples."""


def value(text: str) -> Fraction | None:
    """The number that a text is, and nothing else."""
    found = _number(text)
    return _exact(found) if found and NUMBER.fullmatch(found) else None


def quantity(gold: str) -> Quantity | None:
    """The quantity that a gold answer is: a number, a number and a unit, or a number and one or two
    nouns."""
    written = _in_digits(_number(plain(gold)))
    number = NUMBER.match(written)
    if not number:
        return None
    found = _read(written, number)
    unit_end = unit_at(written, number.end())[1]
    if unit_end == len(written) or re.fullmatch(r" [a-z]{3,}( [a-z]{3,})?", found.rest):
        return found
    return None


def compare(said: Quantity, gold: Quantity) -> bool | None:
    """Whether a quantity is the gold one; None: a unit is missing or unknown, or one is the other
    rounded."""
    if said.value == gold.value and said.unit == gold.unit and gold.unit:
        return True
    if said.unit and gold.unit:
        if said.unit.dimensions != gold.unit.dimensions:
            return False if said.value == gold.value else None
        return said.value * said.unit.factor == gold.value * gold.unit.factor
    if PERCENT in (said.unit, gold.unit) and _scaled(said) == _scaled(gold):
        return True
    if said.value != gold.value:
        pairs = [(said, gold), (_unscaled(said), _unscaled(gold))]
        rounded = any(_rounds_to(one, other) or _rounds_to(other, one) for one, other in pairs)
        return None if rounded else False
    if gold.unit is None:
        noun = tokens(gold.rest)
        return True if not noun or tokens(said.rest)[: len(noun)] == noun else None
    return None


def stated(text: str) -> tuple[list[Quantity], list[Quantity]]:
    """The quantities that a reply (plain text) gives as its result, and those it denies."""
    marked = [found for line in _MARKED.findall(text)[-1:] for found in _leading(line)]
    if marked:
        return marked, []
    announced = set(claims(text))
    said = [found for claim in sorted(announced) for found in _leading(claim)]
    if said:
        return said, []
    return _closing(text)


def _leading(claim: str) -> Iterator[Quantity]:
    """The numbers a claim gives as its result: "18 dollars" 18, "2 or 3" both, "12 + 7 = …" none
    yet."""
    body = _in_digits(FILLER.sub("", claim, count=1).lstrip(_CURRENCY))
    number = NUMBER.match(body)
    if not number:
        return
    found = _read(body, number)
    rest = body[number.end() :]
    if found.unit:
        rest = body[unit_at(body, number.end())[1] :]
    if not _GOES_ON.match(rest):
        yield found
        if other := re.match(r",? (?:or|and|to) (.*)", rest):
            yield from _leading(other[1])


def _closing(text: str) -> tuple[list[Quantity], list[Quantity]]:
    """Numbers that an unannounced result can be, said and denied ones.

    They are the last sentence's; where that holds none, those of the one sentence that does: what
    follows an answer is often its explanation ("It is 6. This is because …").
    """
    parts = sentences(text)
    numbered = [part for part in parts if NUMBER.search(_in_digits(part.strip()))]
    if not numbered:
        return [], []
    behind = parts[parts.index(numbered[-1]) + 1 :]
    stands = len(numbered) == 1 and not _CONDITION.search(numbered[0])
    if behind and (not stands or any(map(WORKS_ON.match, behind))):
        return [], []
    return _of_sentence(numbered[-1])


def _of_sentence(sentence: str) -> tuple[list[Quantity], list[Quantity]]:
    """Its numbers, or only those behind its last equals sign; of several, those behind a link
    ("6 times 7 is 42"), if these are one.

    Parts of a sum or product are none: "12 + 7 is 19" states 19, and "5 - 3" nothing.
    """
    closing = _in_digits(re.split(r"=\s?>?", sentence)[-1].strip())
    said, denied = list[Quantity](), list[Quantity]()
    for number in NUMBER.finditer(closing):
        found = _read(closing, number)
        end = unit_at(closing, number.end())[1] if found.unit else number.end()
        before = closing[max(0, number.start() - _BEFORE) : number.start()]
        behind = closing[end:]
        if _OPERAND_BEFORE.search(before) or _OPERAND_BEHIND.match(behind):
            continue
        if behind[:1].isalpha():  # 2x, 3rd
            return [], denied
        (denied if negation_before(closing[: number.start()]) == "near" else said).append(found)
    linked = [] if denied or len(said) < 2 else _linked(sentence)
    last = bool(linked) and linked[-1].value == said[-1].value
    return linked if last and is_one(linked) else said, denied


def _linked(sentence: str) -> list[Quantity]:
    """The numbers that stand whole behind a link: "is 42", "= 42", "equals 42 m"."""
    found = []
    for link in _RESULT.finditer(sentence):
        body = sentence[link.end() :]
        number = NUMBER.match(body)
        if number:
            one = _read(body, number)
            end = unit_at(body, number.end())[1] if one.unit else number.end()
            found += [one] if re.match(END, body[end:]) or body[end:].startswith(" of ") else []
    return found


def is_one(said: Sequence[Quantity]) -> bool:
    """Whether quantities are all one value; 0.2 and 20 % are."""
    return len({one.value for one in said}) == 1 or (
        any(one.unit == PERCENT for one in said) and len({_scaled(one) for one in said}) == 1
    )


def _in_digits(text: str) -> str:
    """A text that begins with a number in words, and holds no more than its unit or a noun: "five",
    "Forty-two km."."""
    found = _WORDS.match(text)
    if not found or not _END_OF_WORDS.match(text, found.end()):
        return text
    total = 0
    for word in re.split(r"[ -]", found[0].lower()):
        total = (total or 1) * 100 if word == "hundred" else total + NUMBER_WORDS[word]
    return f"{total}{text[found.end() :]}"


def _read(text: str, number: re.Match[str]) -> Quantity:
    written = number[0]
    plainly = "/" not in written and "e" not in written.lower()
    places = len(written.partition(".")[2]) if plainly else None
    return Quantity(
        _exact(written), places, unit_at(text, number.end())[0], text[number.end() :][:_NEAR]
    )


def _number(text: str) -> str:
    return text.strip().rstrip(".").replace("−", "-").lstrip(_CURRENCY)


def _exact(number: str) -> Fraction:
    numerator, _, denominator = number.replace(",", "").replace(" ", "").partition("/")
    return Fraction(numerator) / Fraction(denominator or "1")


def _scaled(one: Quantity) -> Fraction:
    return one.value / 100 if one.unit == PERCENT else one.value


def _unscaled(one: Quantity) -> Quantity:
    """33.3 % as 0.333."""
    if one.unit != PERCENT:
        return one
    return replace(one, value=_scaled(one), places=None if one.places is None else one.places + 2)


def _rounds_to(exact: Quantity, rounded: Quantity) -> bool:
    return bool(rounded.places) and round(exact.value, rounded.places) == rounded.value
