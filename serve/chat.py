"""Chat with the shipped model in the terminal: one question, or a prompt that stays open.

Everything the model needs is in the GGUF file itself, the chat template too. Decoding is greedy:
what was evaluated is what answers. A recipe with `rag` answers with passages: the last question
alone carries them, and below the answer stands where they come from.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import nullcontext

from serve.checked import checked
from serve.passages import PassagesBefore, is_follow_up, open_passages, sources_of
from stemma.answers import is_empty
from stemma.errors import Problem, StageFailed, UserError
from stemma.llama import Llama
from stemma.processes import cores
from stemma.recipe.models import Recipe
from stemma.retrieval.context import InContext
from stemma.retrieval.passages import Hit
from stemma.rows import Message
from stemma.runs import Run
from stemma.templates import Template
from stemma.visible import tell

CONTEXT_TOKENS = 2048
ANSWER_TOKENS = 512
SPARE_TOKENS = 8
"""Where passages and question meet, their tokens may be a few more than those of both alone."""
EMPTY = """\
the answer is empty: the model ended it at once, or wrote nothing that can be seen
  hint: ask in other words; a model that says nothing to anything was trained on another template, \
or too little: the report counts its empty answers"""
UNFINISHED = "\ufffd"
"""The sign that a character decodes to until its last byte has come."""


class Chat:
    """A conversation with one GGUF model; it forgets its oldest turns when the context is full."""

    def __init__(self, llama: Llama, passages: PassagesBefore | None = None) -> None:
        self._llama = llama
        self._passages = passages
        self._template = template_of(llama)
        self._turns: list[Message] = []
        self._asked: Message | None = None
        """The last question as it is asked: with its passages."""
        self._subject = ""
        """The last question that stood alone: a follow-up is searched with it."""
        self.sources: list[str] = []
        """Of the last answer: the passages it was given, the cited ones marked."""

    def answer(self, question: str) -> Iterator[str]:
        """The answer in pieces, as they come."""
        self._turns.append(self._user(question))
        self.sources = []
        said = ""
        try:
            found = self._put_passages(question)
            ids = self.prompt_ids()
            tokens = self._llama.stream(ids, min(ANSWER_TOKENS, longest_of(self._llama) - len(ids)))
            for piece in pieces(self._llama, tokens):
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

    def _put_passages(self, question: str) -> tuple[InContext, list[Hit]] | None:
        """Put passages before the last question, in the room that it leaves."""
        if self._passages is None:
            return None
        alone = self._llama.tokenize(self._template.render(self._turns[-1:], ask=True))
        if not is_follow_up(question):
            self._subject = ""
        room = room_of(self._llama) - len(alone) - SPARE_TOKENS
        found, hits = self._passages.put(question, room, self._subject)
        self._subject = self._subject or question
        self._asked = Message(role="user", content=found.text)
        return found, hits

    def _user(self, question: str) -> Message:
        if not question.strip():
            raise UserError(Problem("the question", "it is empty", "some text"))
        control = {self._template.bos, self._template.stop()} - {""}
        if held := [token for token in sorted(control) if token in question]:
            found = f"it holds the control token {held[0]}"
            raise UserError(Problem("the question", found, "plain text"))
        return Message(role="user", content=question)

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
        bos = self._llama.tokenize(self._template.first)
        if bos and (ids[:1] != bos or ids.count(bos[0]) != 1):
            found = f"the prompt holds {ids.count(bos[0])} BOS tokens"
            raise StageFailed(f"{self._llama.path.name}: {found}, not one at its start")
        return ids

    def _ids(self) -> list[int]:
        *before, last = self._turns
        turns = [*before, self._asked or last]
        return self._llama.tokenize(self._template.render(turns, ask=True))


def main(recipe: Recipe, run: Run, question: str | None, closed_book: bool = False) -> None:
    """Answer one question on stdout, or open a prompt until Ctrl-D; `closed_book`: without
    passages."""
    with (
        open_shipped(recipe, run) as llama,
        nullcontext() if closed_book else open_passages(recipe, run, llama) as passages,
    ):
        chat = Chat(llama, passages)
        if question is not None:
            _print(chat, question)
            return
        for asked in _questions(llama.path.name):
            try:
                _print(chat, asked)
            except UserError as error:
                tell(error, file=sys.stderr)


def longest_of(llama: Llama) -> int:
    """Tokens that a conversation may have: the context's, and those the model was made for."""
    return min(llama.context_tokens, llama.trained_tokens)


def room_of(llama: Llama) -> int:
    """Tokens that a prompt may have, so that there is room for an answer."""
    return max(longest_of(llama) - ANSWER_TOKENS, longest_of(llama) // 2)


def open_shipped(recipe: Recipe, run: Run) -> Llama:
    """The variant `export.ship` names. Raises UserError naming the command that makes it."""
    ship = recipe.export.ship
    if not ship.startswith("gguf-"):
        found = f"`{ship}` does not run on a laptop"
        hint = "set export.ship to one of the GGUF types"
        raise UserError(Problem("export.ship", found, "a gguf-… variant", hint))
    if ship not in run.manifest("export").outputs:
        found = f"no `{ship}` among what was exported"
        hint = f"run `make export RECIPE={recipe.name}`"
        raise UserError(Problem(str(run.folder("export")), found, f"`{ship}`", hint))
    return Llama(checked(run, "export", ship), CONTEXT_TOKENS, cores())


def template_of(llama: Llama) -> Template:
    """The chat template the file carries, with the file's own tokens.

    Raises StageFailed when the two do not fit, TemplateFault when it does not render.
    """
    text = llama.metadata("tokenizer.chat_template")
    if text is None:
        raise StageFailed(f"{llama.path.name} carries no chat template")
    where = f"{llama.path.name}: tokenizer.chat_template"
    template = Template(text, llama.token("bos"), llama.token("eos"), where)
    if llama.metadata("tokenizer.ggml.add_bos_token") == "true" and not template.first:
        found = f"its template does not begin with its BOS token {template.bos}"
        raise StageFailed(f"{llama.path.name}: {found}")
    return template


def pieces(llama: Llama, tokens: Iterable[int]) -> Iterator[str]:
    """The text of tokens as it grows, without outer blanks.

    A character spelt in several byte tokens comes whole.
    """
    ids: list[int] = []
    shown = ""
    for token in tokens:
        ids.append(token)
        text = llama.detokenize(ids).lstrip().rstrip(UNFINISHED).rstrip()
        if len(text) > len(shown) and text.startswith(shown):
            yield text[len(shown) :]
            shown = text
    whole = llama.detokenize(ids).strip()
    if whole != shown:
        yield whole.removeprefix(shown)


def _questions(name: str) -> Iterator[str]:
    tell(f"{name}: ask a question; Ctrl-D ends.", file=sys.stderr)
    while True:
        try:
            line = input("> " if sys.stdout.isatty() else "")
        except EOFError:
            return
        if line.strip():
            yield line


def _print(chat: Chat, question: str) -> None:
    said = ""
    for piece in chat.answer(question):
        said += piece
        tell(piece, end="")
    tell()
    if is_empty(said):
        tell(EMPTY, file=sys.stderr)
    if chat.sources:
        tell("\n" + "\n".join(chat.sources))
