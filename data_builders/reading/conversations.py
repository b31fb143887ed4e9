r"""Conversations in the forms that data sets write them in, as turns of a user and an assistant:

    [{"role": "user", "content": "Hi!"}, {"role": "assistant", "content": "Hello."}]     OpenAI, TRL
    [{"from": "human", "value": "Hi!"}, {"from": "gpt", "value": "Hello."}]              ShareGPT
    "\n\nHuman: Hi!\n\nAssistant: Hello."                                             Anthropic's HH

A content may be a list of parts (`[{"type": "text", "text": "Hi!"}]`), and a list that a CSV file
holds as text is read too. A conversation is its system turn, if any, and then user and assistant in
turn.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from stemma.reading.printed import describe, read_printed

Role = Literal["system", "user", "assistant"]

ROLES: dict[str, Role] = {
    **dict.fromkeys(("system", "developer"), "system"),
    **dict.fromkeys(("user", "human", "prompter", "Human", "Human:"), "user"),
    **dict.fromkeys(
        ("assistant", "gpt", "model", "bot", "chatbot", "chatgpt", "bing", "bard", "Assistant"),
        "assistant",
    ),
}
TOOLS = frozenset(
    {"tool", "tool_call", "tool_response", "function", "function_call", "observation", "ipython"}
)

TOOL = "a tool's turn in the conversation"
PICTURE = "a picture or sound in the conversation"
NO_ANSWER = "no answer in the conversation"
ASSISTANT_FIRST = "the assistant speaks first"
NO_ORDER = "user and assistant do not take turns"
OTHER_PROMPT = "chosen and rejected do not answer the same conversation"

_TRANSCRIPT = re.compile(r"(?:^|\n\n)\s*(?:### )?(Human|Assistant):[ \n]?")
_LIST_OF_TURNS = re.compile(r"\s*\[\s*\{\s*['\"](?:role|from|content|value)['\"]\s*:")
_PRINTED = re.compile(
    r"\s*\[?\s*\{(?=\s*['\"]\w+['\"]\s*:).*?['\"](?:role|from)['\"]\s*:", re.DOTALL
)


class Unusable(Exception):
    """A conversation of a known form that cannot be trained on; says why."""


class NoConversation(Exception):
    """A value that is neither a text nor a conversation; says what it is."""


@dataclass(frozen=True)
class Turn:
    role: Role
    content: str
    trained: bool = True
    """False for an assistant's turn that its file marks `weight: 0` or `train: false`."""

    def message(self) -> dict[str, str]:
        return {"role": self.role, "content": self.content}


def turns_of(value: Any, role: Role) -> list[Turn]:
    """A value as turns; a plain text is one turn of `role`. Raises Unusable or NoConversation."""
    if isinstance(value, str):
        if (written := _as_written(value)) is not None:
            return turns_of(written, role)
        return _transcript(value) or ([Turn(role, value.strip())] if value.strip() else [])
    if not isinstance(value, list | dict):
        raise NoConversation(describe(value))
    if isinstance(value, list) and not all(isinstance(message, dict) for message in value):
        raise NoConversation(describe(value))
    return [_turn(message) for message in (value if isinstance(value, list) else [value])]


def earlier_turns(value: Any) -> list[Turn]:
    """The turns before a question, as LLaMA-Factory's `history` has them: `[["Hi!", "Hello."], …]`;
    or as turns.

    Raises Unusable or NoConversation."""
    if isinstance(value, list) and all(isinstance(pair, list) and len(pair) == 2 for pair in value):
        return [
            turn
            for asked, said in value
            for turn in (*turns_of(asked, "user"), *turns_of(said, "assistant"))
        ]
    return turns_of(value, "user")


def spoken(turns: Sequence[Turn], *roles: Role) -> str:
    """The text of some turns, those of user and assistant where no role is named: a system turn is
    no part of a question."""
    return "\n\n".join(
        turn.content for turn in turns if turn.role in (roles or ("user", "assistant"))
    )


def check_order(turns: Sequence[Turn]) -> None:
    """Raises Unusable unless user and assistant take turns, behind at most one system turn."""
    roles = [turn.role for turn in turns]
    spoken = roles[1:] if roles[:1] == ["system"] else roles
    if not spoken:
        raise Unusable(NO_ANSWER)
    if spoken[0] == "assistant":
        raise Unusable(ASSISTANT_FIRST)
    if any(role != ("user", "assistant")[place % 2] for place, role in enumerate(spoken)):
        raise Unusable(NO_ORDER)


def answered(turns: Sequence[Turn], every: bool) -> list[Sequence[Turn]]:
    """The conversation up to each answer that trains, or up to the last one."""
    check_order(turns)
    ends = [place for place, turn in enumerate(turns) if turn.role == "assistant" and turn.trained]
    if not ends:
        raise Unusable(NO_ANSWER)
    return [turns[: end + 1] for end in (ends if every else ends[-1:])]


