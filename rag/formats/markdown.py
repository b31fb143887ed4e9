"""Markdown: headings become places, marks become text.

Read line by line. Of CommonMark it takes what carries text: front matter, headings of both kinds,
fences, quotes, lists, tables, links, images' descriptions, comments and tags taken out.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator
from itertools import chain, islice

from rag.documents import Part

_HEADING = re.compile(r" {0,3}(#{1,6})(?:[ \t]+(.*?))?(?:[ \t]+#+)?[ \t]*$")
_UNDERLINE = re.compile(r" {0,3}(=+|-+)[ \t]*$")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_RULE = re.compile(r" {0,3}(?:(?:\*[ \t]*){3,}|(?:-[ \t]*){3,}|(?:_[ \t]*){3,})$")
_ITEM = re.compile(r"[ \t]*(?:[-*+]|\d{1,9}[.)])[ \t]+")
_TABLE = re.compile(r"[ \t]*\|")
_DASHES = re.compile(r"[ \t]*\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-*:?[ \t]*)*\|?[ \t]*$")
_DEFINITION = re.compile(
    r" {0,3}\[[^^\]\n][^\]\n]*\]:[ \t]*\S+(?:[ \t]+(?:\"[^\"\n]*\"|'[^'\n]*'|\([^()\n]*\)))?[ \t]*$"
)
_QUOTE = re.compile(r"^ {0,3}>[ \t]?")

_IMAGE = re.compile(r"!\[([^\]\n]*)\](?:\([^()\n]*(?:\([^()\n]*\)[^()\n]*)*\)|\[[^\]\n]*\])?")
_LINK = re.compile(r"\[([^\[\]\n]*)\](?:\([^()\n]*(?:\([^()\n]*\)[^()\n]*)*\)|\[[^\]\n]*\])")
_AUTOLINK = re.compile(r"<((?:https?|mailto):[^<>\s]+)>")
_TAG = re.compile(r"</?[A-Za-z][^<>\n]{0,500}>")
_COMMENT = re.compile(r"<!--.{0,2000}?-->")
_STRONG = re.compile(r"(\*\*|__)(?=\S)([^\n]{0,500}?\S)\1")
_EMPHASIS = re.compile(r"(?<![\w*])\*(?=[^\s*])([^*\n]{1,500}?)(?<=\S)\*(?![\w*])")
_UNDER = re.compile(r"(?<![\w_])_(?=[^\s_])([^_\n]{1,500}?)(?<=\S)_(?![\w_])")
_CODE = re.compile(r"(`+)(?!`)([^\n]{1,500}?)(?<!`)\1(?!`)")
_ESCAPED = re.compile(r"\\([!-/:-@\[-`{-~])")
_TITLE = re.compile(r"title:[ \t]*(.+)$")
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9A-Fa-f]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_RAISED = re.compile(r"<sup>([^<>\n]{1,20})</sup>", re.IGNORECASE)
_POWER = re.compile(r"[+\-−]?\w{1,12}$")  # one of them a minus sign
_ORDINALS = frozenset(("st", "nd", "rd", "th", "er", "re", "e", "o", "a"))
FRONT_LINES = 1000
"""Lines of front matter, at most: a line of dashes that nothing ends is a rule."""


def is_power(text: str) -> bool:
    """Whether raised text is a power, as in 10²³, and not an ordinal's end or a footnote's sign."""
    return bool(_POWER.match(text.strip())) and text.strip() not in _ORDINALS


def _raised(found: re.Match[str]) -> str:
    return f"^{found[1]}" if is_power(found[1]) else found[1]


def inline(text: str) -> str:
    """A line's text without its marks."""
    kept: list[str] = []

    def keep(found: re.Match[str]) -> str:
        kept.append(found[2].strip() if found.re is _CODE else found[1])
        return f"\ue000{len(kept) - 1}\ue001"

    text = _CODE.sub(keep, text.replace("\ue000", "").replace("\ue001", ""))
    text = _ESCAPED.sub(keep, text)
    text = _COMMENT.sub("", text)
    text = _LINK.sub(r"\1", _IMAGE.sub(r"\1", text))
    text = _TAG.sub("", _RAISED.sub(_raised, _AUTOLINK.sub(keep, text)))
    text = _UNDER.sub(r"\1", _EMPHASIS.sub(r"\1", _STRONG.sub(r"\2", text)))
    text = _ENTITY.sub(lambda found: html.unescape(found[0]), text)
    return re.sub(r"\ue000(\d+)\ue001", lambda found: kept[int(found[1])], text).strip()


class Headings:
    """The path of headings that a text stands under."""

    def __init__(self) -> None:
        self._held: dict[int, str] = {}

    def enter(self, level: int, text: str) -> None:
        self._held = {known: held for known, held in self._held.items() if known < level}
        if text:
            self._held[level] = text

    @property
    def path(self) -> str:
        return " › ".join(self._held.values())

    @property
    def last(self) -> str:
        return next(reversed(self._held.values()), "")


