"""Short texts: whether a reply says "newton", "Co" or "m/s", and whether it says so or denies it.

Case and signs count where they mean something (Co and CO, mW and MW, 5! and 5); a capital at a
sentence's start does not. Marks that belong to a letter (Hindi's vowel signs) are part of the word.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import permutations
from typing import Literal, NamedTuple

from stemma.answers.claims import END, FEW, claims, plain, sentences

Match = Literal["same", "unclear", "different"]
Said = Literal["affirmed", "denied", "unclear"]
_HEDGED = re.compile(r"\b(?:or|either|neither|maybe|perhaps|possibly|might)\b", re.IGNORECASE)
_DENIAL = re.compile(
    r"\b(?:not|no|non|never|neither|nor|cannot|without|unlike|rather than|instead of|\w+n['’]t)\b",
    re.IGNORECASE,
)
_CLAUSE = re.compile(r"[,;:—–]|\bbut\b", re.IGNORECASE)
_LISTED = re.compile(r"[(\[].*[,;].*[)\]]|\w+\([^()]*\)")
"""A pair, a list or a call: "(1, 2)" and "print(x)", where brackets tell where it ends."""
_ARTICLES = ("the", "a", "an")
_GROUP = re.compile(r",\d{3}(?!\d)")
"""A thousands comma: "1,200", but not "1,2"."""
_PLURAL = 3
"""Letters of a word that may have a plural's s."""
_CLASSICAL = (("on", "a"), ("um", "a"), ("us", "i"), ("sis", "ses"), ("a", "ae"), ("y", "ies"))
_STEM = 4
"""Letters that stay before such an ending."""
_SIGNS, _BINDING, _BRACKETS = "/^%·°√*", set("/^×+-!%·√÷±"), "()[]"
_COMPOUND = {"per", "squared", "cubed"}
"""Words that make a part of a larger unit of what stands beside them: "siemens per ampere"."""
_CLAUSE_REACH = 400
_NEAR = 3
"""Words between a denial and what it denies: "not measured in the newton"."""
_SYMBOL = 2
"""Letters of what is a symbol rather than a word: it is said only where its clause ends ("I am",
"He is")."""


class Token(NamedTuple):
    """A word or sign, and its place in the text."""

    text: str
    begin: int
    end: int


def judge_text(text: str, gold: str, last: str = FEW) -> bool | None:
    """Whether a reply's final statement (plain text) is the short gold answer; None: it says both,
    or hedges. Letters up to `last` name options."""
    written = plain(gold)
    brackets = bool(re.search(r"[-+*/^=]", written) or _LISTED.fullmatch(written))
    wanted = [token.text for token in placed(written, brackets)]
    if not wanted:
        return True if written == text else None
    whole = _bare([token.text for token in placed(text, brackets)])
    if (match := _same(whole, _bare(wanted))) != "different":
        return True if match == "same" else None
    announced = list(claims(text, last))
    if any(
        len(claim) < 2 * len(gold) + 20 and _is_all(text, claim, wanted, brackets)
        for claim in announced
    ):
        return True
    parts = sentences(announced[-1].strip() if announced else text)
    final = (parts[0] if announced else parts[-1]) if parts else ""
    said = _said(final, _bare(wanted), brackets)
    if said is None:
        alone = _letter_alone(last)
        if announced and alone.fullmatch(final) and not alone.fullmatch(gold):
            return None
        return None if _said(text, _bare(wanted), brackets) else False
    return None if said == "unclear" or _HEDGED.search(final) else said == "affirmed"


@cache
def _letter_alone(last: str) -> re.Pattern[str]:
    """An option's letter, which says nothing of its text."""
    return re.compile(rf"[\W_]*(?:(?:is|option)\b\W*)*[A-{last}a-{last.lower()}]\W*")


def _is_all(text: str, claim: str, wanted: Sequence[str], brackets: bool) -> bool:
    """Whether all that follows an announcement is the gold answer, which may hold an `is` or a dash
    of its own."""
    said = _bare([token.text for token in placed(claim, brackets)])
    denied = not text.endswith(claim) or negation_before(text[: -len(claim)])
    return _same(said, _bare(list(wanted))) == "same" and not denied


def tokens(text: str) -> list[str]:
    """Words and signs as they are written, without punctuation: "x = 5!" is x, =, 5, !."""
    return [token.text for token in placed(text)]


def placed(text: str, brackets: bool = False) -> list[Token]:
    """The tokens with their places in the text (whose characters are composed: NFC)."""
    found, joined = list[Token](), False
    for at, char in enumerate(text):
        before, behind = text[at - 1 : at] if at else "", text[at + 1 : at + 2]
        decimal = before.isdigit() and (
            (char == "." and behind.isdigit()) or (char == "," and bool(_GROUP.match(text, at)))
        )
        if _is_letter(char) or (decimal and joined):
            last = found.pop() if joined else Token("", at, at)
            found.append(Token(last.text + (char if char != "," else ""), last.begin, at + 1))
            joined = True
        elif unicodedata.category(char) != "Cf":  # invisible: joins what stands around it
            joined = False
            if (char in _BRACKETS and brackets) or _is_sign(text, at):
                found.append(Token("×" if char == "*" else char, at, at + 1))
    return found


