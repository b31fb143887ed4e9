"""Questions as they are typed, pasted or piped in.

On a terminal with arrow keys and the questions before (readline). Several lines that are pasted are
one question, and so is what stands between two `\"\"\"`.
"""

from __future__ import annotations

import select
import sys
from collections.abc import Callable, Iterator

from stemma.errors import Problem, UserError
from stemma.visible import tell

Line = Callable[[str], str]
"""Reads the next line or paste, after this prompt. Raises EOFError behind the last."""

PROMPT, GOING_ON = "> ", "... "
QUOTES = '"""'
PASTE_SECONDS = 0.03
"""Lines of a paste follow one another faster than anybody types."""


def not_utf_8(where: str) -> UserError:
    """The error of bytes that are no text."""
    hint = "save the text as UTF-8, or set the terminal to it"
    return UserError(Problem(where, "bytes that are not UTF-8", "text", hint))


def questions() -> Iterator[str]:
    """What is asked or ordered, until Ctrl-D, the end of the input, or Ctrl-C at an empty line."""
    yield from _questions(_typed() if sys.stdin.isatty() else _piped())


def _questions(line: Line) -> Iterator[str]:
    while True:
        try:
            text = _question(line)
        except EOFError:
            return
        except UserError as error:
            tell(error, file=sys.stderr)
            continue
        except KeyboardInterrupt:
            tell(file=sys.stderr)
            if not _has_typed():
                return
            continue
        if text.strip():
            yield text


def _question(line: Line) -> str:
    """The next question; between quotes as it stands, a line break behind a blank."""
    text = line(PROMPT)
    if not text.lstrip().startswith(QUOTES):
        return text
    text = text.lstrip().removeprefix(QUOTES)
    try:
        while not text.rstrip().endswith(QUOTES):
            text += "\n" + line(GOING_ON)
    except EOFError:
        raise UserError(Problem("the question", f"no {QUOTES} at its end", QUOTES)) from None
    except KeyboardInterrupt:
        tell(file=sys.stderr)
        return ""
    return " " + text.rstrip().removesuffix(QUOTES)


def _piped() -> Line:
    """Lines of a pipe or file."""
    number = 0

    def line(_: str) -> str:
        nonlocal number
        raw = sys.stdin.buffer.readline()
        if not raw:
            raise EOFError
        number += 1
        try:
            return raw.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
        except UnicodeDecodeError:
            raise not_utf_8(f"line {number} of the input") from None

    return line


def _typed() -> Line:
    """Lines of a terminal."""
    is_edited = sys.stdout.isatty() and _edit()

    def line(prompt: str) -> str:
        if not is_edited:
            tell(prompt, end="", file=sys.stderr)
            prompt = ""
        try:
            text = input(prompt)
            while _is_waiting():
                text += "\n" + input()
            text.encode()  # in some locales Python lets such bytes through as half surrogates
        except UnicodeError:
            raise not_utf_8("the question") from None
        return text.replace("\r", "\n")

    return line


def _edit() -> bool:
    """Let lines be edited, where this Python can: readline does so once it is imported."""
    try:
        import readline
    except ImportError:
        return False
    if "libedit" not in (readline.__doc__ or ""):
        readline.parse_and_bind("set enable-bracketed-paste on")
        readline.parse_and_bind("tab: self-insert")
    return True


def _is_waiting() -> bool:
    """Whether another line has come at once: of a paste, from a terminal that does not mark one."""
    return bool(select.select([sys.stdin], [], [], PASTE_SECONDS)[0])


def _has_typed() -> bool:
    """Whether something stood on the line that was given up."""
    readline = sys.modules.get("readline")
    return bool(readline and readline.get_line_buffer())
