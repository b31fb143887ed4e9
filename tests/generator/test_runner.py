from __future__ import annotations

import json
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from data_builders.flow import Draft
from data_builders.scripted.faults import Faults
from data_builders.scripted.server import ScriptedServer, serve
from stemma import ROOT
from stemma.errors import UserError
from stemma.generator import runner
from stemma.generator.client import server_of
from stemma.generator.jobs import Ask, ChatMessage
from stemma.generator.runner import open_runner
from stemma.recipe.generator import Generator
from tests.generator import loopback
from tests.generator.example_jobs import KEY, generate, job, settings

JOBS = 80
AT_ONCE = 6
SCRIPT = f"""
import sys
from pathlib import Path
from stemma.generator import batch
from stemma.generator.ledger import Ledger
from tests.generator.example_jobs import generate, job, settings
base_url, folder, mode, die = sys.argv[1:]
batch.POLL_SECONDS = 0.05
if die == "unnamed":
    import os, signal
    Ledger.name_batch = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
given = settings(base_url, mode=mode, concurrency={AT_ONCE})
results, totals = generate(given, Path(folder), map(job, range({JOBS})))
found = sorted(result.row["texts"][0] for result in results)
print(found == sorted(f"{{n}}!" for n in range({JOBS})), totals["sent"])
"""


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_KEY", KEY)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def echo(body: dict[str, Any]) -> str:
    return f"{body['messages'][-1]['content']}!"


def start(
    server: ScriptedServer, folder: Path, mode: str = "sync", die: str = ""
) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", SCRIPT, server.base_url, str(folder), mode, die]
    return subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def finish(process: subprocess.Popen[str]) -> str:
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    return output.strip()


def kill_when(process: subprocess.Popen[str], reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not reached():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.002)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    process.communicate()


def keys_in_ledger(folder: Path) -> list[tuple[str, int]]:
    connection = sqlite3.connect(folder / "ledger.sqlite")
    try:
        return connection.execute("SELECT key, count(*) FROM replies GROUP BY key").fetchall()
    finally:
        connection.close()


@pytest.mark.slow
def test_after_kills_only_what_was_in_flight_is_sent_again(tmp_path: Path) -> None:
    kills = sorted(random.Random().sample(range(5, JOBS - 5), 3))
    with serve(echo, Faults(median_seconds=0.05, sigma=0.5)) as server:
        for count in kills:
            kill_when(
                start(server, tmp_path), lambda count=count: len(server.record.billed) >= count
            )  # type: ignore[misc]
        assert finish(start(server, tmp_path)).startswith("True ")
    received = server.record.received
    assert len(received) == JOBS, "every request came"
    again = sum(received.values()) - JOBS
    assert again <= AT_ONCE * len(kills), kills
    assert max(received.values()) <= 1 + len(kills)
    found = keys_in_ledger(tmp_path)
    assert (len(found), {count for _, count in found}) == (JOBS, {1}), "0 lost, 0 doubled"


@pytest.mark.slow
def test_after_a_kill_a_batch_is_waited_for_and_not_bought_again(tmp_path: Path) -> None:
    with serve(echo, Faults(batch_seconds=2.0)) as server:
        process = start(server, tmp_path, "batch")
        kill_when(process, lambda: batches(server) == 1)
        assert finish(start(server, tmp_path, "batch")) == "True 0"
        assert batches(server) == 1
    assert set(server.record.billed.values()) == {1}
    assert len(server.record.billed) == len(keys_in_ledger(tmp_path)) == JOBS


@pytest.mark.slow
def test_a_batch_whose_id_was_never_noted_is_found_by_its_tag(tmp_path: Path) -> None:
    with serve(echo) as server:
        process = start(server, tmp_path, "batch", "unnamed")
        assert process.wait(timeout=30) == -signal.SIGKILL
        process.communicate()
        assert finish(start(server, tmp_path, "batch")) == "True 0"
        assert batches(server) == 1
    assert set(server.record.billed.values()) == {1}


