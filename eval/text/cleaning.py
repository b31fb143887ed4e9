r"""Prose of a reply: its text without Markdown, code and LaTeX. Pure.

    **Force** is `F` with $F = ma.$     Force is   with  .
    1. [Newton](https://…) said:        1. Newton said:

A full stop that a formula ends in stays, since a sentence may end there. What a cut-off reply left
open (a code block, a formula) is open to the end. Every rule reads the text once, so that time
grows with its length.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_ENVIRONMENT = re.compile(r"\\(begin|end)\s?\{[^{}\n]{0,40}\}")
_INLINE_CODE = re.compile(r"(`{1,3})(?!`)[^`\n]+\1(?!`)")
_FORMULAS = (
    re.compile(r"\$\$((?:[^$]|\$(?!\$))*)(?:\$\$|\Z)"),
    re.compile(r"\\\[((?:[^\\]|\\\\|\\(?![\[\]\\]))*)(?:\\\]|\Z)"),
    re.compile(r"\\\(((?:[^\\]|\\\\|\\(?![()\\]))*)(?:\\\)|\Z)"),
    # As Pandoc reads it: "$5 and $10" holds no formula.
    re.compile(r"(?<![\\$])\$(?=[^\s$])((?:[^$\n\\]|\\.)*)(?<=\S)\$(?![\d$])"),
)
_SENTENCE_SIGN = re.compile(r"[.?!](?=[\s}]*$)")
_TEXT_COMMAND = re.compile(r"\\(?:text\w*|emph|mbox|underline|section\*?|item)\s?\{([^{}]*)\}")
_COMMAND = re.compile(r"\\[a-zA-Z]+\*?(?:\[[^\[\]\n]*\]|\{[^{}]*\})*|\\[^\w\s]")
_ESCAPED = re.compile(r"\\([*_`#~>|\[\]+.!-])")
_IMAGE = re.compile(r"!\[[^\[\]\n]*\]\([^()\n]*\)")
_LINK = re.compile(r"\[([^\[\]\n]*)\](?:\([^()\n]*\)|\[[^\[\]\n]*\])")
_ADDRESS = re.compile(r"<?\b(?:https?://|www\.)[^\s<>]+>?")
_TAG = re.compile(r"</?[a-zA-Z][a-zA-Z0-9]{0,12}(?: [^<>\n]{0,200})?/?>|<!--[^<>]{0,500}-->")
_RULE = re.compile(r"[\s|:=*_-]*")
"""A line that only draws: a rule, a table's border, a heading's underline."""
_LEAD = re.compile(r"\s*(?:>\s?)*(?:#{1,6}\s+|[-*+•]\s+(?:\[[ xX]\]\s)?)?")
_EMPHASIS = re.compile(
    r"\*{2,3}|_{2,3}|~~|(?<![\s\w)])\*(?=\S)|(?<=\S)\*(?![\w(\s])"
    r"|(?:(?<=\s)|^)\*(?=\S)|(?<=[^\s*])\*(?=\s|$)|(?<!\w)_(?=\w)|(?<=\w)_(?!\w)"
)
_KEPT_FORMAT = "\u200c\u200d"
"""Joiners, which belong to the spelling of Persian and Hindi words."""


def prose(text: str) -> str:
    """The lines of a text that are prose, each a paragraph, a heading or an item."""
    text = "".join(_without_code(_visible(text)))
    text = "".join(_without_environments(text))
    text = _INLINE_CODE.sub(" ", text)
    for formula in _FORMULAS:
        text = formula.sub(_its_end, text)
    text = _ESCAPED.sub(r"\1", _TEXT_COMMAND.sub(r"\1", text))
    text = _COMMAND.sub(" ", text)
    text = _ADDRESS.sub(" ", _LINK.sub(r"\1", _IMAGE.sub(" ", text)))
    lines = (_plain_line(line) for line in _TAG.sub(" ", text).splitlines())
    return "\n".join(line for line in lines if line)


def _visible(text: str) -> str:
    """Composed characters (NFC), without control characters, marks of direction and lone
    surrogates."""
    composed = unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n"))
    if composed.isascii() and composed.replace("\n", "").isprintable():
        return composed  # most texts
    return "".join(kept for char in composed if (kept := _kept(char)))


def _kept(char: str) -> str:
    if char in "\n\u2028\u2029\v\f\x85":
        return "\n"
    if char == "\t":
        return " "
    dropped = unicodedata.category(char) in ("Cc", "Cf", "Cs", "Co", "Cn")
    return "" if dropped and char not in _KEPT_FORMAT else char


def _without_code(text: str) -> Iterator[str]:
    """The lines outside fenced code blocks."""
    fence = ""
    for line in text.splitlines(keepends=True):
        found = _FENCE.match(line)
        if fence:
            closed = found and found[1].startswith(fence) and not line[found.end() :].strip()
            fence = "" if closed else fence
        elif found and "`" not in line[found.end() :]:
            fence = found[1]
        else:
            yield line


def _without_environments(text: str) -> Iterator[str]:
    r"""The parts outside `\begin{…}` … `\end{…}`."""
    depth, kept = 0, 0
    for border in _ENVIRONMENT.finditer(text):
        if depth == 0:
            yield text[kept : border.start()]
        depth = depth + 1 if border[1] == "begin" else max(0, depth - 1)
        kept = border.end()
    if depth == 0:
        yield text[kept:]


def _its_end(formula: re.Match[str]) -> str:
    end = _SENTENCE_SIGN.search(formula[1][-20:])
    return f" {end[0]}" if end else " "


def _plain_line(line: str) -> str:
    if _RULE.fullmatch(line):
        return ""
    line = line[_LEAD.match(line).end() :]  # type: ignore[union-attr]
    line = _EMPHASIS.sub("", line).replace("|", " ").replace("{", " ").replace("}", " ")
    return " ".join(line.split())
