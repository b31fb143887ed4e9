"""The contract between a job and a chat model: what a job asks, and what it gets.

A job is an async function that asks a `Writer` for as many replies as it needs, in turn or side by
side, and makes one result of them. What a result is, the caller decides: the data stage makes rows.

    async def job(writer: Writer) -> str:
        reply = await writer.ask(Ask((ChatMessage("user", "What is 12 + 7?"),), seed=1))
        return reply.problem or reply.text
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar

from pydantic import BaseModel

from stemma.digests import digest_json


@dataclass(frozen=True)
class ChatMessage:
    """One turn of a chat with the model."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True)
class Ask:
    """One question to the model. Asks that differ in `seed` are separate chats."""

    messages: tuple[ChatMessage, ...]
    seed: int
    schema: type[BaseModel] | None = None
    """The JSON the reply must hold; its name and docstrings are part of the request."""
    in_reserve: bool = False
    """Made only where an earlier reply was of no use; a dry run counts it in `at_most` alone."""


@dataclass(frozen=True)
class Origin:
    """The model that wrote a reply, and what the reply cost in USD (None: no price table)."""

    model: str
    date: str
    prompt_sha256: str
    requests: int
    cost_usd: float | None = None


@dataclass(frozen=True)
class Reply:
    """The model's reply: its text, parsed where a schema was asked for, or why it is unusable."""

    text: str
    origin: Origin
    value: BaseModel | None = None
    """The parsed JSON."""
    problem: str | None = None
    """Why the reply cannot be used."""
    placeholder: bool = False
    """Made up by a dry run, which takes every reply for a good one."""


class Writer(Protocol):
    """Answers asks, from the ledger or the server.

    Raises StageFailed or UserError when the server is of no use.
    """

    async def ask(self, ask: Ask) -> Reply: ...


AnyResult = TypeVar("AnyResult")
Job = Callable[[Writer], Awaitable[AnyResult]]
"""Asks what it needs and makes one result of the replies."""


def merge_origins(replies: Sequence[Reply]) -> Origin:
    """The one origin of a result of several replies: their cost together, the newest's date."""
    origins = [reply.origin for reply in replies]
    models = sorted({origin.model for origin in origins})
    prompts = [origin.prompt_sha256 for origin in origins]
    costs = [origin.cost_usd for origin in origins if origin.cost_usd is not None]
    return Origin(
        model=", ".join(models),
        date=max(origin.date for origin in origins),
        prompt_sha256=prompts[0] if len(prompts) == 1 else digest_json(prompts),
        requests=sum(origin.requests for origin in origins),
        cost_usd=sum(costs) if len(costs) == len(origins) else None,
    )
