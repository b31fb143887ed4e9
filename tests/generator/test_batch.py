from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from data_builders.flow import Draft, Drop
from data_builders.scripted.faults import Faults
from data_builders.scripted.server import serve
from stemma.errors import StageFailed, UserError
from stemma.generator import batch
from stemma.generator.accounting import Accounting
from stemma.generator.ledger import open_ledger
from stemma.generator.reply_source import ReplySource
from stemma.generator.requests import ChatRequest
from stemma.recipe.generator import Generator
from tests.generator import loopback
from tests.generator.example_jobs import KEY, PRICES, ask, generate, job, settings

FAILED = {
    "status": "failed",
    "errors": {"object": "list", "data": [{"code": "token_limit_exceeded"}]},
}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_KEY", KEY)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(batch, "POLL_SECONDS", 0.02)


def batched(base_url: str, **changes: Any) -> Generator:
    return settings(base_url, mode="batch", **changes)


def echo(body: dict[str, Any]) -> str:
    return f"{body['messages'][-1]['content']}!"


def answer_all(lines: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "output_file_id": [
            loopback.line(each["custom_id"], 200, loopback.body_of("19")) for each in lines
        ]
    }


def draft(question: int, rounds: int = 1) -> Draft:
    return Draft(str(question), str(question), {"texts": [f"{question}!"] * rounds})


def pending_batches(folder: Path, base_url: str) -> int:
    with open_ledger(folder / "ledger.sqlite") as ledger:
        return len(ledger.pending_batches(base_url))


def test_every_round_of_the_jobs_is_one_batch(tmp_path: Path) -> None:
    said: list[str] = []
    with serve(echo, Faults(batch_seconds=0.1)) as server:
        results, totals = generate(
            batched(server.base_url), tmp_path, [job(n, rounds=2) for n in range(30)], said
        )
        assert results == [draft(n, 2) for n in range(30)]
        assert (totals["requests"], totals["sent"]) == (60, 60)
        assert sum("of 30 requests answered" in line for line in said) >= 2
        assert set(server.record.billed.values()) == {1}
        results, totals = generate(
            batched(server.base_url), tmp_path, [job(n, rounds=2) for n in range(30)]
        )
        assert (len(results), totals["sent"]) == (30, 0)
    assert pending_batches(tmp_path, server.base_url) == 0


def test_a_line_names_its_request_by_the_ledgers_key(tmp_path: Path) -> None:
    with loopback.serve_batches(answer_all) as (base_url, batches):
        generate(batched(base_url), tmp_path, [job("Why?")])
    ((only,),) = batches
    assert (only["method"], only["url"]) == ("POST", "/v1/chat/completions")
    assert only["body"]["messages"] == [{"role": "user", "content": "Why?"}]
    with open_ledger(tmp_path / "ledger.sqlite") as ledger:
        entry = ledger.find(only["custom_id"])
    assert entry is not None
    assert (entry.completion.text, entry.mode) == ("19", "batch")


def test_batches_are_cut_to_the_servers_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "MOST_REQUESTS", 4)
    with loopback.serve_batches(answer_all) as (base_url, batches):
        generate(batched(base_url), tmp_path, map(job, range(10)))
    assert [len(lines) for lines in batches] == [4, 4, 2]
    size = len(batch._line(ChatRequest(batches[0][0]["custom_id"], batches[0][0]["body"])))
    monkeypatch.setattr(batch, "MOST_BYTES", 3 * size)
    with loopback.serve_batches(answer_all) as (base_url, batches):
        generate(batched(base_url), tmp_path / "other", map(job, range(10)))
    assert [len(lines) for lines in batches] == [3, 3, 3, 1]


def test_what_a_batch_leaves_goes_into_the_next(tmp_path: Path) -> None:
    # A few fail, and of each batch only 20 are answered in time.
    with serve(echo, Faults(shares={"5xx": 0.05}, batch_expires_after=20)) as server:
        results, totals = generate(batched(server.base_url), tmp_path, map(job, range(40)))
    assert results == [draft(n) for n in range(40)]
    assert totals["retried"]["batch"] >= 20
    assert set(server.record.billed.values()) == {1}


def test_what_no_batch_answers_stops_the_build_and_the_rest_is_kept(tmp_path: Path) -> None:
    def all_but_one(lines: list[dict[str, Any]]) -> dict[str, Any]:
        good = [each for each in lines if each["body"]["messages"][0]["content"] != "3"]
        bad = [loopback.line(each["custom_id"], 500, {}) for each in lines if each not in good]
        return {**answer_all(good), "error_file_id": bad}

    with loopback.serve_batches(all_but_one) as (base_url, batches):
        with pytest.raises(
            StageFailed, match="4 batches left a request unanswered; answers so far are kept"
        ):
            generate(batched(base_url), tmp_path, map(job, range(6)))
        assert [len(lines) for lines in batches] == [6, 1, 1, 1]
    with serve(echo) as server:
        _, totals = generate(batched(server.base_url), tmp_path, map(job, range(6)))
    assert totals["from_ledger"] == 5


