"""Jobs for tests of the generator, and a way to run them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from data_builders.flow import Draft, Drop, RowJob
from data_builders.generated.model_server import open_server
from stemma.generator.jobs import Ask, ChatMessage, Reply, Writer
from stemma.generator.runner import open_runner
from stemma.recipe.generator import Generator

KEY = "sk-very-secret-0123456789"
PRICES = {"input": 2.0, "output": 10.0}


def settings(base_url: str, **changes: Any) -> Generator:
    return Generator.model_validate(
        {
            "base_url": base_url,
            "model": "m",
            "api_key_env": "TEST_KEY",
            "max_tokens": 100,
            "timeout_seconds": 5.0,
        }
        | changes
    )


def ask(question: object, seed: int = 0, **changes: Any) -> Ask:
    return Ask((ChatMessage("user", str(question)),), seed, **changes)


def job(question: object, rounds: int = 1) -> RowJob:
    """Asks the same in turn, as separate chats; gives the texts."""

    async def run(writer: Writer) -> Draft | Drop:
        replies = [await writer.ask(ask(question, seed)) for seed in range(rounds)]
        problems = [reply.problem for reply in replies if reply.problem]
        if problems:
            return Drop(str(question), problems[0], {})
        return Draft(str(question), str(question), {"texts": [reply.text for reply in replies]})

    return run


def generate(
    given: Generator, folder: Path, jobs: Iterable[RowJob], said: list[str] | None = None
) -> tuple[list[Draft | Drop], dict[str, Any]]:
    """The results, and the totals."""
    say = (said if said is not None else []).append
    with (
        open_server(given, 42) as server,
        open_runner(given, server, folder / "ledger.sqlite", 42, say) as runner,
    ):
        return runner(list(jobs)), runner.totals()


def replies_to(
    asks: Iterable[Ask], given: Generator, folder: Path
) -> tuple[list[Reply], dict[str, Any]]:
    """The bare replies to asks made side by side."""
    replies: list[Reply] = []

    async def run(writer: Writer) -> Draft | Drop:
        replies.extend(await asyncio.gather(*(writer.ask(one) for one in asks)))
        return Drop("", "", {})

    return replies, generate(given, folder, [run])[1]