def batches(server: ScriptedServer) -> int:
    with urlopen(f"{server.base_url}/batches") as reply:
        return len(json.load(reply)["data"])


@pytest.mark.slow
def test_ctrl_c_leaves_the_ledger_whole(tmp_path: Path) -> None:
    with serve(echo, Faults(median_seconds=0.05)) as server:
        process = start(server, tmp_path)
        deadline = time.monotonic() + 30
        while len(server.record.billed) < 10:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=10)
        assert "KeyboardInterrupt" in errors
        assert "never retrieved" not in errors
        assert finish(start(server, tmp_path)).startswith("True ")
    assert sum(server.record.received.values()) - JOBS <= AT_ONCE


def test_results_come_in_the_jobs_order(tmp_path: Path) -> None:
    with serve(echo, Faults(median_seconds=0.01, sigma=1.0)) as server:
        results, _ = generate(settings(server.base_url), tmp_path, map(job, range(40)))
    assert results == [Draft(str(n), str(n), {"texts": [f"{n}!"]}) for n in range(40)]


def test_one_runner_serves_many_sources_and_adds_them_up(tmp_path: Path) -> None:
    with serve(echo) as server:
        given = settings(server.base_url)
        with open_runner(given, server_of(given), tmp_path / "l", 42, lambda _: None) as run:
            assert run([]) == []
            assert len(run([job(1), job(2)])) == 2
            assert len(run([job(2), job(3)])) == 2
            totals = run.totals()
    assert (totals["requests"], totals["from_ledger"], totals["sent"]) == (3, 0, 3)


def test_progress_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(runner, "REPORT_SECONDS", 0.2)
    said: list[str] = []
    with serve(echo, Faults(median_seconds=0.5)) as server:
        generate(settings(server.base_url), tmp_path, [job(1)])
        capsys.readouterr()
        generate(settings(server.base_url), tmp_path, [job(1), job(2)], said)
    known = "1 replies from the ledger"
    assert (
        said[0]
        == f"generator: 1 of 2 rows need no request; so far {known}, 0 requests sent, 0.00 USD"
    )
    assert said[-1] == f"generator: 2 rows; so far {known}, 1 requests sent, 0.00 USD"
    [progress] = capsys.readouterr().err.splitlines()
    assert progress.startswith("asking the model: 1 of 2 rows, 50 %, 0 requests, 1 in flight, 0.0")


def test_a_second_process_is_refused(tmp_path: Path) -> None:
    given = settings("http://127.0.0.1:9/v1")
    with (
        open_runner(given, server_of(given), tmp_path / "l", 42, lambda _: None),
        pytest.raises(UserError, match="another process is generating with this ledger"),
        open_runner(given, server_of(given), tmp_path / "l", 42, lambda _: None),
    ):
        pass


def test_the_key_is_in_no_file(tmp_path: Path) -> None:
    replies = iter([loopback.error(429, KEY), loopback.error(500, KEY), loopback.completion("19")])
    with loopback.serve(lambda _: next(replies)) as (base_url, _):
        generate(settings(base_url), tmp_path, [job("Why?")])
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files
    assert [path.name for path in files if KEY.encode() in path.read_bytes()] == []


def test_no_key_is_said_before_anything_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TEST_KEY")
    with pytest.raises(UserError, match="environment variable TEST_KEY: not set"):
        generate(settings("http://nowhere"), tmp_path, [job(1)])


def test_the_scripted_experts_replies_are_no_other_servers(tmp_path: Path) -> None:
    prompt = (ChatMessage("user", "<question>\nWhat is 12 + 7?\n</question>"),)
    texts: list[str] = []

    async def run(writer: Any) -> Draft:
        texts.append((await writer.ask(Ask(prompt, 1))).text)
        return Draft("", "", {})

    expert = Generator(server="scripted-expert", model="m", max_tokens=100)
    with serve(lambda _: "someone else") as server:
        generate(expert, tmp_path, [run])
        _, totals = generate(settings(server.base_url), tmp_path, [run])
    assert totals["from_ledger"] == 0
    assert texts[0] != texts[1] == "someone else"
