"""The verb `chat`: one question answered, or a prompt that stays open, and what is said around it.

    tiny-Q4_K_M.gguf: ask a question; /help tells what else, Ctrl-D ends.
    Context: 256 tokens, the longest it was trained on.
    Each question is asked alone, as in its training; /history on keeps the conversation.

Nothing here claims that a model answers as it was evaluated where it is asked in another way.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

from serve.chat import Chat
from serve.passages import open_passages
from serve.shipped import MOST_TOKENS, Known, known_of, open_file, open_shipped
from serve.terminal import QUOTES, questions
from stemma.answers import is_empty
from stemma.errors import Problem, UserError, nearest
from stemma.llama import Llama
from stemma.recipe.eval_arms import with_arm
from stemma.recipe.models import Recipe
from stemma.runs import Run
from stemma.visible import tell

EMPTY = """\
the answer is empty: the model ended it at once, or wrote nothing that can be seen
  hint: ask in other words; a model that says nothing to anything was trained on another template, \
or too little: the report counts its empty answers"""
STOPPED = "(stopped)"
HELP = f"""\
/history on   ask with the questions before and their answers; off: each question alone
/clear        forget the conversation
/help         this list
/bye          end, as Ctrl-D
{QUOTES}           begins and ends a question of several lines; a paste is one question
Ctrl-C        ends the answer; at an empty line, the chat"""
COMMANDS = ("/help", "/history on", "/history off", "/clear", "/bye", "/exit", "/quit")


@dataclass(frozen=True)
class Asking:
    """A model that is open to be asked, and what is told of it."""

    chat: Chat
    llama: Llama
    known: Known
    unlike: str
    """Why its answers are not what its evaluation speaks of, whatever is asked; empty: they are,
    as long as each question is asked alone."""


def main(asking: Asking, question: str | None) -> None:
    """Answer one question on stdout, or open a prompt until it is ended."""
    if question is not None:
        _print(asking.chat, question)
        return
    for line in _opening(asking):
        say(line)
    with suppress(KeyboardInterrupt):  # once more, while one is told
        _talk(asking)


def _talk(asking: Asking) -> None:
    for asked in questions():
        if is_command(asked):
            if not _obey(asking, asked):
                return
            continue
        try:
            _print(asking.chat, asked)
        except UserError as error:
            say(error)
        except KeyboardInterrupt:
            say(f"\n{STOPPED}")


@contextmanager
def recipes(
    recipe: Recipe, run: Run, closed_book: bool = False, context: int | None = None
) -> Iterator[Asking]:
    """A recipe's shipped model; `closed_book`: without passages."""
    with (
        open_shipped(recipe, run, context) as llama,
        nullcontext() if closed_book else open_passages(recipe, run, llama) as passages,
    ):
        known = known_of(run.manifest("export"))
        chat = Chat(llama, passages, history=bool(known.talks))
        unlike = _unlike(recipe, with_passages=passages is not None, other_context=bool(context))
        yield Asking(chat, llama, known, unlike)


@contextmanager
def a_file(path: Path, context: int | None = None) -> Iterator[Asking]:
    """Any GGUF file."""
    llama, known = open_file(path, context)
    with llama:
        chat = Chat(llama, history=bool(known.talks), foreign=True)
        is_ours = known.talks is not None
        unlike = "the file is asked without its recipe" if is_ours else "of this file none is known"
        yield Asking(chat, llama, known, unlike)


def _unlike(recipe: Recipe, with_passages: bool, other_context: bool) -> str:
    ship = recipe.export.ship
    if other_context:
        return "the context is another"
    if with_arm(ship, "retrieved" if with_passages else None) in recipe.eval.variants:
        return ""
    asked = f"{ship} with passages" if with_passages else ship
    return f"{asked} is no variant that the recipe evaluates"


def _opening(asking: Asking) -> Iterator[str]:
    yield f"{asking.llama.path.name}: ask a question; /help tells what else, Ctrl-D ends."
    yield f"Context: {_context(asking)}."
    if asking.chat.history:
        yield "The conversation is kept, as in its training; /history off asks each question alone."
    else:
        why = ", as in its training" if asking.known.talks is False else ""
        unknown = "" if why else " (nothing says that the model was trained on conversations)"
        how = f"Each question is asked alone{why}{unknown}"
        yield f"{how}; /history on keeps the conversation."
    yield _evaluated(asking)


def _context(asking: Asking) -> str:
    tokens = asking.llama.context_tokens
    positions = asking.llama.trained_tokens
    trained = min(asking.known.trained_tokens or positions, positions)
    if tokens == trained:
        words = "the longest it was trained on" if trained < positions else "as it was trained"
        return f"{tokens:,} tokens, {words}"
    if tokens == MOST_TOKENS < trained:
        return f"{tokens:,} of the {trained:,} tokens it was trained with; --context takes more"
    return f"{tokens:,} tokens; it was trained with {trained:,}"


def _evaluated(asking: Asking) -> str:
    """Whether the report's figures are of a model that is asked so."""
    unlike = asking.unlike or ("the conversation is kept" if asking.chat.history else "")
    if unlike:
        return f"Not asked as in an evaluation: {unlike}."
    return "Asked as in its evaluation."


def is_command(text: str) -> bool:
    """Whether a line is an order: a stroke and letters. `/usr/bin` is not, nor several lines."""
    first = text.split(maxsplit=1)[0]
    return text.startswith("/") and first[1:].isalpha() and "\n" not in text


def _obey(asking: Asking, command: str) -> bool:
    """Do what a command says; False: the chat ends."""
    words = " ".join(command.split())
    if words in ("/bye", "/exit", "/quit"):
        return False
    if words == "/help":
        say(HELP)
    elif words == "/clear":
        asking.chat.clear()
        say("the conversation is forgotten")
    elif words in ("/history on", "/history off"):
        _switch(asking, words.endswith("on"))
    elif words == "/history":
        say(f"history is {'on' if asking.chat.history else 'off'}")
    else:
        hint = nearest(words, COMMANDS) or "a blank before it makes it a question"
        say(Problem(words, "no such command", "one that /help lists", hint))
    return True


def _switch(asking: Asking, history: bool) -> None:
    asking.chat.history = history
    if not history:
        asking.chat.clear()
        say(f"each question is asked alone\n{_evaluated(asking)}")
        return
    untrained = {False: "was not trained so", None: "may not have been trained so", True: ""}
    why = f"; the model {untrained[asking.known.talks]}" if not asking.known.talks else ""
    say(f"from the next question on the conversation is kept{why}\n{_evaluated(asking)}")


def say(text: object) -> None:
    """Tell what is no answer: to stderr."""
    tell(text, file=sys.stderr)


def _print(chat: Chat, question: str) -> None:
    said = ""
    for piece in chat.answer(question):
        said += piece
        tell(piece, end="")
    tell()
    if is_empty(said):
        say(EMPTY)
    if chat.cut_at:
        say(f"(cut at {chat.cut_at} tokens)")
    if chat.has_forgotten:
        say("(the context is full: the oldest questions are forgotten)")
    if chat.sources:
        tell("\n" + "\n".join(chat.sources))
