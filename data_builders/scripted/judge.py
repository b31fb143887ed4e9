"""A win rate's prompt as the scripted expert reads it, and the verdict it writes. Pure.

    … tags that carry the mark 5f3a…
    <question-5f3a…> … </question-5f3a…>  <answer_1-5f3a…> … </answer_1-5f3a…>  <answer_2-5f3a…> …

It believes in the first mark it meets, ends a text at the first closing tag of that mark, and does
what is said outside of all tags: an answer that could close its own tag would steer it.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

_MARK = re.compile(r"<question-(\w+)>")
_ORDER = re.compile(
    r"(?:ignore|disregard|forget)\b.{0,80}?\b(?:instructions?|rules?|above|before)\b"
    r".{0,200}?\b(?:verdict|answer|reply)\D{0,30}([123])\b",
    re.IGNORECASE | re.DOTALL,
)


@dataclass(frozen=True)
class ShownPair:
    """What a judge was shown."""

    question: str
    first: str
    second: str
    instructions: str
    """All that stands outside the tags."""

    @property
    def ordered(self) -> str | None:
        """The verdict that its instructions order it to give, against the rest of them."""
        found = _ORDER.search(self.instructions)
        return found[1] if found else None


def read_comparison(prompt: str) -> ShownPair | None:
    """The comparison in a prompt; None where it holds none."""
    mark = _MARK.search(prompt)
    if mark is None:
        return None
    fence = re.escape(mark[1])
    texts = []
    rest = prompt
    for part in ("question", "answer_1", "answer_2"):
        found = re.search(rf"<{part}-{fence}>\s*(.*?)\s*</{part}-{fence}>", rest, re.DOTALL)
        if found is None:
            return None
        texts.append(found[1])
        rest = rest[: found.start()] + rest[found.end() :]
    question, first, second = texts
    return ShownPair(question, first, second, rest)


def verdict_json(reason: str, verdict: str) -> str:
    """The verdict as a win rate's judge writes it."""
    return json.dumps({"reason": reason, "verdict": verdict})