def test_a_prompt_that_is_refused_drops_its_row_and_a_bad_request_stops_the_build(
    tmp_path: Path,
) -> None:
    def refuse(code: str) -> Any:
        def work(lines: list[dict[str, Any]]) -> dict[str, Any]:
            refused = {"error": {"code": code, "message": f"no {KEY}"}}
            return {
                **answer_all(lines[1:]),
                "error_file_id": [loopback.line(lines[0]["custom_id"], 400, refused)],
            }

        return work

    with loopback.serve_batches(refuse("content_policy_violation")) as (base_url, _):
        results, totals = generate(batched(base_url, attempts=1), tmp_path, map(job, range(3)))
    assert results[0] == Drop("0", "reply refused", {})
    assert totals["unusable"] == {"reply refused": 1}
    with loopback.serve_batches(refuse("invalid_value")) as (base_url, batches):
        with pytest.raises(StageFailed) as caught:
            generate(batched(base_url), tmp_path, map(job, range(3, 6)))
        assert "refused a request of a batch (HTTP 400): no (key); answers so far are kept" in str(
            caught.value
        )
        with pytest.raises(StageFailed):
            generate(batched(base_url), tmp_path, map(job, range(3, 6)))
        assert [len(lines) for lines in batches] == [3, 1], "the two that were answered are kept"


def test_a_batch_too_large_for_the_accounts_queue_goes_in_halves(tmp_path: Path) -> None:
    with loopback.serve_batches(lambda lines: FAILED if len(lines) > 3 else answer_all(lines)) as (
        base_url,
        batches,
    ):
        results, _ = generate(batched(base_url), tmp_path, map(job, range(10)))
    assert len(results) == 10
    assert [len(lines) for lines in batches] == [10, 5, 2, 2, 2, 2, 2]


@pytest.mark.parametrize(
    ("end", "said"),
    [
        ({"status": "cancelled"}, "the batch was cancelled by the server (no reason given)"),
        (
            {"status": "failed", "errors": {"data": [{"code": "billing"}]}},
            "was failed by the server (billing)",
        ),
        ({"status": "failed", "errors": {"data": [{"code": KEY}]}}, "by the server ((key))"),
    ],
)
def test_a_batch_that_is_not_worked_on_stops_the_build(
    end: dict[str, Any], said: str, tmp_path: Path
) -> None:
    with loopback.serve_batches(lambda _: end) as (base_url, batches):
        with pytest.raises(StageFailed) as caught:
            generate(batched(base_url), tmp_path, map(job, range(3)))
        assert len(batches) == 1
    assert said in str(caught.value)
    assert KEY not in str(caught.value)
    assert pending_batches(tmp_path, base_url) == 0


def test_batches_have_their_price_and_the_most_dollars_hold(tmp_path: Path) -> None:
    # In a batch 40 tokens in and 100 out cost 0.00054 USD; the worst case of one is under 0.0007,
    # of three over 0.0018.
    with loopback.serve_batches(answer_all) as (base_url, batches):
        given = batched(base_url, prices={**PRICES, "batch": 0.5}, max_cost_usd=0.0018)
        with pytest.raises(UserError, match=r"0\.0016 USD spent, 3 requests answered, 7 waiting"):
            generate(given, tmp_path, map(job, range(10)))
        assert [len(lines) for lines in batches] == [2, 1]
        raised = batched(base_url, prices={**PRICES, "batch": 0.5}, max_cost_usd=1.0)
        _, totals = generate(raised, tmp_path, map(job, range(10)))
    assert totals["cost_usd"] == pytest.approx(0.0054)
    assert [len(lines) for lines in batches] == [2, 1, 7]


def test_a_batch_that_the_server_forgot_is_asked_for_again(tmp_path: Path) -> None:
    with serve(echo) as server:
        with open_ledger(tmp_path / "ledger.sqlite") as ledger:
            generated = ChatRequest("not ours", {"model": "m", "messages": []})
            other = ledger.plan_batch(server.base_url, [generated])
            ledger.name_batch(other.number, "batch_99")
        generate(batched(server.base_url), tmp_path, [job(1)])
        assert pending_batches(tmp_path, server.base_url) == 1, "nobody waits for what nobody asks"
        forget_one(tmp_path, server.base_url)
        results, _ = generate(batched(server.base_url), tmp_path, [job(2)])
        assert results == [draft(2)]
    assert pending_batches(tmp_path, server.base_url) == 1


def forget_one(folder: Path, base_url: str) -> None:
    """Notes a batch that holds job 2's request, and that the server does not know."""
    given = batched(base_url)
    with open_ledger(folder / "ledger.sqlite") as ledger:
        request = ReplySource(given, Accounting(ledger, given), None).request_for(ask(2), 0, 0)
        lost = ledger.plan_batch(base_url, [request])
        ledger.name_batch(lost.number, "batch_98")


def test_no_server_is_said_plainly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stemma.generator.client.FREE_RETRIES", 0)
    with pytest.raises(
        StageFailed, match=r"the generator's batches cannot be reached \(no connection\)"
    ):
        generate(batched("http://127.0.0.1:9/v1"), tmp_path, [job(1)])
