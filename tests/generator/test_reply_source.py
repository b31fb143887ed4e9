from __future__ import annotations

import hashlib
import json
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict

from stemma.errors import StageFailed, UserError
from stemma.generator.jobs import Ask, ChatMessage
from stemma.generator.ledger import peek_ledger
from stemma.generator.reply_source import ReplyMonitor, check_settings
from tests.generator import loopback
from tests.generator.example_jobs import KEY, PRICES, ask, replies_to, settings


class Verdict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    overall: Literal["A", "B"]


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_KEY", KEY)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def test_a_request_says_what_the_recipe_and_the_source_want(tmp_path: Path) -> None:
    with loopback.serve(lambda _: loopback.completion(" Because. ")) as (base_url, requests):
        given = settings(base_url, temperature=0.5, max_tokens=9, prices=PRICES)
        (reply,), _ = replies_to([ask("Why?", seed=3)], given, tmp_path)
    assert requests == [
        {
            "model": "m",
            "messages": [{"role": "user", "content": "Why?"}],
            "temperature": 0.5,
            "max_tokens": 9,
            "seed": 3,
        }
    ]
    assert (reply.text, reply.value, reply.problem) == ("Because.", None, None)
    prompt = json.dumps([{"content": "Why?", "role": "user"}], separators=(",", ":"))
    assert reply.origin.prompt_sha256 == hashlib.sha256(prompt.encode()).hexdigest()
    assert (reply.origin.model, reply.origin.requests) == ("m-1", 1)
    assert reply.origin.date == datetime.now(timezone.utc).date().isoformat()
    assert reply.origin.cost_usd == pytest.approx((40 * 2 + 100 * 10) / 1_000_000)


def test_parameters_replace_and_take_out(tmp_path: Path) -> None:
    parameters = {"max_tokens": None, "max_completion_tokens": 900, "seed": None, "top_p": 0.9}
    with loopback.serve(lambda _: loopback.completion("x")) as (base_url, requests):
        given = settings(base_url, temperature=None, parameters=parameters)
        replies_to([ask("Why?", 1), ask("Why?", 2)], given, tmp_path)
    said = {"model": "m", "messages": [{"role": "user", "content": "Why?"}]}
    # Two chats are two requests, even for a server that is not told the seed.
    assert requests == [{**said, "max_completion_tokens": 900, "top_p": 0.9}] * 2


