from __future__ import annotations

import asyncio
import itertools
import re
import time
from pathlib import Path
from typing import Any

import pytest

from data_builders.flow import Draft, Drop
from data_builders.scripted.faults import Faults
from data_builders.scripted.server import serve
from stemma.errors import StageFailed, UserError
from stemma.generator import sending
from stemma.generator.ledger import peek_ledger
from tests.generator import loopback
from tests.generator.example_jobs import KEY, PRICES, generate, job, settings

QUICK = {"concurrency": 8}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_KEY", KEY)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(sending, "BACKOFF_SECONDS", 0.01)


def echo(body: dict[str, Any]) -> str:
    return f"{body['messages'][-1]['content']}!"


def test_faults_are_got_over_and_nothing_is_lost_or_asked_twice(tmp_path: Path) -> None:
    shares = {"429": 0.1, "5xx": 0.1, "malformed": 0.1, "reset": 0.05, "silent": 0.02}
    with serve(echo, Faults(shares=shares, median_seconds=0.01, sigma=0.5)) as server:
        results, totals = generate(
            settings(server.base_url, timeout_seconds=2, **QUICK), tmp_path, map(job, range(150))
        )
    assert results == [Draft(str(n), str(n), {"texts": [f"{n}!"]}) for n in range(150)]
    assert (totals["requests"], totals["from_ledger"]) == (150, 0)
    assert totals["sent"] == len(server.record.requests) == 150 + sum(totals["retried"].values())
    assert set(totals["retried"]) == {
        "rate limit",
        "server error",
        "no completion",
        "no connection",
        "time-out",
    }
    assert set(server.record.billed.values()) == {1}


def test_the_servers_cap_is_used_and_kept(tmp_path: Path) -> None:
    # 20 a second, of which a fifth of a second's worth at once: 61 requests take three seconds.
    with serve(
        echo, Faults(requests_per_minute=1200, burst_seconds=1, median_seconds=0.05)
    ) as server:
        begun = time.monotonic()
        generate(settings(server.base_url, concurrency=32), tmp_path, map(job, range(81)))
        seconds = time.monotonic() - begun
    assert server.record.over_cap <= 2
    assert seconds < 1.15 * (81 - 20) / 20 + 0.5


def test_a_server_that_stays_broken_stops_the_build(tmp_path: Path) -> None:
    with loopback.serve(lambda _: loopback.error(500, KEY)) as (base_url, requests):
        with pytest.raises(StageFailed) as caught:
            generate(settings(base_url, concurrency=1), tmp_path, [job("Why?")])
        assert len(requests) == sending.FAILURES == 6
    assert str(caught.value) == (
        "the generator gave no answer (server error) (one request was sent 6 times); "
        "answers so far are kept: run the same command again to resume"
    )


def test_a_web_page_is_asked_again_and_then_named(tmp_path: Path) -> None:
    page: loopback.Reply = (200, {"Content-Type": "text/html"}, b"<html>hello</html>")
    with (
        loopback.serve(lambda _: page) as (base_url, _),
        pytest.raises(StageFailed, match=r"sent no chat completion; check generator\.base_url"),
    ):
        generate(settings(base_url), tmp_path, [job("Why?")])
    assert peek_ledger(tmp_path / "ledger.sqlite").find("anything") is None


def test_the_server_says_when_to_come_back(tmp_path: Path) -> None:
    times: list[float] = []

    def refuse_once(_: dict[str, Any]) -> loopback.Reply:
        times.append(time.monotonic())
        return (
            loopback.as_json({}, 429, retry_after="1")
            if len(times) == 1
            else loopback.completion("19")
        )

    with loopback.serve(refuse_once) as (base_url, _):
        _, totals = generate(settings(base_url), tmp_path, [job("Why?")])
    assert totals["retried"] == {"rate limit": 1}
    assert 1.0 <= times[1] - times[0] < 1.5


@pytest.mark.parametrize("seconds", [3 * 3600, 10 * 86400])
def test_a_pause_of_hours_is_left_to_another_run(seconds: int, tmp_path: Path) -> None:
    with loopback.serve(lambda _: loopback.as_json({}, 429, retry_after=str(seconds))) as (
        base_url,
        requests,
    ):
        with pytest.raises(StageFailed) as caught:
            generate(settings(base_url), tmp_path, map(job, range(50)))
        assert len(requests) <= 4
    assert re.search(
        rf"limit is reached for the next {seconds // 60} minutes; answers so far are kept: "
        r"run the same command again after \d{4}-\d\d-\d\d \d\d:\d\d$",
        str(caught.value),
    )


def test_the_days_requests_are_counted_over_runs(tmp_path: Path) -> None:
    with loopback.serve(lambda _: loopback.completion("19")) as (base_url, requests):
        given = settings(base_url, limits={"requests_per_day": 5})
        generate(given, tmp_path, map(job, range(3)))
        with pytest.raises(StageFailed, match="limit is reached for the next 1440 minutes"):
            generate(given, tmp_path, map(job, range(9)))
        assert len(requests) == 5
        results, _ = generate(given, tmp_path, map(job, range(5)))
    assert [type(result) for result in results] == [Draft] * 5


