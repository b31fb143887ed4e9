"""The recipe's section `data.generator`: the chat model that writes and judges answers, its limits
and its prices."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from stemma.recipe.sections import Count, Section, Tokens

Dollars = Annotated[float, Field(ge=0, le=10**6)]
Seconds = Annotated[float, Field(gt=0, le=86_400)]
AtOnce = Annotated[int, Field(ge=1, le=10_000)]
Temperature = Annotated[float, Field(ge=0, le=2)]


class Limits(Section):
    """What the server allows; null: what its response headers say."""

    requests_per_minute: Count | None = None
    """Requests a minute, at most."""
    tokens_per_minute: Count | None = None
    """Tokens a minute, at most, prompts and replies together."""
    requests_per_day: Count | None = None
    """Requests a day, at most."""


class Prices(Section):
    """USD per million tokens, from the provider's page."""

    input: Dollars
    """USD per million prompt tokens."""
    output: Dollars
    """USD per million tokens of replies."""
    cached_input: Dollars | None = None
    """USD per million prompt tokens that the server had cached; by default as `input`."""
    batch: Annotated[float, Field(gt=0, le=1)] = 0.5
    """What the Batch API costs, as a share of these prices."""


class Generator(Section):
    """Who writes and judges answers: an OpenAI-compatible server, or the scripted expert on
    loopback."""

    place: ClassVar[str] = "data.generator"
    """Where these settings stand in a recipe, for messages."""
    called: ClassVar[str] = "generator"
    """What messages call the server."""

    server: Literal["openai", "scripted-expert"] = "openai"
    """An OpenAI-compatible server, or the built-in scripted expert, which costs nothing."""
    base_url: str | None = None
    """The server's address; by default OpenAI's own."""
    model: str
    """The chat model, by the name that the server knows it by."""
    api_key_env: str = "OPENAI_API_KEY"
    """The environment variable that holds the key; the key itself is never written anywhere."""
    temperature: Temperature | None = 0.7
    """Sampling temperature; null leaves it to the server."""
    max_tokens: Tokens = 512
    """Length of a reply in tokens, at most."""
    parameters: dict[str, Any] = {}
    """Further request parameters, sent as they are; null takes one out, e.g. `max_tokens: null`."""
    structured: Literal["schema", "object", "none"] = "schema"
    """How JSON is asked for: `json_schema`, `json_object` with a schema (llama.cpp), or by the
    prompt alone."""
    mode: Literal["sync", "batch"] = "sync"
    """One request at a time and many at once, or the Batch API (half the price, up to a day)."""
    attempts: Annotated[int, Field(ge=1, le=100)] = 3
    """How often a question is asked before an unusable reply (refusal, cut off, garbage, empty)
    drops its row."""
    concurrency: AtOnce = 64
    """At most; it adapts below that."""
    timeout_seconds: Seconds = 120.0
    """Seconds to wait for a reply before the request is tried again."""
    limits: Limits = Limits()
    """Rate limits; by default what the server's response headers say."""
    prices: Prices | None = None
    """What tokens cost, for the forecast and for `max_cost_usd`."""
    max_cost_usd: Annotated[float, Field(gt=0, le=10**6)] | None = None
    """Stops before this is passed; a later run resumes."""

    @model_validator(mode="after")
    def _cost_needs_prices(self) -> Generator:
        if self.max_cost_usd is not None and self.prices is None:
            raise ValueError("max_cost_usd: `prices` is missing, so nothing can be counted")
        return self


class JudgeGenerator(Generator):
    """Who judges replies: an OpenAI-compatible server, or the scripted expert on loopback."""

    place: ClassVar[str] = "eval.judge.generator"

    temperature: Temperature | None = 0.0
    """Sampling temperature, by default none, so that a verdict can be had again; null leaves it to
    the server, as some models ask for."""


OPERATIONAL = {"mode", "concurrency", "timeout_seconds", "limits", "prices", "max_cost_usd"}
"""Settings of the generator that change how fast and how dear it is, not what it says: they make
nothing stale."""
