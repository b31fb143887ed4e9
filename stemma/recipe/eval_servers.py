"""The recipe's `eval.servers`: models behind OpenAI-compatible servers, to score as variants."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from stemma.recipe.generator import AtOnce, Limits, Seconds
from stemma.recipe.sections import Section

if TYPE_CHECKING:
    from stemma.recipe.evaluation import EvalSection

NAME = r"[a-z0-9][a-z0-9._-]*"
"""It stands in paths of files and in `--only VARIANT/TASK`."""

ServedTask = Literal["generation", "mcq", "preference"]

NEED_LOG_PROBS = {"mcq", "preference"}
"""Tasks that read log-probabilities of a given text."""


class EvalServer(Section):
    """A model behind an OpenAI-compatible server: vLLM, llama-server, llama-cpp-python, hosted."""

    base_url: str
    """The server's address, as a rule with `/v1` at its end."""
    model: str
    """The model, by the name that the server knows it by."""
    api_key_env: str = "OPENAI_API_KEY"
    """The environment variable that holds the key; the key itself is never written anywhere."""
    tasks: Annotated[list[ServedTask], Field(min_length=1)] = ["generation"]
    """Which of `eval.tasks` it is measured on. `mcq` and `preference` need a server that gives the
    log-probabilities of a text it is sent (`/completions` with `echo` and `logprobs`)."""
    parameters: dict[str, Any] = {}
    """Further request parameters, sent as they are; null takes one out, e.g. `max_tokens: null`."""
    concurrency: AtOnce = 16
    """Requests at once, at most; it adapts below that."""
    timeout_seconds: Seconds = 120.0
    """Seconds to wait for a reply before the request is tried again."""
    limits: Limits = Limits()
    """Rate limits; by default what the server's response headers say."""

    @field_validator("base_url")
    @classmethod
    def _holds_no_secret(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise ValueError("an address that begins with http:// or https:// is needed")
        if "@" in parts.netloc or parts.query or parts.fragment:
            raise ValueError(
                "an address without user, password and query: it is written into results; keys "
                "come from the variable that `api_key_env` names"
            )
        return url.rstrip("/")

    @field_validator("parameters")
    @classmethod
    def _leaves_ours_alone(cls, given: dict[str, Any]) -> dict[str, Any]:
        if taken := {"model", "messages", "prompt", "n", "stream", "echo", "logprobs"} & set(given):
            names = ", ".join(f"`{name}`" for name in sorted(taken))
            raise ValueError(f"{names}: set by Stemma")
        return given


OPERATIONAL = {"concurrency", "timeout_seconds", "limits"}
"""Settings that change how fast it is asked, not what it says."""


def server_problems(section: EvalSection) -> Iterator[str]:
    """What is asked of servers that they cannot give."""
    for name in section.servers:
        if not re.fullmatch(NAME, name):
            yield f"servers: `{name}` is no name: small letters, digits, `.`, `_` and `-`"
        asked = [options.task for options in section.tasks_of(name)]
        if name in section.variants and not asked:
            tasks = ", ".join(section.servers[name].tasks)
            yield f"servers.{name}.tasks: none of {tasks} is a task of `tasks`"
        for number, judging in enumerate(section.judge):
            if name in (judging.policy, judging.reference) and "generation" not in asked:
                yield f"judge.{number}: `servers.{name}.tasks` has no `generation`"
    if section.benchmarks and not section.local:
        yield "benchmarks: a server is not measured on them, and `variants` names only servers"
