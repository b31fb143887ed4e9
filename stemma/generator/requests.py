"""A request to a chat model and the answer to it, whoever carries them: what the ledger keeps.

A reply's body, of which only what is used is read:

    {"model": "gpt-4o-mini-2024-07-18", "choices": [{"message": {"content": "19", "refusal": null},
     "finish_reason": "stop"}], "usage": {"prompt_tokens": 21, "completion_tokens": 2,
     "prompt_tokens_details": {"cached_tokens": 0}}}
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

REFUSED, CUT, EMPTY, GARBAGE = "reply refused", "reply cut off", "reply empty", "reply is no valid JSON"
"""Why a reply cannot be used."""
ROW_ERRORS = {"content_filter", "content_policy_violation", "context_length_exceeded", "string_above_max_length"}
"""Codes of HTTP 400 that blame one prompt, not the settings of all."""

# What may stand in front of a refusal: "Hello! Thank you, but unfortunately, as an AI model, …".
_I_AM = r"(?:(?:i|we)(?:['’]m|['’]re| am| are) (?:\w+ )?)"
_SORRY = rf"(?:{_I_AM}?sorry|(?:i |we |my )?(?:sincer\w+ )?apolog(?:ies|i[sz]e))(?: for [\w ]{{1,40}})?"
_MODEL = (
    r"(?:as|(?:i(?:['’]m| am)|being)(?: \w+){0,3}) an? (?:ai|(?:large )?language model)\b"
    r"[^.!?,;]{0,60}?(?=[,;.]|\bi\b|\band\b|\bcan(?:not|['’]t))"
)
_OPENING = re.compile(
    r"[\W_]*(?:(?:hello|hi|no|well|thank(?:s| you)(?: [\w' ]{1,40})?|unfortunately|however|but|and"
    r"|it (?:seems|appears|looks like)|i regret(?: to say)?(?: that)?|i(?:['’]m| am) afraid"
    rf"|{_SORRY}|{_MODEL})(?![\w'’])[\W_]*){{1,6}}",
    re.IGNORECASE,
)
_NOT_DOING = (
    r"(?:(?:i|we)(?:(?:['’]m|['’]re| am| are) (?:unable|not (?:able|allowed|permitted|comfortable|going))"
    r"| (?:can ?not|can['’]t|could ?n['’]t|wo ?n['’]t|will not|(?:must |have to )?decline"
    r"|do(?:n['’]t| not) feel comfortable)))(?: in good conscience)?(?: to| with)?"
)
_HELPING = (
    r"(?:assist|help|provid|fulfil|comply|answer|continu|discuss|creat|generat|shar|engag|respond|complet|process"
    r"|support|offer|talk|judge|do (?:that|this))"
)
_DECLINES = re.compile(
    rf"{_NOT_DOING}\s+(?:(?!only\b)\w+\s+){{0,3}}?{_HELPING}"
    r"|(?:i|we)(?:['’]d| would) (?:rather not|prefer not to)\b"
    r"|i (?:must |have to )?decline (?:this|that|your)\b"
    r"|i (?:do not|don['’]t) have (?:the ability|access|(?:enough|sufficient) information) to"
    r" (?:answer|help|judge|see)"
    r"|i(?:['’]m| am) programmed to\b"
    r"|(?:that|this|it)(?:['’]s| is) not something (?:that )?i can"
    r"|(?:this|your|the) (?:request|prompt|question|content) (?:was rejected|(?:may )?violates?|goes against)\b",
    re.IGNORECASE,
)
_CANNOT = re.compile(r"(?:i |and )?(?:am |do |is |are )?(?:can ?not|can['’]t|unable|not\b)", re.IGNORECASE)
# An apology that goes on with "but" answers nothing: "I'm sorry, but the question is missing".
_APOLOGY = re.compile(
    rf"[\W_]*(?:(?:hello|hi)\W+)?(?:{_SORRY}|(?:je suis )?désolée?|(?:es )?tut mir leid|lo siento|desculpe"
    r"|mi dispiace)[\W_]+(?:but|mais|aber|pero|mas|ma)\b"
    r"(?![^.!?\n]*\b(?:answer|option|choice) (?:is|[A-J]\b))"
    r"|\W*(?:抱歉|对不起|申し訳)",
    re.IGNORECASE,
)


def is_refusal(text: str) -> bool:
    """Whether a text opens by declining to answer: a server may send that as a good reply. "I cannot be right, since …"
    and "We cannot conclude …" are answers."""
    text = text.strip(" \n\t*_#>\"'“")[:500]
    if _APOLOGY.match(text):
        return True
    opening = _OPENING.match(text)
    start = opening.end() if opening else 0
    as_model = re.search(r"\b(?:ai|language model)\b", text[:start], re.IGNORECASE)
    return bool(_DECLINES.match(text, start) or (as_model and _CANNOT.match(text, start)))


@dataclass(frozen=True)
class Request:
    """What is sent, and the ledger's key for it. `order`: the place of its job, so that earlier ones go first."""

    key: str
    body: dict[str, Any]
    order: int = 0