def test_what_is_in_flight_is_kept_when_another_request_fails(tmp_path: Path) -> None:
    def slow_or_bad(body: dict[str, Any]) -> loopback.Reply:
        if body["messages"][-1]["content"] == "bad":
            time.sleep(0.1)
            return loopback.error(400)
        time.sleep(0.4)
        return loopback.completion("19")

    with loopback.serve(slow_or_bad) as (base_url, requests):
        with pytest.raises(UserError, match="HTTP 400"):
            generate(settings(base_url), tmp_path, [job("good"), job("bad"), job("other")])
        assert len(requests) == 3
        generate(settings(base_url), tmp_path, [job("good"), job("other")])
        assert len(requests) == 3, "both came from the ledger"


def test_what_is_in_flight_is_kept_when_a_job_fails(tmp_path: Path) -> None:
    def slow(_: dict[str, Any]) -> loopback.Reply:
        time.sleep(0.3)
        return loopback.completion("19")

    with loopback.serve(slow) as (base_url, requests):

        async def late(writer: Any) -> Drop:
            while not requests:
                await asyncio.sleep(0.01)
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            generate(settings(base_url), tmp_path, [job("good"), late])
        generate(settings(base_url), tmp_path, [job("good")])
        assert len(requests) == 1


def test_the_most_dollars_are_never_passed_and_a_later_run_goes_on(tmp_path: Path) -> None:
    # 40 tokens in and 100 out cost 0.00108 USD; the worst case (100 out and fewer than 200 bytes
    # in), under 0.0014.
    with loopback.serve(lambda _: loopback.completion("19")) as (base_url, requests):
        given = settings(base_url, prices=PRICES, max_cost_usd=0.0125)
        with pytest.raises(UserError) as caught:
            generate(given, tmp_path, map(job, range(50)))
        spent = 0.00108 * len(requests)
        assert 0.0125 - 0.0014 < spent <= 0.0125
        first = len(requests)
        assert str(caught.value) == (
            f"data.generator.max_cost_usd: the next request could pass it: {spent:.4f} USD spent, "
            f"{first} requests answered, {50 - first} waiting\n"
            "  expected: at most 0.0125 USD\n"
            "  hint: what is answered is kept: raise data.generator.max_cost_usd and run the same "
            "command again"
        )
        with pytest.raises(UserError):
            generate(given, tmp_path, map(job, range(50)))
        assert len(requests) == first, (
            "what an earlier run spent counts before a cent more is spent"
        )
        raised = settings(base_url, prices=PRICES, max_cost_usd=1.0)
        results, totals = generate(raised, tmp_path, map(job, range(50)))
    assert len(results) == len(requests) == 50
    assert totals["cost_usd"] == pytest.approx(0.054)


def test_requests_that_may_have_been_billed_stay_reserved(tmp_path: Path) -> None:
    count = itertools.count()

    def lose_first(_: dict[str, Any]) -> loopback.Reply:
        return (200, {}, b"lost") if next(count) == 0 else loopback.completion("19")

    with loopback.serve(lose_first) as (base_url, requests):
        given = settings(base_url, prices=PRICES, max_cost_usd=0.0025)
        with pytest.raises(UserError, match=r"0\.0011 USD spent, 1 requests answered, 2 waiting"):
            generate(given, tmp_path, map(job, range(3)))
    assert len(requests) == 2


def test_what_may_have_been_billed_for_nothing_is_shown(tmp_path: Path) -> None:
    count = itertools.count()

    def lose_first(_: dict[str, Any]) -> loopback.Reply:
        return (200, {}, b"lost") if next(count) == 0 else loopback.completion("19")

    with loopback.serve(lose_first) as (base_url, _):
        _, totals = generate(settings(base_url, prices=PRICES), tmp_path, [job("q")])
    assert totals["lost"] == 1
    assert totals["lost_usd_at_most"] > 100 * 10 / 1e6, (
        "all 100 tokens of a reply may have been written"
    )


def test_a_server_whose_replies_cannot_be_read_is_not_sent_everything(tmp_path: Path) -> None:
    """Four at once and six attempts each: 200 jobs would have sent, and paid for, hundreds."""
    with (
        loopback.serve(lambda _: (200, {}, b"not JSON")) as (base_url, requests),
        pytest.raises(
            StageFailed,
            match=r"no chat completion.*; check .* \d\d of the requests sent may be billed: at",
        ),
    ):
        generate(settings(base_url, prices=PRICES), tmp_path, map(job, range(200)))
    assert len(requests) <= 2 * sending.LOST_AT_FIRST


def test_earlier_jobs_go_first(tmp_path: Path) -> None:
    with loopback.serve(lambda _: loopback.completion("19")) as (base_url, requests):
        generate(settings(base_url, concurrency=1), tmp_path, [job(n, rounds=2) for n in range(3)])
    assert [(body["messages"][0]["content"], body["seed"]) for body in requests] == [
        *(("0", 0), ("0", 1)),
        *(("1", 0), ("1", 1)),
        *(("2", 0), ("2", 1)),
    ]
