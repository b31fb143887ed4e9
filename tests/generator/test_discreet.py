"""A server that says back the key it was sent: no trace of it in any file, error or log."""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from data_builders.flow import Draft
from eval.judge.run import judge_variants
from eval.run import run
from stemma import ROOT
from stemma.errors import StageFailed, UserError
from stemma.jsonl import write_json, write_jsonl
from tests.eval.judge.judges import make_work as make_judging
from tests.eval.judge.judges import numbered, samples
from tests.factories.run_to_score import make_recipe, make_work
from tests.generator.echoing import KEY, completion, echoing, traces, traces_below
from tests.generator.example_jobs import generate, job, settings


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_KEY", KEY)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr("stemma.generator.sending.BACKOFF_SECONDS", 0.001)
    monkeypatch.setattr("stemma.generator.sending.REFUSALS", 2)
    monkeypatch.setattr("stemma.generator.sending.FAILURES", 2)
    monkeypatch.setattr("stemma.generator.client.FREE_RETRIES", 0)
    monkeypatch.setattr("stemma.generator.batch.POLL_SECONDS", 0.01)


def test_an_answer_that_holds_the_key_is_kept_without_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    said: list[str] = []
    with (
        caplog.at_level(logging.DEBUG),
        echoing(lambda key, _: (200, completion(f"A {key} Z", model=key))) as (url, _),
    ):
        [draft], totals = generate(settings(url), tmp_path, [job("Why?")], said)
    assert isinstance(draft, Draft)
    text = draft.row["texts"][0]
    assert text.startswith("A (key) ")
    assert text.endswith(" Z")
    assert traces(f"{draft} {totals} {said} {caplog.text}") == []
    assert traces_below(tmp_path) == []
    assert caplog.records


ERRORS: dict[str, Any] = {
    "400": (400, lambda key: {"error": {"message": key, "code": key, "type": key}}),
    "400 numbered": (400, lambda key: {"error": {"message": key, "code": 400}}),
    "400 plain": (400, lambda key: key.encode()),
    "401": (401, lambda key: {"error": {"message": f"Incorrect API key provided: {key}"}}),
    "402": (402, lambda key: {"error": {"message": key, "code": "insufficient_quota"}}),
    "404": (404, lambda key: {"error": {"message": key}}),
    "429": (429, lambda key: {"error": {"message": key}}),
    "500": (500, lambda key: {"error": {"message": key}}),
    "302": (302, lambda key: key.encode()),
    "307": (307, lambda key: key.encode()),
    "308": (308, lambda key: key.encode()),
    "no JSON": (200, lambda key: f"<html>{key}".encode()),
    "refused": (200, lambda key: {"choices": [{"message": {"content": None, "refusal": key}}]}),
    "finished so": (200, lambda key: {"choices": [{"message": {}, "finish_reason": key}]}),
}


