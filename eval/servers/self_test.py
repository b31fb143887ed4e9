"""The self-test of a server's log-probabilities, before any score: are they of the text asked?

The engine behind a server is not ours, so all is seen from what it says of a few short texts: how
the text begins, whether the stop token is one, and whether scores depend on question and answer.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from eval.servers.echo import Echo, answers_of
from stemma.errors import StageFailed
from stemma.templates import Rendered, Template, answered

Ask = Callable[[str], Awaitable[Echo]]

QUESTION, OTHER = "What is 2 + 2?", "Which unit measures force?"
ROUNDING = 0.1
"""Nats by which an engine's figures for one and for many tokens may differ."""


@dataclass(frozen=True)
class Form:
    """How a text is sent, so that the model reads it as the template has it."""

    dropped: str
    """What the server puts before every text by itself, and is left out here."""

    def sent(self, text: str) -> str:
        return text.removeprefix(self.dropped)

    async def answers(self, ask: Ask, text: Rendered) -> list[list[float]]:
        """The log-probability of each token of each answer behind the prompt."""
        texts = [text.prompt, *(text.prompt + answer for answer in text.answers)]
        prompt, *wholes = await asyncio.gather(*(ask(self.sent(one)) for one in texts))
        return answers_of(prompt, wholes)


async def form_of(ask: Ask, template: Template) -> Form:
    """The form in which the server takes texts. Raises StageFailed with all that is wrong."""
    prompt = template.split(answered(QUESTION, "4"))[0]
    # Special tokens are counted, since servers name them in their own ways or not at all.
    added = (await ask(prompt)).firsts(template.bos) - _firsts(prompt, template)
    if added and not (added == 1 and template.first):
        how = "does not begin with exactly one BOS" if template.first else "begins with a BOS"
        raise StageFailed(f"the server fails its self-test: a text {how}")
    form = Form(template.first if added else "")
    if broken := await _failures(ask, form, template):
        raise StageFailed(f"the server fails its self-test: {'; '.join(broken)}")
    return form


def _firsts(text: str, template: Template) -> int:
    return text.count(template.bos) if template.bos else 0


async def _failures(ask: Ask, form: Form, template: Template) -> list[str]:
    """What is wrong with a few scores, in words."""
    prompt, four = template.split(answered(QUESTION, "4"))
    other, seven = template.split(answered(OTHER, "7"))
    stop = template.stop()
    asked, whole, bare, wrong, elsewhere = await asyncio.gather(
        *map(ask, map(form.sent, _texts(prompt, other, four, seven, stop)))
    )
    right = answers_of(asked, [whole, wrong])
    [moved] = answers_of(await ask(form.sent(other)), [elsewhere])
    said = "".join("".join(asked.tokens).split())
    # The token it writes is the likeliest, unless what is said of a token is said of its neighbour.
    # Where it ends the answer at once, the next text shows it.
    written = [
        (one.written, one.likeliest)
        for one in (asked, bare, wrong)
        if one.written is not None and one.likeliest is not None
    ]
    failures = {
        "a text does not begin with exactly one BOS": asked.firsts(template.bos)
        != _firsts(prompt, template),
        "the tokens it names are not the text's": "".join(QUESTION.split()) not in said,
        "the stop token is not read as one token": _length(whole) - _length(bare) != 1,
        "scores do not depend on the answer": _same(right[0], right[1]),
        "scores do not depend on the question": _same(right[0], moved),
        "a log-probability is above 0": max(map(max, [*right, moved])) > ROUNDING,
        "the token it writes is not the likeliest by its own scores": any(
            not math.isfinite(one) or best - one > ROUNDING for one, best in written
        ),
    }
    return [what for what, failed in failures.items() if failed]


def _texts(prompt: str, other: str, four: str, seven: str, stop: str) -> list[str]:
    """A question, its answer with and without the stop token, another answer to it, and the answer
    to another question."""
    return [prompt, prompt + four, prompt + four.removesuffix(stop), prompt + seven, other + four]


def _length(echo: Echo) -> int:
    return len(echo.tokens) + echo.hidden


def _same(one: list[float], other: list[float]) -> bool:
    return len(one) == len(other) and all(
        abs(a - b) < 1e-6 for a, b in zip(one, other, strict=True)
    )
