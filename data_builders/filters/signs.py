"""The punctuation of a question that means something: signs of mathematics and programs stay, those
of prose go.

    f'(3) · AB' + C · 5! · !done · a[1:] · (1,) · print("3" + "4") · (ab)^2 · .5

are other questions without their signs; "(in metres)", "What!", 'the word "DNA"' and "Note: …" are
not.
"""

from __future__ import annotations

import re

QUOTE = '"'
KEPT = '":,'
"""Marks that mean something only where this module leaves them."""
_MARKERS = "\ue000\ue001\ue002"
"""Stand for those until all others are gone."""
_LEFT_OVER = str.maketrans(dict.fromkeys(KEPT, " ") | dict(zip(_MARKERS, KEPT, strict=True)))

_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_DASHES = re.compile("[‐-―−]")

# Brackets round words are punctuation: "(in metres)". Round anything else, or glued to something,
# they are mathematics: 2*(3+4), f(x), (ab)^2.
_ASIDE = re.compile(
    r"(?<!\S)[(\[](\s*[^\W\d_]{2,}(?:[\s,.;:'’-]+[^\W\d_]{2,})*[\s,.;:'’-]*)[)\]](?=[\s,.;:?!]|$)"
)
# What is quoted is prose where it has a word; "3" and 'a' are values of a program.
_QUOTED = re.compile(
    r"[\"“”„«]([^\"“”„»\n]*?)[\"“”»]|(?<![\w)\]}'’])['‘](?=\S)([^'‘’\n]*(?:(?<=\w)['’]\w+[^'‘’\n]*)*?)(?<=\S)['’](?!\w)"
)
_WORD = re.compile(r"[^\W\d_]{2}")
# A prime stands behind a letter, a number (feet), a bracket, a variable of capitals, or before an
# argument; an apostrophe has letters behind it, or a word before it. Letters are read from the
# first of their word only: from each of them, a word of 300,000 letters would take minutes.
_PRIME = re.compile(r"((?<![^\W\d_])[^\W\d_]+|[\d)\]}])\s*(['’]{1,3}|\")(?![^\W_])")
_VARIABLE = 4
"""Capitals of a variable's name, at most: AB'."""
# A factorial stands behind a number, a bracket or a single letter, a negation before what it
# denies; all else is a cry.
_CRIES = re.compile(
    r"(?:(?<=[\d)\]])|(?<=[^\W\d_])(?<![^\W_][^\W\d_]))(?P<factorial> ?!+)"
    r"|(?P<negation>!+(?=[\w(=]))|!+"
)
_COLON = re.compile(r"(?<=\d)\s*:\s*(?=\d)|(?<=\[):|:(?=[\]:=])|(?<=:):")
_COMMA = re.compile(r",(?=\s*[)\]}])")


def meant(text: str) -> str:
    """The text (see `as_read`) with signs of prose as blanks and those that mean something as
    tokens of their own."""
    text = _THOUSANDS.sub("", _DASHES.sub("-", text))
    text = _QUOTED.sub(_quotation, text)
    text = _PRIME.sub(_primed, text)
    text = _CRIES.sub(lambda cry: f" {'!' * cry[0].count('!')} " if cry.lastgroup else " ", text)
    text = _ASIDE.sub(r" \1 ", text)
    return _COMMA.sub(_MARKERS[2], _COLON.sub(_MARKERS[1], text)).translate(_LEFT_OVER)


def _quotation(found: re.Match[str]) -> str:
    inside = found[1] if found[1] is not None else found[2]
    return (
        f" {inside} "
        if _WORD.search(inside) or not inside.strip()
        else f" {_MARKERS[0]} {inside} {_MARKERS[0]} "
    )


def _primed(found: re.Match[str]) -> str:
    before = found[1]
    mark = found[2]
    is_variable = before.isupper() and len(before) <= _VARIABLE and before[-1] != "S"
    if len(before) > 1 and not is_variable and found.string[found.end() : found.end() + 1] != "(":
        return found[0]
    return before + ("′′" if mark == '"' else "′" * len(mark))
