"""Text of passages as quoted data: whatever it says, it cannot end its quotation. Pure.

A passage may have been written to steer the model that reads it: to close the quotation and go on
as the user, to write the tokens by which a chat begins another turn, to pass for another passage,
or to hide words in characters that nobody sees.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

MARK = "> "
"""What every line of a passage begins with. A passage cannot write a line without it, so only the
prompt itself ends a quotation."""
TITLE_CHARACTERS = 200
"""Characters of a heading, at most."""

_JOINERS = "\u200c\u200d"
"""Invisible characters that stay: scripts that join letters need them."""
_SMUGGLED = range(0xE0000, 0xE1000)
"""Tags and selectors that no font draws: each can carry a hidden letter."""
_TURNS = re.compile(
    r"<\|[^|<>\n]{1,40}\|>|<｜[^｜<>\n]{1,40}｜>"
    r"|\[/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS)\]|<</?SYS>>"
    r"|</?(?:s|bos|eos|pad|unk|(?:start|end)_of_(?:turn|image)|unused\d{1,4})>",
    re.IGNORECASE,
)
"""Tokens by which the chats of common model families mark turns."""
_NUMBER = re.compile(r"\[(\d{1,4})\]")
_BLANKS = re.compile(r"\s+")


class Quoting:
    """Quoting for one model: its own control tokens are broken besides those of common families."""

    def __init__(self, controls: Sequence[str] = ()) -> None:
        longest_first = sorted({one for one in controls if one.strip()}, key=len, reverse=True)
        own = "|".join(map(re.escape, longest_first))
        self._own = re.compile(own) if own else None

    def lines(self, text: str) -> str:
        """The text as quoted lines, without empty ones."""
        plain = (self.plain(line) for line in text.splitlines())
        return "\n".join(MARK + line for line in plain if line)

    def plain(self, line: str) -> str:
        """One line of plain text: no control token, no invisible character, single blanks, and no
        number in square brackets, which would pass for a citation: `[3]` becomes `(3)`."""
        line = _BLANKS.sub(" ", drawn(line)).strip()
        return _NUMBER.sub(r"(\1)", self._without_controls(line))

    def heading(self, title: str) -> str:
        """A title on one line, at most TITLE_CHARACTERS of it."""
        line = self.plain(title[: 2 * TITLE_CHARACTERS])
        return line if len(line) <= TITLE_CHARACTERS else line[: TITLE_CHARACTERS - 1] + "…"

    def _without_controls(self, text: str) -> str:
        """Each control token with a blank behind its first character: no tokenizer reads one.

        Tokens that share characters (`<<SYS>>`, `<SYS>`) are broken one after the other.
        """
        for pattern in filter(None, (self._own, _TURNS)):
            while (broken := pattern.sub(_broken, text)) != text:
                text = broken
        return text


def _broken(found: re.Match[str]) -> str:
    """A token with a blank in it; one that a blank does not change goes."""
    token = found[0]
    return "" if len(token) == 1 or token[1].isspace() else f"{token[0]} {token[1:]}"


def drawn(text: str) -> str:
    """The text without characters that are drawn as nothing; those that end lines are blanks."""
    hidden = [sign for sign in set(text) if not _is_drawn(sign)]
    return text.translate({ord(sign): " " if sign.isspace() else None for sign in hidden})


def _is_drawn(sign: str) -> bool:
    if sign in _JOINERS:
        return True
    is_invisible = unicodedata.category(sign) in ("Cc", "Cf", "Cs")
    return not is_invisible and ord(sign) not in _SMUGGLED