def pair(
    prompt: Sequence[Turn], chosen: Sequence[Turn], rejected: Sequence[Turn]
) -> tuple[list[Turn], str, str]:
    """(what is asked, chosen answer, rejected answer). Both may be whole conversations, with or
    without the prompt."""
    (asked, better), (again, worse) = (_split(prompt, side) for side in (chosen, rejected))
    if [turn.message() for turn in asked] != [turn.message() for turn in again]:
        raise Unusable(OTHER_PROMPT)
    if not asked:
        raise NoConversation("a plain text, and there is no `prompt`")
    return asked, better, worse


def _split(prompt: Sequence[Turn], side: Sequence[Turn]) -> tuple[list[Turn], str]:
    """A side's conversation, without its answer; and the answer."""
    if not side:
        return list(prompt), ""  # an empty answer is told as such
    if side[-1].role != "assistant":
        raise Unusable(NO_ANSWER)
    before = list(side[:-1])
    if not before or not prompt:
        asked = [*prompt, *before]
    elif _spoken(before)[-len(_spoken(prompt)) :] == _spoken(prompt):
        asked = (
            before
            if before[0].role == "system" or prompt[0].role != "system"
            else [prompt[0], *before]
        )
    else:
        raise Unusable("the prompt is not the conversation's")
    if asked:
        check_order([*asked, side[-1]])
    return asked, side[-1].content


def _spoken(turns: Sequence[Turn]) -> list[tuple[str, str]]:
    return [(turn.role, turn.content) for turn in turns if turn.role != "system"]


def _turn(message: dict[str, Any]) -> Turn:
    role, content = (
        next((message[key] for key in keys if key in message), message)
        for keys in (_ROLE, _CONTENT)
    )
    if role is message or content is message:
        raise NoConversation(describe(message))
    if role in TOOLS or message.get("tool_calls") or message.get("function_call"):
        raise Unusable(TOOL)
    if not isinstance(role, str) or role not in ROLES:
        raise NoConversation(f"a turn of the role {role!r}")
    trained = message.get("weight") != 0 and message.get("train") is not False
    return Turn(ROLES[role], _content(content), trained)


_ROLE = ("role", "from")
_CONTENT = ("content", "value")


def _content(content: Any) -> str:
    if content is None:
        return ""
    if isinstance(content, str):
        return content.strip()
    if not isinstance(content, list):
        raise NoConversation(f"a turn whose content is {describe(content)}")
    return "\n".join(map(_part, content)).strip()


def _part(part: Any) -> str:
    if isinstance(part, str):
        return part
    kind = part.get("type") if isinstance(part, dict) else None
    if kind in ("text", "input_text", "output_text") and isinstance(part.get("text"), str):
        return str(part["text"])
    if isinstance(kind, str) and re.match(r"(?:input_)?(?:image|video|audio|file)", kind):
        raise Unusable(PICTURE)
    if isinstance(kind, str) and "tool" in kind:
        raise Unusable(TOOL)
    raise NoConversation(f"a turn with a part that is {describe(part)}")


def _transcript(text: str) -> list[Turn]:
    """The turns of a text that begins with `Human:` and goes on with `Assistant:`; none for any
    other text."""
    before, *parts = _TRANSCRIPT.split(text)
    names = parts[::2]
    said = parts[1::2]
    if before.strip() or names[:1] != ["Human"] or "Assistant" not in names:
        return []
    turns = [Turn(ROLES[name], content.strip()) for name, content in zip(names, said, strict=True)]
    return turns if turns[-1].content else turns[:-1]  # a prompt ends in `Assistant:`


def _as_written(text: str) -> Any:
    """The turns that a text holds as JSON, or as Python or numpy prints them; None for any other
    text."""
    if not _PRINTED.match(text):
        return None
    if (found := read_printed(text)) is not None:
        turns = found if isinstance(found, list) else [found]
        return found if all(isinstance(turn, dict) and _is_turn(turn) for turn in turns) else None
    if _LIST_OF_TURNS.match(text):
        raise NoConversation("a list of turns as text that is neither JSON nor Python")
    return None


def holds_turns(text: str) -> bool:
    """Whether a text holds turns rather than being one."""
    try:
        return _as_written(text) is not None
    except NoConversation:
        return True


def _is_turn(message: dict[str, Any]) -> bool:
    return any(key in message for key in _ROLE) and any(key in message for key in _CONTENT)


def printable(value: Any) -> Any:
    """A row as JSON holds it: what is no JSON is described."""
    if isinstance(value, Mapping):
        return {str(name): printable(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [printable(inner) for inner in value]
    return (
        value if value is None or isinstance(value, str | bool | int | float) else describe(value)
    )
