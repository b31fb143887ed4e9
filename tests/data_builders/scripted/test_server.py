"""The stand-in for the paid API (`server`, `batches` and `faults`) must itself be right."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import RemoteDisconnected
from typing import Any

import openai
import pytest

from data_builders.scripted.faults import Fault, Faults, Json, duration
from data_builders.scripted.server import ScriptedServer, serve
from stemma import ROOT
from stemma.digests import digest_json


def body(prompt: str = "What is 2 + 2?", **further: Any) -> Json:
    return {"model": "m", "messages": [{"role": "user", "content": prompt}], **further}


def answer(request: Json) -> str:
    return '{"of": "' + request["messages"][0]["content"] + '"}'


@contextmanager
def server(**settings: Any) -> Iterator[tuple[ScriptedServer, openai.OpenAI]]:
    """A running server, and a client that does not retry."""
    with (
        serve(answer, Faults(**settings)) as running,
        openai.OpenAI(base_url=running.base_url, api_key="k", max_retries=0, timeout=5) as client,
    ):
        yield running, client


def post(running: ScriptedServer, value: Any, timeout: float = 5) -> tuple[int, Any, bytes]:
    """Status, headers and body."""
    request = urllib.request.Request(
        f"{running.base_url}/chat/completions", json.dumps(value).encode()
    )
    try:
        with urllib.request.urlopen(request, timeout=timeout) as reply:
            return reply.status, reply.headers, reply.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_request_is_answered_counted_and_billed() -> None:
    with server() as (running, client):
        reply = client.chat.completions.create(**body(max_tokens=9))
        assert reply.choices[0].message.content == '{"of": "What is 2 + 2?"}'
        assert reply.choices[0].finish_reason == "stop"
        assert reply.usage is not None
        assert (
            reply.usage.prompt_tokens,
            reply.usage.completion_tokens,
            reply.usage.total_tokens,
        ) == (4, 7, 11)
        client.chat.completions.create(**body(max_tokens=9))
    once = digest_json(body(max_tokens=9))
    assert running.record.received == running.record.billed == {once: 2}
    assert running.record.requests == [body(max_tokens=9)] * 2
    assert running.record.most_in_flight == 1


def test_it_ends_with_its_block() -> None:
    with server() as (running, _):
        pass
    with pytest.raises(urllib.error.URLError):
        post(running, body())


def test_what_it_does_not_understand_is_a_400() -> None:
    def refuse(_: Json) -> str:
        raise ValueError("the prompt holds no <question>")

    with serve(refuse) as running:
        status, _, text = post(running, body())
        assert (status, json.loads(text)["error"]["message"]) == (
            400,
            "the prompt holds no <question>",
        )
        assert post(running, {"model": "m"})[0] == 400
        assert not running.record.billed


def test_faults_are_drawn_from_seed_body_and_attempt_in_the_shares_asked_for() -> None:
    faults = Faults(seed=1, shares={"429": 0.02, "5xx": 0.01, "malformed": 0.01})
    drawn = [faults.draw(str(n), 0)[0] for n in range(10_000)]
    assert 150 < drawn.count("429") < 250
    assert 70 < drawn.count("5xx") < 130
    assert 70 < drawn.count("malformed") < 130
    assert drawn == [faults.draw(str(n), 0)[0] for n in range(10_000)]
    assert drawn != [faults.draw(str(n), 1)[0] for n in range(10_000)]
    assert drawn != [Faults(seed=2, shares=faults.shares).draw(str(n), 0)[0] for n in range(10_000)]


def test_latency_is_log_normal() -> None:
    faults = Faults(median_seconds=0.3, sigma=0.5)
    seconds = sorted(faults.latency(faults.draw(str(n), 0)[1]) for n in range(2_001))
    assert 0.28 < seconds[1000] < 0.32
    assert 0.45 < seconds[1682] < 0.55  # one sigma above: 0.3 · e^0.5 = 0.495


@pytest.mark.parametrize(
    ("fault", "content", "finish_reason"),
    [
        ("refusal", {None}, "stop"),
        ("length", {'{"of": "What'}, "length"),
        ("empty", {None, ""}, "stop"),
    ],
)
def test_faults_of_the_text_are_billed(
    fault: Fault, content: set[str | None], finish_reason: str
) -> None:
    with server(shares={fault: 1.0}) as (running, client):
        choices = [client.chat.completions.create(**body()).choices[0] for _ in range(8)]
    assert {choice.message.content for choice in choices} == content
    assert {choice.finish_reason for choice in choices} == {finish_reason}
    assert {choice.message.refusal for choice in choices} == (
        {"I cannot help with that."} if fault == "refusal" else {None}
    )
    assert running.record.billed.total() == running.record.faults[fault] == 8


def test_garbage_befalls_only_replies_that_must_be_json() -> None:
    with server(shares={"garbage": 1.0}) as (_, client):
        cut = client.chat.completions.create(**body(response_format={"type": "json_object"}))
        assert cut.choices[0].message.content == '{"of": "What'
        assert (
            client.chat.completions.create(**body()).choices[0].message.content
            == '{"of": "What is 2 + 2?"}'
        )


def test_faults_of_the_connection_are_not_billed() -> None:
    with server(shares={"5xx": 1.0}) as (running, _):
        assert {post(running, body())[0] for _ in range(20)} == {500, 502, 503}
    assert not running.record.billed
    with server(shares={"malformed": 1.0}) as (running, _):
        pages = [post(running, body()) for _ in range(20)]
    assert {status for status, _, _ in pages} == {200}
    starts = {page[:6] for _, _, page in pages}
    assert starts == {b"<html>", b'{"id":'}
    for _, _, page in pages:
        with pytest.raises(json.JSONDecodeError):
            json.loads(page)
    assert not running.record.billed
    with server(shares={"silent": 1.0}) as (running, _):
        with pytest.raises(TimeoutError):
            post(running, body(), timeout=0.1)
        wait_until(lambda: running.record.in_flight == 0)
        assert running.record.faults == {"silent": 1}
    assert not running.record.billed
    broken = (ConnectionResetError, RemoteDisconnected, urllib.error.URLError)
    with server(shares={"reset": 1.0}) as (running, _), pytest.raises(broken):
        post(running, body())
    assert not running.record.billed


def test_a_client_that_left_is_billed_all_the_same() -> None:
    with server(median_seconds=0.7) as (running, _):
        with pytest.raises(TimeoutError):
            post(running, body(), timeout=0.1)
        assert (running.record.in_flight, running.record.billed.total()) == (1, 0)
        wait_until(lambda: running.record.in_flight == 0)
        assert running.record.billed.total() == 1


def test_a_chance_429_says_when_to_come_again() -> None:
    with server(shares={"429": 1.0}) as (running, _):
        status, headers, text = post(running, body())
    assert (status, headers["retry-after"], headers["retry-after-ms"]) == (429, "1", "201")
    assert json.loads(text)["error"]["code"] == "rate_limit_exceeded"
    assert (running.record.over_cap, running.record.faults["429"]) == (0, 1)


def test_requests_over_the_cap_are_refused_until_the_bucket_refills() -> None:
    with server(requests_per_minute=60, burst_seconds=3) as (running, _):  # 1 a second, 3 at once
        replies = [post(running, body()) for _ in range(4)]
        assert [status for status, _, _ in replies] == [200, 200, 200, 429]
        first, last = replies[0][1], replies[-1][1]
        assert (first["x-ratelimit-limit-requests"], first["x-ratelimit-remaining-requests"]) == (
            "60",
            "2",
        )
        assert first["x-ratelimit-reset-requests"].endswith(("ms", "1s"))
        assert last["x-ratelimit-remaining-requests"] == "0"
        assert 0 < int(last["retry-after-ms"]) <= 1001
        assert b"requests per min (RPM): Limit 60" in replies[-1][2]
        time.sleep(int(last["retry-after-ms"]) / 1000)
        assert post(running, body())[0] == 200
    assert (running.record.over_cap, len(running.record.admitted)) == (1, 4)


def test_tokens_are_capped_by_what_a_request_may_write() -> None:
    with server(tokens_per_minute=600, burst_seconds=10) as (
        running,
        _,
    ):  # 100 at once; a prompt is 4
        status, headers, _ = post(running, body(max_tokens=90))
        left = (headers["x-ratelimit-limit-tokens"], headers["x-ratelimit-remaining-tokens"])
        assert (status, left) == (200, ("600", "6"))
        status, _, text = post(running, body(max_completion_tokens=90))
        assert (status, b"tokens per min (TPM)" in text) == (429, True)


def test_a_day_s_cap_takes_over_the_request_headers() -> None:
    with server(requests_per_day=10_000, requests_per_minute=600) as (running, _):
        headers = post(running, body())[1]
    assert (headers["x-ratelimit-limit-requests"], headers["x-ratelimit-remaining-requests"]) == (
        "10000",
        "9999",
    )
    assert 8.5 < float(headers["x-ratelimit-reset-requests"].removesuffix("s")) <= 8.64


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0ms"),
        (0.0111, "12ms"),
        (1, "1s"),
        (8.64, "8.64s"),
        (360, "6m0s"),
        (61.2, "1m2s"),
        (3723, "1h2m3s"),
    ],
)
def test_durations_are_written_as_openai_writes_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def send_batch(client: openai.OpenAI, *ids: str) -> Any:
    lines = [
        {"custom_id": name, "method": "POST", "url": "/v1/chat/completions", "body": body(f"q{n}")}
        for n, name in enumerate(ids)
    ]
    data = "".join(json.dumps(line) + "\n" for line in lines).encode()
    file = client.files.create(file=("batch.jsonl", data), purpose="batch")
    assert (file.bytes, file.purpose, file.status) == (len(data), "batch", "processed")
    return client.batches.create(
        input_file_id=file.id,
        endpoint="/v1/chat/completions",
        completion_window="24h",
        metadata={"run": ids[0]},
    )


def finished(client: openai.OpenAI, batch: Any) -> Any:
    wait_until(lambda: client.batches.retrieve(batch.id).status != "in_progress")
    return client.batches.retrieve(batch.id)


def lines(client: openai.OpenAI, file_id: str | None) -> list[Json]:
    assert file_id
    return [json.loads(line) for line in client.files.content(file_id).text.splitlines()]


def test_a_batch_is_worked_through_after_a_while() -> None:
    with server(batch_seconds=0.1) as (running, client):
        batch = send_batch(client, "a", "b", "c", "d", "e")
        assert (batch.status, batch.metadata, running.record.billed) == (
            "in_progress",
            {"run": "a"},
            {},
        )
        batch = finished(client, batch)
        done = lines(client, batch.output_file_id)
    assert (batch.status, batch.error_file_id) == ("completed", None)
    assert (
        batch.request_counts.total,
        batch.request_counts.completed,
        batch.request_counts.failed,
    ) == (5, 5, 0)
    assert [line["custom_id"] for line in done] != ["a", "b", "c", "d", "e"]  # no order is promised
    texts = {
        line["custom_id"]: line["response"]["body"]["choices"][0]["message"]["content"]
        for line in done
    }
    assert texts == {name: f'{{"of": "q{n}"}}' for n, name in enumerate("abcde")}
    assert running.record.billed == {digest_json(body(f"q{n}")): 1 for n in range(5)}


def test_errors_of_a_batch_lie_in_a_file_of_their_own_and_are_not_billed() -> None:
    with server(shares={"5xx": 0.5}) as (running, client):
        batch = finished(client, send_batch(client, *map(str, range(20))))
        good, bad = lines(client, batch.output_file_id), lines(client, batch.error_file_id)
    assert len(good) + len(bad) == 20
    assert good
    assert bad
    assert {line["response"]["status_code"] for line in bad} == {500}
    assert (batch.request_counts.completed, batch.request_counts.failed) == (len(good), len(bad))
    assert running.record.billed.total() == len(good)


def test_a_batch_may_expire_half_done() -> None:
    with server(batch_expires_after=2) as (running, client):
        batch = finished(client, send_batch(client, "a", "b", "c"))
        assert batch.status == "expired"
        assert {line["custom_id"] for line in lines(client, batch.output_file_id)} == {"a", "b"}
        [late] = lines(client, batch.error_file_id)
    assert (late["custom_id"], late["response"], late["error"]["code"]) == (
        "c",
        None,
        "batch_expired",
    )
    assert running.record.billed.total() == 2


def test_a_batch_with_an_id_twice_fails_and_unknown_ids_are_errors() -> None:
    with server() as (running, client):
        batch = send_batch(client, "a", "a")
        assert (batch.status, batch.errors.data[0].code) == ("failed", "duplicate_custom_id")
        with pytest.raises(openai.NotFoundError, match="No such Batch object"):
            client.batches.retrieve("batch_9")
        with pytest.raises(openai.NotFoundError, match="No such File object"):
            client.files.content("file-9")
        with pytest.raises(openai.BadRequestError, match="Invalid 'input_file_id'"):
            client.batches.create(
                input_file_id="file-9", endpoint="/v1/chat/completions", completion_window="24h"
            )
    assert not running.record.received


def test_batches_are_listed_newest_first_in_pages() -> None:
    with server() as (_, client):
        for name in "abc":
            send_batch(client, name)
        page = client.batches.list(limit=2)
        assert [batch.metadata for batch in page.data] == [{"run": "c"}, {"run": "b"}]
        assert [batch.metadata for batch in page] == [{"run": "c"}, {"run": "b"}, {"run": "a"}]


def test_as_a_process_it_prints_its_url_and_tells_its_record() -> None:
    faults = '{"shares": {"5xx": 1.0}, "requests_per_minute": 60}'
    command = [sys.executable, "-m", "data_builders.scripted.server", "--faults", faults]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        base_url = process.stdout.readline().strip()
        try:
            with (
                openai.OpenAI(base_url=base_url, api_key="k", max_retries=0) as client,
                pytest.raises(openai.InternalServerError),
            ):
                client.chat.completions.create(**body())
            with urllib.request.urlopen(
                base_url.removesuffix("/v1") + "/stats", timeout=5
            ) as reply:
                stats = json.loads(reply.read())
        finally:
            process.terminate()
    assert (stats["received"], stats["billed"], stats["faults"]) == (
        {digest_json(body()): 1},
        {},
        {"5xx": 1},
    )
    assert (len(stats["admitted"]), stats["over_cap"], stats["in_flight"]) == (1, 0, 0)
