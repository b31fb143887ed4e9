"""A request to a chat model and the completion it brings, as the ledger keeps them.

A reply's body, of which only what is used is read:

    {"model": "gpt-4o-mini-2024-07-18", "choices": [{"message": {"content": "19", "refusal": null},
     "finish_reason": "stop"}], "usage": {"prompt_tokens": 21, "completion_tokens": 2,
     "prompt_tokens_details": {"cached_tokens": 0}}}
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from stemma.answers import is_empty
from stemma.generator.refusals import is_refusal

REFUSED = "reply refused"
CUT_OFF = "reply cut off"
EMPTY = "reply empty"
INVALID_JSON = "reply is no valid JSON"
"""Reasons why a reply cannot be used."""

PROMPT_ERRORS = {
    "content_filter",
    "content_policy_violation",
    "context_length_exceeded",
    "string_above_max_length",
}
"""Codes of HTTP 400 that blame one prompt, not the settings of all."""

CHARACTERS_PER_TOKEN = 4
TOKENS_PER_MESSAGE = 4
"""Estimates where nobody counts: exact counts need each model's own tokenizer."""


@dataclass(frozen=True)
class ChatRequest:
    """The body that is sent, and its key in the ledger."""

    key: str
    body: dict[str, Any]
    order: int = 0
    """The place of its job: earlier jobs' requests go first."""


@dataclass(frozen=True)
class TokenUsage:
    """Tokens that were billed. `cached` is the share of `input` that the server had read before."""

    input: int
    cached: int
    output: int


@dataclass(frozen=True)
class Completion:
    """A finished chat completion, usable or not. `model` as the server named it."""

    text: str | None
    refusal: str | None
    finish_reason: str | None
    model: str
    usage: TokenUsage

    def problem(self) -> str | None:
        """Why it cannot be used; None when its text ends where the model meant it to."""
        if self.refusal or self.finish_reason in PROMPT_ERRORS:
            return REFUSED
        if self.finish_reason == "length":
            return CUT_OFF
        if is_empty(self.text or ""):
            return EMPTY
        if is_refusal(self.text or ""):
            return REFUSED
        return (
            None if self.finish_reason == "stop" else f"reply not finished ({self.finish_reason})"
        )


class _Body(BaseModel):
    """Servers send more than is read here, and null for what they do not know."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class _TextPart(_Body):
    text: str = ""


class _Message(_Body):
    content: str | list[_TextPart] | None = None
    """Some servers send it in parts."""
    refusal: str | None = None


class _Choice(_Body):
    message: _Message | None = None
    finish_reason: str | None = None


class _PromptDetails(_Body):
    cached_tokens: int | None = None


class _Usage(_Body):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _PromptDetails | None = None


class _CompletionBody(_Body):
    model: str | None = None
    choices: list[_Choice] | None
    usage: _Usage | None = None


def read_completion(body: Any, request: dict[str, Any]) -> Completion | None:
    """The completion in a server's reply; None when the reply is none."""
    try:
        found = _CompletionBody.model_validate(body)
    except ValidationError:
        return None
    choice = found.choices[0] if found.choices else _Choice()
    message = choice.message or _Message()
    content = message.content
    text = "".join(part.text for part in content) if isinstance(content, list) else content
    usage = _billed(found.usage or _Usage(), estimate_usage(request, text or ""))
    model = _storable(found.model) or request["model"]
    return Completion(
        _storable(text), _storable(message.refusal), _storable(choice.finish_reason), model, usage
    )


def _storable(text: str | None) -> str | None:
    """The text with `?` for half of a surrogate pair, as a reply cut within an emoji ends: JSON can
    hold it, UTF-8 and so the ledger cannot."""
    return text.encode("utf-8", "replace").decode() if text else text


def _billed(reported: _Usage, estimated: TokenUsage) -> TokenUsage:
    """The tokens the server says it billed; estimates stand in for what it leaves out.

    So they do for a prompt of no tokens: a paid reply is not thrown away for its bill.
    """
    details = reported.prompt_tokens_details
    cached = details.cached_tokens if details else None
    read = reported.prompt_tokens or estimated.input
    written = reported.completion_tokens
    if written is None or not reported.prompt_tokens:
        written = estimated.output
    return TokenUsage(read, min(cached or 0, read), written)


def refused_completion(code: str, request: dict[str, Any]) -> Completion:
    """A completion that stands for a server's refusal of one prompt; such are not billed."""
    return Completion(None, None, code, request["model"], TokenUsage(0, 0, 0))


def estimate_usage(request: dict[str, Any], text: str) -> TokenUsage:
    """Tokens by the number of characters, where the server counts nothing."""
    return TokenUsage(estimate_input(request), 0, _estimate_tokens(text))


def estimate_input(request: dict[str, Any]) -> int:
    """Tokens of a request's prompt, by the number of characters."""
    if "prompt" in request:  # plain text to continue
        return _estimate_tokens(request["prompt"])
    return sum(
        _estimate_tokens(message["content"]) + TOKENS_PER_MESSAGE for message in request["messages"]
    )


def _estimate_tokens(text: str) -> int:
    return -(-len(text) // CHARACTERS_PER_TOKEN)


def output_limit(request: dict[str, Any]) -> int | None:
    """The most tokens the reply may have; None when the request sets no limit."""
    limits = [
        request[name]
        for name in ("max_completion_tokens", "max_tokens")
        if request.get(name) is not None
    ]
    return min(limits) if limits else None