@dataclass(frozen=True)
class Usage:
    """Tokens that were billed. `cached` is the part of `input` that the server had read before."""

    input: int
    cached: int
    output: int


@dataclass(frozen=True)
class Answer:
    """A finished reply, usable or not. `model` as the server named it."""

    text: str | None
    refusal: str | None
    finish_reason: str | None
    model: str
    usage: Usage

    def problem(self) -> str | None:
        """Why it cannot be used; None when it holds a text that ends where the model meant it to."""
        if self.refusal or self.finish_reason in ROW_ERRORS:
            return REFUSED
        if self.finish_reason == "length":
            return CUT
        if not (self.text or "").strip():
            return EMPTY
        if is_refusal(self.text or ""):
            return REFUSED
        return None if self.finish_reason == "stop" else f"reply not finished ({self.finish_reason})"


class _Part(BaseModel):
    """Servers send more than is read here, and null for what they do not know."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class _Text(_Part):
    text: str = ""


class _Message(_Part):
    content: str | list[_Text] | None = None
    """Some servers send it in parts."""
    refusal: str | None = None


class _Choice(_Part):
    message: _Message | None = None
    finish_reason: str | None = None


class _Details(_Part):
    cached_tokens: int | None = None


class _Usage(_Part):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _Details | None = None


class _Completion(_Part):
    model: str | None = None
    choices: list[_Choice] | None
    usage: _Usage | None = None


def read_completion(body: Any, request: dict[str, Any]) -> Answer | None:
    """The answer in a server's reply; None when that is no chat completion."""
    try:
        found = _Completion.model_validate(body)
    except ValidationError:
        return None
    choice = found.choices[0] if found.choices else _Choice()
    message = choice.message or _Message()
    content = message.content
    text = "".join(part.text for part in content) if isinstance(content, list) else content
    usage = _count(found.usage or _Usage(), estimate_usage(request, text or ""))
    return Answer(text, message.refusal, choice.finish_reason, found.model or request["model"], usage)


def _count(told: _Usage, estimated: Usage) -> Usage:
    """What the server says it billed. What it leaves out is estimated, and so is a prompt of no tokens: a reply that is
    paid for is not thrown away for its bill."""
    cached = told.prompt_tokens_details.cached_tokens if told.prompt_tokens_details else None
    read = told.prompt_tokens or estimated.input
    written = estimated.output if told.completion_tokens is None or not told.prompt_tokens else told.completion_tokens
    return Usage(read, min(cached or 0, read), written)


def refuse_row(code: str, request: dict[str, Any]) -> Answer:
    """The answer that stands for a server's refusal of one prompt; such are not billed."""
    return Answer(None, None, code, request["model"], Usage(0, 0, 0))


def estimate_usage(request: dict[str, Any], text: str) -> Usage:
    """Where the server counts nothing: four characters a token (exact counts need each model's own tokenizer)."""
    return Usage(estimate_input(request), 0, -(-len(text) // 4))


def estimate_input(request: dict[str, Any]) -> int:
    return sum(-(-len(message["content"]) // 4) + 4 for message in request["messages"])


def output_limit(request: dict[str, Any]) -> int | None:
    """The most tokens the reply may have; None when the request sets no limit."""
    limits = [request[name] for name in ("max_completion_tokens", "max_tokens") if request.get(name) is not None]
    return min(limits) if limits else None