def part_under(headings: Headings, blocks: list[str]) -> Part:
    """The blocks of a section, its heading before them: it is what they are about."""
    text = [headings.last, *blocks] if headings.last else blocks
    return Part("\n\n".join(text), headings.path)


def split_front(lines: Iterable[str]) -> tuple[list[str], Iterator[str]]:
    """The lines of front matter, and those below it. Dashes that begin a file and that nothing ends
    are a rule, and what follows is text."""
    rest = iter(lines)
    held = list(islice(rest, 1))
    if not held or held[0].strip() != "---":
        return [], chain(held, rest)
    for line in rest:
        held.append(line)
        if line.strip() in ("---", "..."):
            return held[1:-1], rest
        if len(held) > FRONT_LINES:
            break
    return [], chain(held, rest)


def title_of(lines: Iterable[str]) -> str:
    """The title: of the front matter, or else the first heading; "" where there is neither."""
    front, rest = split_front(lines)
    for line in front:
        if found := _TITLE.match(line):
            return found[1].strip().strip("\"'")
    fence = ""
    for line in rest:
        line = line.rstrip("\n")
        if found := _FENCE.match(line):
            fence = "" if fence and line.strip().startswith(fence) else fence or found[1]
        elif not fence and (found := _HEADING.match(line)) and found[2]:
            return inline(found[2])
    return ""


def markdown_parts(lines: Iterable[str]) -> Iterator[Part]:
    """The sections of a Markdown file, in order."""
    reader = _Reader()
    for line in split_front(lines)[1]:
        yield from reader.take(line.rstrip("\n"))
    yield from reader.end()


class _Reader:
    """The state between two lines."""

    def __init__(self) -> None:
        self.headings = Headings()
        self.blocks: list[str] = []
        self.lines: list[str] = []
        self.fence = ""
        self.in_comment = False
        """Whether a comment goes on over the lines."""

    def take(self, line: str) -> Iterator[Part]:
        if self.in_comment:
            self._in_comment(line)
        elif self.fence:
            self._in_fence(line)
        elif found := _FENCE.match(line):
            self._close()
            self.fence = found[1]
        elif found := _HEADING.match(line):
            yield from self._enter(len(found[1]), inline(found[2] or ""))
        elif self.lines and not _is_item(self.lines[-1]) and (under := _UNDERLINE.match(line)):
            text = inline(" ".join(self.lines))
            self.lines = []
            yield from self._enter(1 if under[1][0] == "=" else 2, text)
        elif not self._is_mark(line):
            self._read(line)

    def _is_mark(self, line: str) -> bool:
        """Whether a line is blank, a rule, the dashes under a table's head, or a link's address."""
        if _DASHES.match(line) and self.lines:
            return True
        if _RULE.match(line) or not line.strip():
            self._close()
            return True
        return bool(_DEFINITION.match(line))

    def _read(self, line: str) -> None:
        # A comment's mark that is shown as code opens none.
        shown = _CODE.sub(lambda found: "x" * len(found[0]), line)
        begin = shown.rfind("<!--")
        if begin >= 0 and "-->" not in shown[begin:]:
            line = line[:begin]
            self.in_comment = True
        self.lines.append(_QUOTE.sub("", line))

    def _in_comment(self, line: str) -> None:
        if "-->" in line:
            self.lines.append(line.partition("-->")[2])
            self.in_comment = False

    def _in_fence(self, line: str) -> None:
        if line.strip().startswith(self.fence) and not line.strip().strip(self.fence[0]):
            self._close(as_it_is=True)
            self.fence = ""
        else:
            self.lines.append(line)

    def _enter(self, level: int, text: str) -> Iterator[Part]:
        yield from self.end()
        self.headings.enter(level, text)

    def _close(self, as_it_is: bool = False) -> None:
        """End a block. Lines of lists and tables stay lines, those of prose become one."""
        if as_it_is:
            text = "\n".join(self.lines)
        elif any(_is_item(line) or _TABLE.match(line) for line in self.lines):
            text = "\n".join(map(inline, _unwrapped(self.lines)))
        else:
            text = inline(" ".join(line.strip() for line in self.lines))
        self.lines = []
        if text.strip():
            self.blocks.append(text)

    def end(self) -> Iterator[Part]:
        """What is left at the end of a section; a heading alone is no text."""
        self._close(as_it_is=bool(self.fence))
        if self.blocks:
            yield part_under(self.headings, self.blocks)
        self.blocks = []


def _is_item(line: str) -> bool:
    return bool(_ITEM.match(line))


def _unwrapped(lines: list[str]) -> Iterator[str]:
    """Lines of a list or table, those that go on in the next line joined."""
    held = ""
    for line in lines:
        if held and not _is_item(line) and not _TABLE.match(line):
            held += " " + line.strip()
            continue
        if held:
            yield held
        held = line.strip()
    if held:
        yield held
