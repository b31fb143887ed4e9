"""Passages in a question's context: quoted, numbered, within a budget of tokens.

    Read the passages below, then answer …

    [1] Entropy (Heat › page 12)
    > Entropy measures how many microstates a macrostate has.

    What does entropy measure?

Training on passages, evaluation and chat all put them in by `Contexts.put`; the recipe's one chat
template then renders the text as the user's turn.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from jinja2 import StrictUndefined

from stemma.errors import Problem, UserError
from stemma.metered_jinja import MeteredEnvironment, MeteredTemplate, TemplateFault
from stemma.plain_files import plain_file
from stemma.retrieval.passages import Hit, Passage
from stemma.retrieval.quoting import Quoting

CHARACTERS_A_TOKEN = 32
"""Longer on average are no tokens of prose: what is longer than the budget by this rule is cut
before it is tokenized, so that a passage of a megabyte costs no more than a page."""
LEAST_TOKENS = 16
"""Room for passages that a budget must leave beside the prompt's own words."""
CUT = " …"
_SENTENCE_END = re.compile(r"(?<![\s.][A-Za-z\d])[.!?…][\"')\]”’]*(?=\s|$)|[。！？]|\n+")
"""Where a passage may end: not behind a single letter or digit ("e.g.", "1.")."""
_WORD_END = re.compile(r"\S(?=\s|$)")
_CHARACTER = re.compile(r"\S")
_HINT = "see recipes/prompts/context.jinja"


@dataclass(frozen=True)
class InContext:
    """A question with passages before it."""

    text: str
    """The user's turn."""
    used: list[Hit]
    """Whose passages stand in it: `used[0]` as `[1]`. A passage that was cut is as it stands."""
    tokens: int
    """What the passages and the prompt's words add to the question."""
    cut: bool
    """Whether the first passage was cut at a sentence."""


@dataclass(frozen=True)
class _Shown:
    """A passage as the prompt file names its parts."""

    number: int
    heading: str
    text: str


class Contexts:
    """Maker of contexts for one model.

    `count` counts tokens of a text by the model's own tokenizer. The passages and the prompt's
    words add `max_tokens` to a question at most, as the recipe says under `key`. `controls` are the
    tokenizer's control tokens.
    Raises UserError for a prompt file that does not hold question and passages as it must, and for
    a budget that its own words fill.
    """

    def __init__(
        self,
        prompt_file: Path,
        count: Callable[[str], int],
        max_tokens: int,
        controls: Sequence[str] = (),
        key: str = "rag.context.max_tokens",
    ) -> None:
        self._count = count
        self._max_tokens = max_tokens
        self._quoting = Quoting(controls)
        self._prompt = _Prompt(prompt_file)
        self._demand_room(prompt_file.name, key)

    def put(self, question: str, hits: Sequence[Hit], room: int | None = None) -> InContext:
        """The question behind as many of the first passages as fit, whole, best first.

        One that does not fit is left out and the next tried; the first is cut at a sentence
        instead, or where it has none at a word. Without a passage the question stays as it is.
        `room`: tokens that the model's context has left for them, where that is less than the
        budget.

        Time: one tokenization where all fit, or else one a passage and a dozen for a cut.
        """
        budget = self._max_tokens if room is None else min(room, self._max_tokens)
        filling = _Filling(self, question, budget + self._count(question))
        return filling.fill(hits, budget * CHARACTERS_A_TOKEN)

    def text(self, question: str, hits: Sequence[Hit]) -> str:
        """The prompt with all of these passages, whatever its length."""
        shown = [self._shown(number, hit.passage) for number, hit in enumerate(hits, 1)]
        return self._prompt.render(question, shown)

    def count(self, text: str) -> int:
        """Tokens of a text."""
        return self._count(text)

    def _shown(self, number: int, passage: Passage) -> _Shown:
        place = ", ".join(filter(None, (passage.source, passage.place)))
        title = self._quoting.heading(passage.title)
        place = self._quoting.heading(place)
        heading = f"{title} ({place})" if title and place else title or place
        return _Shown(number, heading, self._quoting.lines(passage.text))

    def _demand_room(self, name: str, key: str) -> None:
        passage = Passage("", "x", "x", "", "")
        text = self.text("q", [Hit(passage, 0.0, None, None)])
        own = self._count(text) - self._count("q")
        least = own + LEAST_TOKENS
        if self._max_tokens < least:
            found = f"{self._max_tokens} tokens, and the words of {name} alone take {own}"
            raise UserError(Problem(key, found, f"at least {least}"))