def negation_before(text: str) -> Literal["near", "far"] | None:
    """Whether the words before a place, in its clause, deny what stands there: just before it or
    farther off."""
    clause = _CLAUSE.split(text[-_CLAUSE_REACH:])[-1]
    denials = list(_DENIAL.finditer(clause))
    if not denials:
        return None
    return "near" if len(clause[denials[-1].end() :].split()) <= _NEAR else "far"


def _is_letter(char: str) -> bool:
    return char.isalnum() or (char > "\x7f" and unicodedata.category(char)[0] == "M")


def _is_sign(text: str, at: int) -> bool:
    """Signs of mathematics. A minus stands before a number or between operands; `!` and `'` behind
    one of them."""
    char = text[at]
    # The nearest characters decide.
    before = text[max(0, at - 8) : at]
    behind = text[at + 1 : at + 9]
    if char == "-":
        between = re.search(r"(?:\d|\b\w) ?$", before) and re.match(r" ?\w\b", behind)
        ion = re.search(r"(?:\b[A-Z][A-Za-z]?|\w\d|\^\d|\))$", before)  # Cl-
        charge = ion and not re.match(r"[\w(]", behind)
        return bool(between or charge or re.match(r"\.?\d|[^\W\d_](?!\w)|[√π]", behind))
    if char in "!'′":
        return bool(re.search(r"(?:\d|\)|\b[^\W\d_])['′]*$", before))
    return char in _SIGNS or unicodedata.category(char) == "Sm"


def _bare(words: list[str]) -> list[str]:
    return words[1:] if len(words) > 1 and words[0].casefold() in _ARTICLES else words


def _said(text: str, wanted: Sequence[str], brackets: bool) -> Said | None:
    """What a text says of the wanted words, over all places where they stand; None: they do not."""
    places = list(_places(text, wanted, brackets))
    if not places:
        return None
    kinds = {
        "unclear"
        if match == "unclear"
        else negation_before(text[max(0, begin - _CLAUSE_REACH) : begin])
        for match, begin in places
    }
    if kinds == {None}:
        return "affirmed"
    return "denied" if kinds == {"near"} else "unclear"


def _places(text: str, wanted: Sequence[str], brackets: bool) -> Iterator[tuple[Match, int]]:
    found, size = placed(text, brackets), len(wanted)
    for at in range(len(found) - size + 1):
        match = _same([token.text for token in found[at : at + size]], wanted)
        around = {
            token.text for token in (*found[max(at - 1, 0) : at], *found[at + size : at + size + 1])
        }
        end = found[at + size - 1].end
        symbol = sum(map(len, wanted)) <= _SYMBOL and not re.match(END, text[end:])
        if around & _COMPOUND:
            match = "unclear" if match != "different" else match
        if match != "different" and not around & _BINDING and not symbol:
            begin = found[at].begin
            if not text[max(0, begin - 1) : begin].isalnum():  # 2√2
                yield "unclear" if _is_compound(text, begin, end) else match, begin


def _is_compound(text: str, begin: int, end: int) -> bool:
    """Whether a hyphen makes the words a part of another one: newton-metre, acid-base."""
    before = text[max(0, begin - 4) : begin]
    inside = re.search(r"[^\W\d_]{2}-$", before) and before.casefold() != "non-"  # that denies it
    return bool(inside or re.match(r"-[^\W\d_]{2}", text[end : end + 3]))


def _same(said: Sequence[str], wanted: Sequence[str]) -> Match:
    if len(said) != len(wanted):
        return "different"
    matches = {_same_word(one, other) for one, other in zip(said, wanted, strict=True)}
    return "different" if "different" in matches else "unclear" if "unclear" in matches else "same"


def _same_word(one: str, other: str) -> Match:
    """Case means nothing between newton, Newton and NEWTON; between Co and CO it does, and m or M
    nobody can tell."""
    if one == other:
        return "same"
    short, long = sorted((one.casefold(), other.casefold()), key=len)
    if (
        len(short) >= _PLURAL
        and long == f"{short}s"
        and short[-1] != "s"
        and (one[1:] + other[1:]).islower()
    ):
        return "same"  # but HTTP is not HTTPS
    if _is_classical_plural(one, other):
        return "same"
    if short != long:
        return "different"
    shapes = {_shape(one), _shape(other)}
    if len(one) > 1 and "mixed" not in shapes and (len(one) > _SYMBOL or "upper" not in shapes):
        return "same"
    return "different" if len(one) == _SYMBOL and "lower" not in shapes else "unclear"


def _is_classical_plural(one: str, other: str) -> bool:
    """Whether one is the other's plural as Latin and Greek have it: mitochondrion, mitochondria."""
    return any(
        first.endswith(singular)
        and first.removesuffix(singular) + plural == second
        and len(first) - len(singular) >= _STEM
        for first, second in permutations((one.casefold(), other.casefold()))
        for singular, plural in _CLASSICAL
    )


def _shape(word: str) -> str:
    if word == word.lower():
        return "lower"
    if word == word.upper():
        return "upper"
    return "title" if word[1:] == word[1:].lower() else "mixed"
