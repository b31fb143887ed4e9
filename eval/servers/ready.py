"""A server before anything is measured on it: what it says of itself, and whether it can answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterator, Sequence
from typing import Any, TypeVar

from eval.servers.client import (
    ServedClient,
    chat_request,
    connected,
    echo_in,
    echo_request,
    promptly,
)
from eval.servers.echo import Echo
from eval.servers.self_test import QUESTION, Form, form_of
from stemma.errors import Problem, StageFailed, UserError, nearest
from stemma.generator.client import RetryableError
from stemma.recipe.eval_servers import NEED_LOG_PROBS, EvalServer
from stemma.recipe.eval_tasks import EvalTask
from stemma.templates import Template, question

TELLING = ("owned_by", "root", "parent", "max_model_len", "meta")
"""What of a model's entry in `/models` tells one model from another. `created` is the moment of the
answer in vLLM and llama-server, and permissions have another id each time."""

Found = TypeVar("Found")


def description(name: str, server: EvalServer) -> dict[str, Any]:
    """What the server says of its model. Raises UserError or StageFailed where it is not there."""
    return asyncio.run(_told(name, _describe(server)))


async def _describe(server: EvalServer) -> dict[str, Any]:
    async with connected(server) as client:
        for pause in (0.25, 0.5, None):
            try:
                listed = _entries(await client.show_models())
                break
            except RetryableError as error:
                if pause is None:
                    found = f"{server.base_url} cannot be reached ({error.reason})"
                    raise StageFailed(f"{found}; is the server running?") from None
                await asyncio.sleep(pause)
    if listed and server.model not in listed:
        known = ", ".join(f"`{one}`" for one in list(listed)[:10])
        found = f"{server.base_url} has no model `{server.model}`"
        hint = nearest(server.model, list(listed))
        raise UserError(Problem("model", found, f"one of {known}", hint))
    entry = listed.get(server.model, {})
    return {key: entry[key] for key in TELLING if key in entry}


def _entries(listed: Any) -> dict[str, dict[str, Any]]:
    """The models in a `/models` reply, by id; none where it is no such list."""
    models = listed.get("data") if isinstance(listed, dict) else None
    entries = models if isinstance(models, list) else []
    return {str(one["id"]): one for one in entries if isinstance(one, dict) and "id" in one}


def check(name: str, server: EvalServer, tasks: Sequence[EvalTask], template: Template) -> None:
    """Ask what the server says of itself, for a reply, and for scores, as far as the tasks need
    them. Raises UserError, or StageFailed, with what is wrong."""
    description(name, server)
    asyncio.run(_told(name, _check(name, server, tasks, template)))


async def _check(
    name: str, server: EvalServer, tasks: Sequence[EvalTask], template: Template
) -> None:
    async with connected(server) as client:
        if any(one.task == "generation" or getattr(one, "generate", False) for one in tasks):
            await promptly(client, chat_request(server, question(QUESTION), 8))
        if any(one.task in NEED_LOG_PROBS for one in tasks):
            await form(name, server, client, template)


async def form(name: str, server: EvalServer, client: ServedClient, template: Template) -> Form:
    """The form in which the server takes texts, by its self-test."""

    async def ask(text: str) -> Echo:
        return echo_in(await promptly(client, echo_request(server, text)), name)

    return await form_of(ask, template)


async def _told(name: str, work: Awaitable[Found]) -> Found:
    """The work's result; what it raises says which server it is of."""
    try:
        return await work
    except StageFailed as error:
        raise StageFailed(f"eval: server `{name}`: {error}") from None
    except UserError as error:
        raise UserError(_placed(name, error)) from None


def _placed(name: str, error: UserError) -> Iterator[Problem]:
    place = f"eval.servers.{name}"
    for one in error.problems:
        is_whole = one.where.startswith((place, "environment variable"))
        where = place if one.where in ("eval.servers", "model") else one.where
        yield Problem(
            one.where if is_whole else where, f"{name}: {one.found}", one.expected, one.hint
        )
