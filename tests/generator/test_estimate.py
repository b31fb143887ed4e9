from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
from pydantic import BaseModel

from data_builders.flow import Draft, Drop
from stemma.generator.estimate import dry_run
from stemma.generator.jobs import Writer
from tests.generator import loopback
from tests.generator.example_jobs import KEY, PRICES, ask, generate, job, settings


class Verdict(BaseModel):
    overall: Literal["A", "B"]


async def ranked(writer: Writer) -> Draft | Drop:
    """Two chats, then a ranking of what they said."""
    first, second = await asyncio.gather(
        writer.ask(ask("12345678", 1)), writer.ask(ask("12345678", 2))
    )
    assert first.text != second.text
    ranking = await writer.ask(ask("1234", schema=Verdict))
    assert isinstance(ranking.value, Verdict)
    return Draft("", "", {})


def test_every_round_is_counted_and_priced(tmp_path: Path) -> None:
    given = settings("http://nowhere", prices={**PRICES, "batch": 0.5}, mode="batch")
    counted = dry_run(given, tmp_path / "ledger.sqlite", None)
    assert (
        counted([ranked, ranked]) == [Draft("", "", {})] * 2
    )  # the same asks twice: the same three requests
    # In: 8 characters are 2 tokens, a message 4 more. Out: 100 each.
    tokens_in, tokens_out = 6 + 6 + 5, 300
    totals = counted.totals()
    at_most = totals.pop("cost_usd_at_most")
    assert totals == {
        "requests": 3,
        "from_ledger": 0,
        "input_tokens": tokens_in,
        "output_tokens_at_most": tokens_out,
        "cost_usd_about": round((tokens_in * 2 + tokens_out * 10) / 1_000_000 / 2, 6),
    }
    # Each may be asked for `attempts` times, and a request is some 100 to 400 one-byte tokens with
    # all its keys.
    out = tokens_out * 10 / 1_000_000 / 2 * given.attempts
    assert (
        out + 3 * 100 * 2 / 1e6 / 2 * given.attempts
        < at_most
        < out + 3 * 900 * 2 / 1e6 / 2 * given.attempts
    )
    assert list(tmp_path.iterdir()) == []


async def judged(writer: Writer) -> Draft | Drop:
    reply = await writer.ask(ask("12345678", 1))
    assert reply.placeholder
    await writer.ask(ask(reply.text, 2))
    await writer.ask(replace(ask("1234", 3), in_reserve=True))
    return Draft("", "", {})


def test_a_judge_s_prompt_counts_with_the_longest_answer_and_reserves_apart(tmp_path: Path) -> None:
    counted = dry_run(settings("http://nowhere", prices=PRICES), tmp_path / "ledger.sqlite", None)
    counted([judged])
    totals = counted.totals()
    assert (totals["requests"], totals["output_tokens_at_most"]) == (2, 200)
    assert totals["input_tokens"] == (2 + 4) + (100 + 4)  # the reply may have 100 tokens


def test_what_the_ledger_holds_is_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_KEY", KEY)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with loopback.serve(lambda _: loopback.completion("19")) as (base_url, _):
        given = settings(base_url)
        generate(given, tmp_path, [job("known")])
    counted = dry_run(given, tmp_path / "ledger.sqlite", None)
    results = counted([job("known"), job("new")])
    assert results[0] == Draft("known", "known", {"texts": ["19"]})
    totals = counted.totals()
    assert (totals["requests"], totals["from_ledger"], totals["cost_usd_at_most"]) == (1, 1, None)


def test_where_nothing_limits_a_reply_there_is_no_bound(tmp_path: Path) -> None:
    given = settings("http://nowhere", prices=PRICES, parameters={"max_tokens": None})
    counted = dry_run(given, tmp_path / "ledger.sqlite", None)
    counted([job("q")])
    totals = counted.totals()
    unknown = ("output_tokens_at_most", "cost_usd_about", "cost_usd_at_most")
    assert [totals[name] for name in unknown] == [None, None, None]