@pytest.mark.parametrize("kind", ERRORS)
def test_no_error_nor_dropped_row_holds_the_key(
    kind: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    status, body = ERRORS[kind]
    said: list[str] = []
    told = ""
    with echoing(lambda key, _: (status, body(key))) as (url, _):
        try:
            told = str(generate(settings(url), tmp_path, [job("Why?")], said))
        except (UserError, StageFailed) as error:
            told = str(error)
    assert told
    assert traces(f"{told} {said} {capfd.readouterr()}") == []
    assert traces_below(tmp_path) == []


def batch_server(key: str, body: dict[str, Any]) -> tuple[int, Any]:
    """The Batch API, whose every id, state and line holds the key."""
    path = body["path"]
    if path == "/v1/files":
        lines = [one for one in body["file"].splitlines() if one.startswith('{"custom_id"')]
        batch_server.ids = [json.loads(one)["custom_id"] for one in lines]  # type: ignore[attr-defined]
        return 200, {"id": "input", "object": "file", "filename": key}
    if path.startswith("/v1/files/"):
        [one] = batch_server.ids  # type: ignore[attr-defined]
        reply = {"status_code": 200, "body": completion(f"A {key} Z", model=key)}
        line = {"id": key, "custom_id": one, "response": reply, "error": None}
        return 200, json.dumps(line).encode() + b"\n"
    batch = {"id": "1", "object": "batch", "status": "completed", "errors": None}
    return 200, batch | {"output_file_id": "out", "error_file_id": None, "metadata": {"a": key}}


def test_a_batch_that_holds_the_key_is_kept_without_it(tmp_path: Path) -> None:
    said: list[str] = []
    with echoing(batch_server) as (url, _):
        [draft], totals = generate(settings(url, mode="batch"), tmp_path, [job("Why?")], said)
    assert isinstance(draft, Draft)
    assert draft.row["texts"][0].startswith("A (key) ")
    assert traces(f"{draft} {totals} {said}") == []
    assert traces_below(tmp_path) == []


def failed_batch(key: str, body: dict[str, Any]) -> tuple[int, Any]:
    status, batch = batch_server(key, body)
    if body["path"].startswith("/v1/batches"):
        errors = {"data": [{"code": key, "message": key}], "object": "list"}
        return 200, batch | {"status": "failed", "output_file_id": None, "errors": errors}
    return status, batch


def test_a_batch_that_fails_does_not_tell_the_key(tmp_path: Path) -> None:
    with echoing(failed_batch) as (url, _), pytest.raises(StageFailed) as caught:
        generate(settings(url, mode="batch"), tmp_path, [job("Why?")])
    assert "the batch was failed by the server" in str(caught.value)
    assert traces(str(caught.value)) == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("mode", ["sync", "batch"])
def test_no_redirect_is_followed_with_the_key(tmp_path: Path, status: int, mode: str) -> None:
    with (
        echoing(lambda *_: (200, completion("elsewhere"))) as (other, elsewhere),
        echoing(lambda *_: (status, {"see": other})) as (url, _),
        pytest.raises(UserError, match=f"HTTP {status}: a redirect, which is not followed"),
    ):
        generate(settings(url, mode=mode), tmp_path, [job("Why?")])
    assert elsewhere == []


def served(url: str) -> dict[str, Any]:
    return {"base_url": url, "model": "m", "api_key_env": "TEST_KEY", "tasks": ["generation"]}


@pytest.mark.parametrize("status", [pytest.param(200, marks=pytest.mark.slow), 400, 500])
def test_a_served_variant_leaves_no_trace_of_the_key(
    tmp_path: Path, status: int, capfd: pytest.CaptureFixture[str]
) -> None:
    with echoing(lambda key, _: (status, completion(f"A {key} Z"))) as (url, asked):
        tasks = [{"task": "generation", "limit": 3}]
        recipe = make_recipe(["served"], tasks, servers={"served": served(url)})
        work = make_work(tmp_path, recipe, rows=4)
        if status == 200:
            result = run(work)
            write_json(work.folder / "manifest.json", {"facts": result.facts})
            assert "(key)" in (work.folder / "samples/served/generation.jsonl").read_text()
        else:
            with pytest.raises((UserError, StageFailed)) as caught:
                run(work)
            assert traces(str(caught.value)) == []
    assert "/v1/chat/completions" in asked
    assert traces("".join(capfd.readouterr())) == []
    assert traces_below(tmp_path) == []


def test_an_unknown_model_is_told_without_the_key(tmp_path: Path) -> None:
    listed = {"data": [{"id": KEY}, {"id": f"a {KEY}"}]}
    with echoing(lambda *_: (200, listed), models=False) as (url, _):
        recipe = make_recipe(["served"], [{"task": "generation"}], servers={"served": served(url)})
        with pytest.raises(UserError, match="has no model `m`") as caught:
            run(make_work(tmp_path, recipe, rows=4))
    assert traces(str(caught.value)) == []


def test_a_judge_leaves_no_trace_of_the_key(tmp_path: Path) -> None:
    def judge(key: str, _body: dict[str, Any]) -> tuple[int, Any]:
        return 200, completion(json.dumps({"reason": f"A {key} Z", "verdict": "1"}), model=key)

    replies = numbered(3)
    with echoing(judge) as (url, _):
        generator = {"base_url": url, "model": "m", "api_key_env": "TEST_KEY"}
        work = make_judging(tmp_path, replies, generator)
        found = judge_variants(work, samples(replies))
    write_json(tmp_path / "facts.json", found.facts)
    for name, rows in found.samples.items():
        write_jsonl(tmp_path / f"{name}.jsonl", rows)
        assert any("(key)" in json.dumps(row) for row in rows)
    assert traces(str(work.say.__self__)) == []  # type: ignore[attr-defined]
    assert traces_below(tmp_path) == []


def test_what_is_asked_of_this_machine_goes_through_no_proxy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    with (
        echoing(lambda *_: (200, completion("proxied"))) as (proxy, proxied),
        echoing(lambda *_: (200, completion("direct"))) as (url, asked),
    ):
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.removesuffix("/v1"))
        [draft], _ = generate(settings(url), tmp_path, [job("Why?")])
    assert isinstance(draft, Draft)
    assert draft.row["texts"] == ["direct"]
    assert (proxied, len(asked)) == ([], 1)


FOREIGN = """
import asyncio, sys
from stemma.errors import UserError
from stemma.generator.client import ModelServer, RetryableError, connect
from stemma.generator.requests import ChatRequest
from stemma.recipe.generator import Generator

async def ask(url):
    settings = Generator(base_url=url, model="m", api_key_env="K", timeout_seconds=3.0)
    request = ChatRequest("k", {"model": "m", "messages": [{"role": "user", "content": "?"}]})
    async with connect(settings, ModelServer(url, "KEY")) as client:
        try:
            await client.complete(request)
        except (RetryableError, UserError) as error:
            print(url, error, getattr(error, "reason", ""))

for url in sys.argv[1:]:
    asyncio.run(ask(url))
"""


def test_errors_of_foreign_addresses_show_no_key(tmp_path: Path) -> None:
    """In a network namespace without a route: nothing leaves this machine."""
    unshare = ["unshare", "-rn"]
    if not shutil.which("unshare") or subprocess.run([*unshare, "true"], check=False).returncode:
        pytest.skip("needs the right to make a network namespace without a route (unshare -rn)")
    urls = ["http://10.0.0.5:8000/v1", "http://169.254.169.254/latest", "https://host.invalid/v1"]
    script = FOREIGN.replace("KEY", KEY)
    done = subprocess.run(
        [*unshare, sys.executable, "-c", script, *urls],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ | {"OPENAI_LOG": "debug"},
        check=True,
    )
    assert [line.split()[0] for line in done.stdout.splitlines()] == urls
    assert "no connection" in done.stdout
    assert traces(done.stdout + done.stderr) == []
