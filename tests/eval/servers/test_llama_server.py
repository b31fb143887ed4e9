"""A served variant against the same file in-process: a tiny GGUF behind llama-cpp-python's own
server."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from eval.only import measure_only
from eval.run import run
from stemma.errors import StageFailed, UserError
from stemma.jsonl import read_dicts, read_json
from stemma.stages import Work
from tests.factories.run_to_score import make_recipe, make_work
from tests.factories.served import MODEL, llama_server

TASKS: list[dict[str, Any]] = [
    {"task": "mcq", "permute": 1, "generate": True, "max_new_tokens": 6},
    {"task": "preference"},
    {"task": "generation", "max_new_tokens": 12},
    {"task": "divergence", "limit": 2},
]
ALL = ["mcq", "preference", "generation"]
pytestmark = pytest.mark.slow

KEY = "sk-of-the-test-1234567890"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Work:
    return make_work(tmp_path_factory.mktemp("run"), make_recipe(["gguf-F16"], TASKS))


@pytest.fixture(scope="module")
def base_url(made: Work, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    log = tmp_path_factory.mktemp("server") / "log"
    with llama_server(made.input("export", "gguf-F16"), log, logits_all="true", api_key=KEY) as url:
        yield url


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVED_KEY", KEY)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def asking(made: Work, base_url: str, tasks: list[str], said: list[str]) -> Work:
    server = {"base_url": base_url, "model": MODEL, "api_key_env": "SERVED_KEY", "tasks": tasks}
    recipe = make_recipe(["gguf-F16", "served"], TASKS, servers={"served": server})
    return replace(made, recipe=recipe, say=said.append)


def samples(work: Work, task: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Of the file in-process, and of the same behind the server."""
    folder = work.folder / "samples"
    return (
        read_dicts(folder / "gguf-F16" / f"{task}.jsonl"),
        read_dicts(folder / "served" / f"{task}.jsonl"),
    )


def test_a_server_says_what_the_same_file_says_in_process(made: Work, base_url: str) -> None:
    said: list[str] = []
    work = asking(made, base_url, ALL, said)
    result = run(work)
    for one, other in zip(*samples(work, "generation"), strict=True):
        assert {**one, "ids_digest": None} == {**other, "tokens": one["tokens"]}
        assert other["tokens"] - one["tokens"] in (0, -1)  # the stop token is one of ours
    for one, other in zip(*samples(work, "preference"), strict=True):
        for answer in ("chosen", "rejected"):
            name = f"{answer}_log_prob"
            assert other[name] == pytest.approx(one[name], abs=0.05)
            assert other[f"{answer}_tokens"] == one[f"{answer}_tokens"]
    for one, other in zip(*samples(work, "mcq"), strict=True):
        assert other["log_probs"] == pytest.approx(one["log_probs"], abs=0.05)
        assert [order["order"] for order in other["orders"]] == [
            order["order"] for order in one["orders"]
        ]
        for ours, theirs in zip(one["orders"], other["orders"], strict=True):
            assert theirs["log_probs"] == pytest.approx(ours["log_probs"], abs=0.05)
        assert (other["reply"], other["stopped"]) == (one["reply"], one["stopped"])
    assert result.facts["servers"]["served"]["not measured"] == ["divergence"]
    assert not (work.folder / "samples/served/divergence.jsonl").exists()
    verdicts = read_json(work.folder / "verdicts.json")["comparisons"]
    assert "served" not in {one["variant"] for one in verdicts if one["task"] == "divergence"}
    written = [path for path in work.run.root.parent.rglob("*") if path.is_file()]
    assert not [path for path in written if KEY.encode() in path.read_bytes()]
    said.clear()
    run(work)
    assert "eval: served was measured before, kept" in said


def test_a_server_without_scores_is_refused_before_anything_is_measured(
    made: Work, tmp_path: Path
) -> None:
    said: list[str] = []
    gguf = made.input("export", "gguf-F16")
    with llama_server(gguf, tmp_path / "log", logits_all="false", api_key=KEY) as url:
        with pytest.raises((UserError, StageFailed), match=r"no answer \(server error\)"):
            run(asking(made, url, ["mcq"], said))
        assert said == []
        lines = measure_only(asking(made, url, ["generation"], said), ["served"])
        assert lines == ["served/generation: 6 samples are kept"]


def test_a_wrong_key_is_told_without_it(
    made: Work, base_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SERVED_KEY", "sk-another-key-0987654321")
    with pytest.raises(UserError, match=r"refused the key \(HTTP 401\)") as caught:
        run(asking(made, base_url, ["generation"], []))
    assert "0987654321" not in str(caught.value)