@dataclass(frozen=True)
class _Filling:
    """The search for the passages that fit before one question."""

    contexts: Contexts
    question: str
    most: int
    """Tokens of question and context together."""

    def fill(self, hits: Sequence[Hit], most_characters: int) -> InContext:
        """The context of the first hits that fit; `most_characters`: of one passage. Passages
        without a letter or a digit say nothing."""
        hits = [hit for hit in hits if any(map(str.isalnum, hit.passage.text))]
        short = [hit for hit in hits if len(hit.passage.text) <= most_characters]
        if short and len(short) == len(hits) and self._fits(short):
            return self._made(short)
        used: list[Hit] = []
        for hit in hits:
            if len(hit.passage.text) <= most_characters and self._fits([*used, hit]):
                used.append(hit)
            elif hit is hits[0] and (cut := self._cut(hit, most_characters)):
                return self._made([cut], is_cut=True)
        return self._made(used)

    def _made(self, used: list[Hit], is_cut: bool = False) -> InContext:
        if not used:
            return InContext(self.question, [], 0, cut=False)
        text = self.contexts.text(self.question, used)
        tokens = self.contexts.count(text) - self.contexts.count(self.question)
        return InContext(text, used, tokens, is_cut)

    def _fits(self, hits: Sequence[Hit]) -> bool:
        return self.contexts.count(self.contexts.text(self.question, hits)) <= self.most

    def _cut(self, hit: Hit, most_characters: int) -> Hit | None:
        """The hit with as many of its passage's first sentences as fit, or else words, or else
        characters."""
        text = hit.passage.text[:most_characters]
        for border in (_SENTENCE_END, _WORD_END, _CHARACTER):
            ends = [found.end() for found in border.finditer(text)]
            if fitting := self._longest(hit, [end for end in ends if text[:end].strip()]):
                return fitting
        return None

    def _longest(self, hit: Hit, ends: Sequence[int]) -> Hit | None:
        """By halves: a longer beginning has more tokens."""
        best = None
        low, high = 0, len(ends)
        while low < high:
            middle = (low + high) // 2
            begun = hit.passage.text[: ends[middle]].rstrip() + CUT
            shorter = replace(hit, passage=replace(hit.passage, text=begun))
            if self._fits([shorter]):
                best = shorter
                low = middle + 1
            else:
                high = middle
        return best


class _Prompt:
    """A prompt file with passages, proven to hold what it is given."""

    def __init__(self, path: Path) -> None:
        plain_file(path, "a prompt for passages", _HINT)
        try:
            environment = MeteredEnvironment(undefined=StrictUndefined)
            self._template = MeteredTemplate.read(environment, path)
            problem = self._problem()
        except TemplateFault as error:
            problem = f"cannot be filled in: {error.reason}"
        if problem:
            raise UserError(Problem(str(path), problem, "a prompt for passages", _HINT))

    def render(self, question: str, passages: Sequence[_Shown]) -> str:
        return self._template.render(question=question, passages=passages).strip()

    def _problem(self) -> str | None:
        """Why the file is no prompt for passages: each part must stand once, a passage's text in
        lines of its own, which its marks need."""
        texts = ("> the first", "> the second")
        shown = [_Shown(number, f"title {number}", text) for number, text in enumerate(texts, 1)]
        whole = self.render("the question?", shown)
        lines = whole.splitlines()
        for text in texts:
            if lines.count(text) != 1 or whole.count(text) != 1:
                return f"`passage.text` stands in {lines.count(text)} lines of its own, not in one"
        if whole.count("the question?") != 1:
            return f"`question` stands {whole.count('the question?')} times in it, not once"
        if missing := [one.number for one in shown if f"[{one.number}]" not in whole]:
            return f"the number of passage {missing[0]} does not stand in it as [{missing[0]}]"
        return None
