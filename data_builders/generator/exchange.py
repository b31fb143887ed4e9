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

_REFUSAL = re.compile(
    r"\W*(?:(?:i['’]m|i am) (?:\w+ )?sorry|sorry|(?:my )?apologies|i apologi[sz]e|unfortunately)?[\s,.;:!—–-]*"
    r"(?:(?:but|that|however)[\s,]+)?(?:as an ai\b[\w\s]*,?\s*)?"
    r"i(?:(?:['’]m| am) (?:not able|unable|not allowed|not permitted|not comfortable)(?: to)?"
    r"| (?:can ?not|can['’]t|can not|could ?n['’]t|wo ?n['’]t|will not|must decline to|decline to|have to decline to))"
    r"\s+(?:(?!only\b)\w+\s+){0,3}?(?:assist|help|provid|fulfil|comply|answer|continu|discuss|creat|generat|shar|engag|respond"
    r"|complet|process|support|offer|do (?:that|this)|talk)",
    re.IGNORECASE,
)
_AS_AN_AI = re.compile(
    r"\W*(?:(?:i['’]m )?sorry[\s,]+(?:but )?)?as an ai\b[^.!?]*\b(?:cannot|can['’]t|unable|not able)\b", re.I
)


def is_refusal(text: str) -> bool:
    """Whether a text opens by declining to answer: a server may send that as a good reply. "I cannot be right, since …"
    and "We cannot conclude …" are answers."""
    return bool(_REFUSAL.match(text) or _AS_AN_AI.match(text))


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


class _Message(_Part):
    content: str | None = None
    refusal: str | None = None


class _Choice(_Part):
    message: _Message | None = None
    finish_reason: str | None = None


class _Details(_Part):
    cached_tokens: int | None = None


class _Usage(_Part):
    prompt_tokens: int
    completion_tokens: int
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
    usage = _count(found.usage) if found.usage else estimate_usage(request, message.content or "")
    return Answer(message.content, message.refusal, choice.finish_reason, found.model or request["model"], usage)


def _count(usage: _Usage) -> Usage:
    cached = usage.prompt_tokens_details.cached_tokens if usage.prompt_tokens_details else None
    return Usage(usage.prompt_tokens, cached or 0, usage.completion_tokens)


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
