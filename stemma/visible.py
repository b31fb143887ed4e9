"""Text of recipes, rows, files, servers and models where a person reads it: nothing in it hides,
moves or reorders what stands on the page or the terminal.

All that Stemma prints goes through `tell`: a name or an answer may hold what a terminal
obeys (colours, the window's title, the clipboard, erasing what was said) or what no reader sees.
"""

from __future__ import annotations

import unicodedata
from typing import TextIO

from stemma.live_line import out_of_the_way

KEPT = frozenset("\n\t\u200c\u200d")
"""Characters that stay: line ends, tabs, and joiners, which shape letters of some scripts and
emoji."""
HIDDEN = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))
"""Kinds of characters that are not seen: control, format, half surrogates, line separators."""
UNDRAWN = frozenset(
    (*(0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2065, 0x3164, 0xFFA0), *range(0x180B, 0x1810))
)
"""Letters and marks that are drawn as nothing, e.g. the fillers of Hangul."""
SMUGGLED = range(0xE0000, 0xE1000)
"""Tags and selectors that no font draws: each can carry a hidden letter."""


def visible(text: str) -> str:
    """A text from a model or a file, without characters that hide or reorder what is read.

    Control characters become their pictures (␛), marks of direction and other invisible characters
    their numbers (⟨U+202E⟩); lines and tabs stay. Half a surrogate pair, which no file can hold,
    becomes the replacement character. Each character for itself: a text may come in pieces.
    """
    if text.isascii() and text.isprintable():  # most texts
        return text
    return "".join(map(_seen, text))


def _seen(character: str) -> str:
    if character in KEPT:
        return character
    code, kind = ord(character), unicodedata.category(character)
    if kind == "Cs":
        return "\ufffd"
    if kind not in HIDDEN and code not in UNDRAWN and code not in SMUGGLED:
        return character
    return chr(0x2400 + code) if code < 32 else f"⟨U+{code:04X}⟩"


def tell(text: object = "", end: str = "\n", file: TextIO | None = None) -> None:
    """Print a text as it may be seen: to stdout, which holds the result, or to another stream."""
    with out_of_the_way():
        print(visible(str(text)), end=end, file=file, flush=True)