def test_the_ledgers_key_is_the_sha256_of_the_canonical_request(tmp_path: Path) -> None:
    with loopback.serve(lambda _: loopback.completion("x")) as (base_url, requests):
        replies_to([ask("Why?", 1)], settings(base_url), tmp_path)
    canonical = json.dumps(requests[0], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    entry = peek_ledger(tmp_path / "ledger.sqlite").find(
        hashlib.sha256(canonical.encode()).hexdigest()
    )
    assert entry is not None
    assert (entry.completion.text, entry.completion.model, entry.mode) == ("x", "m-1", "sync")


@pytest.mark.parametrize(
    ("structured", "expected"),
    [("schema", "json_schema"), ("object", "json_object"), ("none", None)],
)
def test_json_is_asked_for_and_parsed(
    structured: str, expected: str | None, tmp_path: Path
) -> None:
    with loopback.serve(lambda _: loopback.completion('```json\n{"overall": "B"}\n```')) as (
        base_url,
        requests,
    ):
        (reply,), _ = replies_to(
            [ask("?", schema=Verdict)], settings(base_url, structured=structured), tmp_path
        )
    assert (reply.value, reply.problem) == (Verdict(overall="B"), None)
    assert requests[0].get("response_format", {"type": None})["type"] == expected


UNUSABLE = [
    (loopback.completion(None), "reply empty"),
    (loopback.completion("{", "length"), "reply cut off"),
    (loopback.completion(None, refusal="no"), "reply refused"),
    (loopback.completion('{"overall": "C"}'), "reply is no valid JSON"),
    (loopback.as_json({"id": "1", "choices": []}), "reply empty"),
]


@pytest.mark.parametrize(("reply", "problem"), UNUSABLE)
def test_a_useless_reply_is_asked_for_again_with_another_seed_and_then_given_up(
    reply: loopback.Reply, problem: str, tmp_path: Path
) -> None:
    with loopback.serve(lambda _: reply) as (base_url, requests):
        given = settings(base_url, attempts=3, prices=PRICES)
        for run in range(2):  # the second finds all three attempts in the ledger
            (found,), totals = replies_to([ask("?", 7, schema=Verdict)], given, tmp_path)
            assert (found.value, found.problem, found.origin.requests) == (None, problem, 3)
            assert totals["unusable"] == {problem: 3}
            assert (totals["requests"], totals["from_ledger"]) == (3, 3 * run)
        assert len(requests) == len({body["seed"] for body in requests}) == 3
        assert requests[0]["seed"] == 7


def test_a_second_attempt_that_works_counts_and_costs(tmp_path: Path) -> None:
    def second(body: dict[str, Any]) -> loopback.Reply:
        return loopback.completion("" if body["seed"] == 7 else "19")

    with loopback.serve(second) as (base_url, _):
        (reply,), totals = replies_to([ask("?", 7)], settings(base_url, prices=PRICES), tmp_path)
    assert (reply.text, reply.problem, reply.origin.requests) == ("19", None, 2)
    assert reply.origin.cost_usd == pytest.approx(2 * 0.00108)
    assert totals["cost_usd"] == pytest.approx(2 * 0.00108)


def test_without_prices_nothing_is_said_of_cost_until_there_are_some(tmp_path: Path) -> None:
    with loopback.serve(lambda _: loopback.completion("x")) as (base_url, _):
        (reply,), _ = replies_to([ask("?")], settings(base_url), tmp_path)
        assert reply.origin.cost_usd is None
        (reply,), _ = replies_to([ask("?")], settings(base_url, prices=PRICES), tmp_path)
    assert reply.origin.cost_usd == pytest.approx(0.00108)


def test_equal_asks_are_one_request(tmp_path: Path) -> None:
    with loopback.serve(lambda _: loopback.completion("x")) as (base_url, requests):
        replies, totals = replies_to([ask("?")] * 5, settings(base_url), tmp_path)
    assert [reply.text for reply in replies] == ["x"] * 5
    assert len(requests) == totals["requests"] == 1


def test_a_chat_keeps_its_turns(tmp_path: Path) -> None:
    turns = (
        ChatMessage("system", "You teach."),
        ChatMessage("user", "a"),
        ChatMessage("assistant", "b"),
        ChatMessage("user", "c"),
    )
    with loopback.serve(lambda _: loopback.completion("x")) as (base_url, requests):
        replies_to([Ask(turns, 1)], settings(base_url), tmp_path)
    assert [(turn["role"], turn["content"]) for turn in requests[0]["messages"]] == [
        ("system", "You teach."),
        ("user", "a"),
        ("assistant", "b"),
        ("user", "c"),
    ]


def test_settings_that_cannot_work_are_all_named() -> None:
    parameters = {"stream": True, "seed": 4, "max_tokens": None}
    with pytest.raises(UserError) as caught:
        check_settings(settings("http://x", parameters=parameters, prices=PRICES, max_cost_usd=1.0))
    assert [problem.found for problem in caught.value.problems] == [
        "`seed` is set by Stemma",
        "`stream` is set by Stemma",
        "no limit for the length of a reply, so max_cost_usd cannot be kept",
    ]
    check_settings(settings("http://x", parameters={"seed": None, "max_tokens": None}))


def test_replies_that_are_of_no_use_end_the_build_and_one_good_reply_ends_the_watch() -> None:
    monitor = ReplyMonitor()
    one = ask("?", 7)
    for _ in range(29):
        monitor.record(one, "reply refused", fresh=True)
    monitor.record(one, "reply empty", fresh=False)
    with pytest.raises(
        StageFailed,
        match=r"its prompts: of 31 first replies none can be used \(29 x reply refused, 2 x reply",
    ):
        monitor.record(one, "reply empty", fresh=True)
    monitor.record(one, None, fresh=False)
    monitor.record(one, "reply refused", fresh=True)
