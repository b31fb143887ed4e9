"""A chat with a GGUF model: questions in, answers out in pieces, greedily decoded.

Everything the model needs is in the GGUF file itself, the chat template too. A question is asked
alone, or with the conversation before it. A recipe with `rag` answers with passages: the last
question alone carries them, and below the answer stands where they come from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from serve.passages import PassagesBefore, is_follow_up, sources_of
from serve.prompts import Prompts
from serve.shipped import template_of
from serve.terminal import not_utf_8
from stemma.errors import Problem, StageFailed, UserError
from stemma.llama import Llama
from stemma.retrieval.context import InContext
from stemma.retrieval.passages import Hit
from stemma.rows import Message

ANSWER_TOKENS = 512
SPARE_TOKENS = 8
"""Where passages and question meet, their tokens may be a few more than those of both alone."""
UNFINISHED = "\ufffd"
"""The sign that a character decodes to until its last byte has come."""


class Chat:
    """A chat with one GGUF model: each question alone, or as the conversation goes on."""

    def __init__(
        self,
        llama: Llama,
        passages: PassagesBefore | None = None,
        history: bool = False,
        foreign: bool = False,
    ) -> None:
        self.history = history
        """Whether a question is asked with those before it and their answers. The oldest turns are
        forgotten when the context is full."""
        self._llama = llama
        self._passages = passages
        self._template = template_of(llama, foreign)
        self._prompts = Prompts(llama.vocabulary, self._template, foreign)
        self._stops = self._prompts.stops() if foreign else []
        self._turns: list[Message] = []
        self._asked: Message | None = None
        """The last question as it is asked: with its passages."""
        self._subject = ""
        """The last question that stood alone: a follow-up is searched with it."""
        self.sources: list[str] = []
        """Of the last answer: the passages it was given, the cited ones marked."""
        self.cut_at: int | None = None
        """Of the last answer: its tokens, where there was no room for more."""
        self.has_forgotten = False
        """Whether turns were forgotten for the last question."""

    def answer(self, question: str) -> Iterator[str]:
        """The answer in pieces, as they come."""
        if not self.history:
            self.clear()
        self._turns.append(_user(question))
        self.sources = []
        self.has_forgotten = False
        said = ""
        try:
            found = self._put_passages(question)
            for piece in self._stream(self.prompt_ids()):
                said += piece
                yield piece
            if found:
                self.sources = sources_of(said, *found)
        finally:
            self._asked = None
            # An unanswered question must not stay: the next prompt would hold two in a row.
            if said:
                self._turns.append(Message(role="assistant", content=said))
            else:
                self._turns.pop()

    def clear(self) -> None:
        """Forget the conversation."""
        self._turns.clear()
        self._subject = ""

    def _stream(self, ids: list[int]) -> Iterator[str]:
        most = min(ANSWER_TOKENS, longest_of(self._llama) - len(ids))
        self.cut_at = None
        said = 0

        def counted() -> Iterator[int]:
            nonlocal said
            for token in self._llama.stream(ids, most, self._stops):
                said += 1
                yield token

        yield from pieces(self._llama, counted(), self._prompts.is_shown)
        self.cut_at = most if said == most else None

    def _put_passages(self, question: str) -> tuple[InContext, list[Hit]] | None:
        """Put passages before the last question, in the room that it leaves."""
        if self._passages is None:
            return None
        alone = self._prompts.ids(self._turns[-1:])
        if not is_follow_up(question):
            self._subject = ""
        room = room_of(self._llama) - len(alone) - SPARE_TOKENS
        found, hits = self._passages.put(question, room, self._subject)
        self._subject = self._subject or question
        self._asked = Message(role="user", content=found.text)
        return found, hits

    def prompt_ids(self) -> list[int]:
        """The conversation so far as token ids, with exactly one BOS.

        Raises UserError if one question fills the context.
        """
        room = room_of(self._llama)
        while len(ids := self._ids()) > room:
            if len(self._turns) == 1:
                found = f"{len(ids)} tokens"
                expected = f"at most {room}"
                raise UserError(Problem("the question", found, expected, "shorten it"))
            del self._turns[:2]
            self.has_forgotten = True
        bos = self._llama.tokenize(self._template.first)
        if bos and (ids[:1] != bos or ids.count(bos[0]) != 1):
            found = f"the prompt holds {ids.count(bos[0])} BOS tokens"
            raise StageFailed(f"{self._llama.path.name}: {found}, not one at its start")
        return ids

    def _ids(self) -> list[int]:
        *before, last = self._turns
        return self._prompts.ids([*before, self._asked or last])


def _user(question: str) -> Message:
    """A question as a turn. Raises UserError for one that says nothing, or cannot be text."""
    if any("\ud800" <= sign <= "\udfff" for sign in question):
        raise not_utf_8("the question")
    if not question.strip():
        raise UserError(Problem("the question", "it is empty", "some text"))
    return Message(role="user", content=question)


def longest_of(llama: Llama) -> int:
    """Tokens that a conversation may have: the context's, and those the model was made for."""
    return min(llama.context_tokens, llama.trained_tokens)


def room_of(llama: Llama) -> int:
    """Tokens that a prompt may have, so that there is room for an answer."""
    return max(longest_of(llama) - ANSWER_TOKENS, longest_of(llama) // 2)


def pieces(
    llama: Llama, tokens: Iterable[int], is_shown: Callable[[int], bool] = lambda _: False
) -> Iterator[str]:
    """The text of tokens as it grows, without outer blanks; `is_shown`: of control tokens.

    A character spelt in several byte tokens comes whole.
    """
    ids: list[int] = []
    shown = ""
    for token in tokens:
        ids.append(token)
        text = llama.vocabulary.detokenize(ids, is_shown).lstrip().rstrip(UNFINISHED).rstrip()
        if len(text) > len(shown) and text.startswith(shown):
            yield text[len(shown) :]
            shown = text
    whole = llama.vocabulary.detokenize(ids, is_shown).strip()
    if whole != shown:
        yield whole.removeprefix(shown)
