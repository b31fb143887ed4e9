"""Answers as data in a judge's prompt: a fence that no answer can know, and text that shows all it
holds. Pure.

An answer may try to steer its judge: close the tags it stands in, write tokens by which a chat
begins another turn, or hide instructions in characters that nobody sees.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from stemma.digests import digest_json
from stemma.errors import Problem
from stemma.generator.prompts import Prompts
from stemma.metered_jinja import TemplateFault

FENCE_DIGITS = 16
KEPT = frozenset("\n\t\u200c\u200d\u200e\u200f\u061c")
"""Control and format characters that stay: line ends, and what scripts that join letters or run
from right to left need."""
_TURNS = re.compile(
    r"<\|[^|<>\n]{1,40}\|>|<｜[^｜<>\n]{1,40}｜>|\[/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS)\]|<</?SYS>>"
    r"|</?(?:s|bos|eos|pad|unk|start_of_turn|end_of_turn|start_of_image)>"
)
"""Tokens by which chat templates mark turns: some servers read them in text, too."""


def shown(text: str) -> str:
    """The text as a judge reads it: invisible and control characters are written out, e.g.
    `\\u{202e}`, and a token that marks turns is broken: `<\\|im_end|>`."""
    text = text.replace("\r\n", "\n")
    text = _TURNS.sub(lambda found: f"{found[0][0]}\\{found[0][1:]}", text)
    return "".join(
        sign if sign in KEPT or _is_visible(sign) else f"\\u{{{ord(sign):04x}}}" for sign in text
    )


def _is_visible(sign: str) -> bool:
    return unicodedata.category(sign) not in ("Cc", "Cf", "Cs")


def fence_of(seed: int, texts: Sequence[str]) -> str:
    """A mark that stands in none of the texts, from the seed and all of them.

    Whoever writes an answer would have to find a text that holds its own digest.
    """
    attempt = 0
    while True:
        fence = digest_json(["fence", seed, attempt, *texts])[:FENCE_DIGITS]
        if not any(fence in text for text in texts):
            return fence
        attempt += 1


def prompt_problems(prompts: Prompts, name: str) -> list[Problem]:
    """Everything wrong with a judge's prompt: each text must stand once, between two lines that
    carry the fence."""
    path = prompts.path(name)
    values = {part: f"[[the {part}]]" for part in ("question", "answer_1", "answer_2")}
    fence = "f" * FENCE_DIGITS
    expected = "a prompt like recipes/prompts/judge.jinja"
    try:
        chat = prompts.render(name, fence=fence, **values)
    except TemplateFault as error:
        return [Problem(error.where, f"cannot be filled in: {error.reason}", expected)]
    if not chat or chat[-1].role != "user":
        return [Problem(str(path), "has no block `user`", expected)]
    whole = "\n".join(message.content for message in chat)
    found = [_unfenced(whole, part, text, fence) for part, text in values.items()]
    return [Problem(str(path), problem, expected, _HINT) for problem in found if problem]


_HINT = "e.g. <answer_1-{{ fence }}>, a line with {{ answer_1 }} alone, </answer_1-{{ fence }}>"


def _unfenced(whole: str, part: str, text: str, fence: str) -> str | None:
    """Why a part of the prompt is not delimited; None: it is."""
    lines = [line.strip() for line in whole.splitlines() if line.strip()]
    if whole.count(text) != 1:
        return f"`{part}` stands {whole.count(text)} times in it, not once"
    if text not in lines:
        return f"`{part}` does not stand in lines of its own"
    place = lines.index(text)
    around = lines[max(0, place - 1) : place] + lines[place + 1 : place + 2]
    if len(around) == 2 and all(fence in line for line in around):
        return None
    return f"`{part}` does not stand between two lines with `fence`"
