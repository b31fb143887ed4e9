"""Conversations as token ids, in which what somebody says stays text.

A question may hold `<end_of_turn>` or `<|im_start|>`: tokenized with the rest it would end the turn
or begin one in another's name. Here only what the template itself writes is read as a control
token; in all else its letters are.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property

from stemma.metered_jinja import TemplateFault
from stemma.rows import Message
from stemma.templates import Template, answered
from stemma.vocabulary import Vocabulary

MARK = "\ufdd0"
"""Stands for a control token's text while the template is rendered: a character of no text."""


class Prompts:
    """What makes prompts for one model by its template. `foreign`: of a file that Stemma did not
    make, llama.cpp puts the first token where the template does not."""

    def __init__(self, vocabulary: Vocabulary, template: Template, foreign: bool = False) -> None:
        self.template = template
        self._first = vocabulary.puts_first if foreign else None
        self._vocabulary = vocabulary
        self._known: dict[int, bool] = {}

    def ids(self, turns: Sequence[Message]) -> list[int]:
        """The conversation, ended where the answer begins."""
        said: list[str] = []
        text = self.template.render([self._hidden(turn, said) for turn in turns], ask=True)
        ids = self._apart(text, said) if said else self._vocabulary.tokenize(text)
        return ids if self._first is None or ids[:1] == [self._first] else [self._first, *ids]

    def stops(self) -> list[int]:
        """The token by which the template ends an answer: a file may not name it as an end."""
        try:
            ids = self._vocabulary.tokenize(self.template.stop())
        except TemplateFault:  # it renders an answer otherwise than its question said
            return []
        return ids if len(ids) == 1 and self._is_command(ids[0]) else []

    def is_shown(self, token: int) -> bool:
        """Whether a control token of an answer is part of what it says: a word that the vocabulary
        was given for its subject, and not what the template or any tokenizer writes."""
        if token not in self._known:
            is_word = self._vocabulary.is_control(token) and not self._vocabulary.is_end(token)
            structure = self._written | self._vocabulary.common()
            self._known[token] = is_word and token not in structure and self._is_told(token)
        return self._known[token]

    def _is_told(self, token: int) -> bool:
        """Whether it has a text; what stands for unknown characters has none."""
        text = self._vocabulary.text(token)
        return bool(text.strip()) and not self._vocabulary.is_unknown(token)

    @cached_property
    def _written(self) -> frozenset[int]:
        """Tokens that the template writes around what is said: control tokens, and words that were
        added to the vocabulary."""
        talk = [*answered("q", "a"), *answered("q", "a")]
        found: set[int] = set()
        for turns in ([Message(role="system", content="s"), *talk], talk, talk[:2], talk[:1]):
            try:
                texts = [self.template.render(turns), self.template.render(turns, ask=True)]
            except TemplateFault:  # many know no system, or want an order of turns
                continue
            for text in texts:
                found.update(filter(self._is_marker, self._vocabulary.tokenize(text)))
        return frozenset(found)

    def _is_marker(self, token: int) -> bool:
        vocabulary = self._vocabulary
        if vocabulary.is_control(token):
            return True
        return vocabulary.is_added(token) and bool(vocabulary.text(token).strip("▁ \n\t"))

    def _is_command(self, token: int) -> bool:
        return self._vocabulary.is_control(token) or token in self._written

    def _hidden(self, turn: Message, said: list[str]) -> Message:
        """The turn with a place in `said` for each control token that it spells. Words that an
        answer said with a token of their own are none."""

        def hide(found: re.Match[str]) -> str:
            said.append(found[0])
            return f"{MARK}{len(said) - 1}{MARK}"

        is_answer = turn.role == "assistant"
        content = turn.content.replace(MARK, "\ufffd")
        while commands := self._commands(content, is_answer):
            content = re.sub(commands, hide, content)
        return turn.model_copy(update={"content": content})

    def _commands(self, text: str, is_answer: bool = False) -> str:
        """A pattern of the control tokens in a text; empty: there is none."""
        ids = set(filter(self._is_command, self._vocabulary.tokenize(text)))
        ids = {token for token in ids if not (is_answer and self.is_shown(token))}
        texts = {name for name in map(self._vocabulary.text, ids) if name and name in text}
        return "|".join(map(re.escape, sorted(texts, key=len, reverse=True)))

    def _apart(self, text: str, said: Sequence[str]) -> list[int]:
        """The tokens of a rendered conversation: the template's control tokens, and between them
        plain text with what was hidden in its place."""
        commands = self._commands(text)
        parts = re.split(f"({commands})", text) if commands else [text]
        ids: list[int] = []
        eats = False
        for place, part in enumerate(parts):
            if place % 2:
                ids += (found := self._vocabulary.tokenize(part))
                eats = self._vocabulary.takes_blanks(found[-1])[1]
                continue
            if eats:
                part = part.lstrip()
            if place + 1 < len(parts):
                after = self._vocabulary.tokenize(parts[place + 1])[0]
                part = part.rstrip() if self._vocabulary.takes_blanks(after)[0] else part
            ids += self._plain(part, said)
        return ids

    def _plain(self, text: str, said: Sequence[str]) -> list[int]:
        """The tokens of a text that holds none of the template's."""
        restored = re.sub(
            f"{MARK}(\\d+){MARK}", lambda found: self._spelt(said[int(found[1])]), text
        )
        pieces = filter(None, restored.split(MARK))
        return [one for piece in pieces for one in self._vocabulary.tokenize(piece, special=False)]

    def _spelt(self, name: str) -> str:
        """A control token's text, to be cut at its marks: a word added to the vocabulary is
        recognised wherever it stands whole."""
        is_whole = any(map(self._is_command, self._vocabulary.tokenize(name, special=False)))
        return name[0] + MARK + name[1:] if is_whole else name
