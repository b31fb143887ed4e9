"""The generator against a real model: a tiny GGUF behind llama-cpp-python's own server.

The weights are random, so that the answers are nonsense; but the JSON must fit its schema, and
replies must be kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict

from stemma.generator.client import server_of
from stemma.generator.jobs import Ask, ChatMessage, Job, Reply, Writer
from stemma.generator.runner import open_runner
from stemma.recipe.generator import Generator
from tests.factories.models import tiny_gguf
from tests.factories.served import llama_server

pytestmark = pytest.mark.slow


class Verdict(BaseModel):
    model_config = ConfigDict(extra="forbid")

    correctness: Literal["A", "B", "AB", "None"]
    overall: Literal["A", "B", "tie"]


@pytest.fixture(scope="module")
def base_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    log = tmp_path_factory.mktemp("llama") / "log"
    with llama_server(tiny_gguf(), log, logits_all="false", seed=1) as url:
        yield url


def ask_all(
    base_url: str, ledger: Path, monkeypatch: pytest.MonkeyPatch, *asks: Ask
) -> tuple[list[Reply], Any]:
    """The replies, and what the generator says it did."""
    monkeypatch.setenv("TEST_KEY", "none-needed")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    settings = Generator(
        base_url=base_url,
        model="tiny",
        api_key_env="TEST_KEY",
        structured="object",
        max_tokens=300,
        concurrency=2,
    )

    def job(ask: Ask) -> Job[Reply]:
        async def run(writer: Writer) -> Reply:
            return await writer.ask(ask)

        return run

    with open_runner(settings, server_of(settings), ledger, 42, lambda _: None) as runner:
        return runner([job(ask) for ask in asks]), runner.totals()


def test_replies_fit_their_schema_and_are_kept(
    base_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    question = (ChatMessage("user", "Which answer is better? A: 4. B: 5. Reply in JSON."),)
    rankings = [Ask(question, seed, Verdict) for seed in range(4)]
    chat = Ask((ChatMessage("user", "What is 2 + 2?"),), seed=1)
    ledger = tmp_path / "ledger.sqlite"
    replies, totals = ask_all(base_url, ledger, monkeypatch, *rankings, chat)
    for reply in replies[:4]:
        assert reply.problem is None
        assert isinstance(reply.value, Verdict)
        assert Verdict.model_validate_json(reply.text) == reply.value
    assert replies[4].text or replies[4].problem in (
        "reply cut off",
        "reply empty",
    )  # random weights seldom stop
    assert totals["sent"] == totals["requests"] >= 5
    assert totals["output_tokens"] > 0
    nowhere = "http://127.0.0.1:1/v1"
    again, totals_again = ask_all(nowhere, ledger, monkeypatch, *rankings, chat)
    assert again == replies
    assert (totals_again["sent"], totals_again["from_ledger"]) == (0, totals["requests"])
