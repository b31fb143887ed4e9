"""Servers that are not there, refuse, give no scores or wrong ones, and die in the middle."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from eval.run import run
from eval.servers.ready import check
from stemma.errors import StageFailed, UserError
from stemma.jsonl import read_dicts, read_json
from stemma.recipe.eval_servers import EvalServer
from stemma.recipe.eval_tasks import GenerationTask, McqTask
from stemma.rows import McqRow
from stemma.stages import Work
from stemma.templates import Template, rendered_choices
from tests.eval.servers.tiny_server import Answer, TinyServer, as_bytes, log_prob, serving
from tests.factories.models import TEMPLATE
from tests.factories.run_to_score import make_recipe, make_work

GENERATION = GenerationTask(task="generation")
MCQ = McqTask(task="mcq")
NO_CHOICE = 200, as_bytes({"choices": [], "model": "tiny"})
ERROR = 500, b"{}"


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVED_KEY", "sk-of-the-test-1234567890")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def served(base_url: str, *tasks: str, model: str = "tiny") -> dict[str, Any]:
    return {
        "base_url": base_url,
        "model": model,
        "api_key_env": "SERVED_KEY",
        "tasks": list(tasks) or ["generation"],
    }


def checked(server: TinyServer, *tasks: Any, model: str = "tiny") -> None:
    """Raises what is wrong with the server, as a recipe's check before measuring does."""
    with serving(server) as base_url:
        settings = EvalServer.model_validate(served(base_url, model=model))
        check("served", settings, tasks or [GENERATION, MCQ], Template.read(TEMPLATE))


def test_servers_that_are_well_pass() -> None:
    checked(TinyServer())
    checked(TinyServer(adds_bos=True))
    checked(TinyServer(models=[]))
    checked(TinyServer(intercept=lambda path, _: (404, b"{}") if "models" in path else None))


@pytest.mark.parametrize(
    ("server", "found"),
    [
        (TinyServer(splits_special=True), "does not begin with exactly one BOS"),
        (TinyServer(scores=lambda *_: -1.0), "scores do not depend on the answer"),
        (
            TinyServer(scores=lambda _, token: log_prob("", token)),
            "scores do not depend on the question",
        ),
        (TinyServer(scores=lambda before, token: 2 + log_prob(before, token)), "is above 0"),
        (TinyServer(shifted=True), "not the likeliest by its own scores"),
        (TinyServer(scores=lambda *_: float("nan")), "no numbers"),
    ],
)
def test_scores_that_are_not_of_the_text_are_refused(server: TinyServer, found: str) -> None:
    with pytest.raises(StageFailed, match=found) as caught:
        checked(server, MCQ)
    assert str(caught.value).startswith("eval: server `served`: ")


def test_a_server_that_is_not_there_is_told_at_once() -> None:
    settings = EvalServer.model_validate(served("http://127.0.0.1:1/v1"))
    with pytest.raises(StageFailed, match=r"cannot be reached \(no connection\); is the server"):
        check("served", settings, [GENERATION], Template.read(TEMPLATE))


def test_a_server_without_scores_is_told_what_to_do() -> None:
    with pytest.raises(UserError) as caught:
        checked(TinyServer(without_scores=True))
    [problem] = caught.value.problems
    assert problem.where == "eval.servers.served"
    assert "no log-probabilities" in problem.found
    assert "leave only `generation` in eval.servers.served.tasks" in problem.hint
    checked(TinyServer(without_scores=True), GENERATION)


def test_an_unknown_model_is_told_with_the_known_ones() -> None:
    with pytest.raises(UserError) as caught:
        checked(TinyServer(models=[{"id": "tinny"}, {"id": "other"}]))
    [problem] = caught.value.problems
    assert "has no model `tiny`" in problem.found
    assert (problem.expected, problem.hint) == (
        "one of `tinny`, `other`",
        "did you mean `tinny`?",
    )


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        ((401, b"{}"), r"refused the key \(HTTP 401\)"),
        ((404, b"{}"), r"check server.base_url and server.model"),
        (NO_CHOICE, r"no answer \(no completion\)"),
        (ERROR, r"no answer \(server error\)"),
        ((200, b"<html>"), r"no answer \(no completion\)"),
        ((299, b'{"choices": ['), r"no answer \(no connection\)"),
    ],
)
def test_replies_that_are_none_are_told(answer: Answer, found: str) -> None:
    faulty = TinyServer(intercept=lambda path, _: answer if "chat" in path else None)
    with pytest.raises((StageFailed, UserError), match=found) as caught:
        checked(faulty)
    assert "served" in str(caught.value)
    assert "1234567890" not in str(caught.value)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Work:
    recipe = make_recipe(
        ["served"], [{"task": "generation"}], servers={"served": served("http://x")}
    )
    return make_work(tmp_path_factory.mktemp("run"), recipe, rows=40)


def asking(made: Work, tmp_path: Path, base_url: str, *tasks: dict[str, Any]) -> Work:
    if not (tmp_path / "small").exists():
        shutil.copytree(made.run.root, tmp_path / "small")
    names = [task["task"] for task in tasks]
    settings = served(base_url, *names) | {"concurrency": 2}
    recipe = make_recipe(["served"], list(tasks), servers={"served": settings})
    return replace(made, run=type(made.run)(tmp_path / "small"), recipe=recipe)


def test_a_server_that_dies_in_the_middle_costs_what_is_in_flight(
    made: Work, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One request of the check comes first; from the 21st reply on it answers no more."""
    tasks = [{"task": "generation", "max_new_tokens": 9}]
    server = TinyServer(intercept=lambda path, n: ERROR if "chat" in path and n > 21 else None)
    with serving(server) as base_url:
        work = asking(made, tmp_path, base_url, *tasks)
        with pytest.raises(StageFailed, match=r"row s\d+: the server gave no answer") as caught:
            run(work)
        assert "Traceback" not in str(caught.value)
        kept = [
            record
            for path in tmp_path.glob("measured/generation-*/*.jsonl")
            for record in read_dicts(path)
        ]
        assert len(kept) == 20
        server.intercept = lambda *_: None
        server.asked.clear()
        run(work)
        assert server.asked["/v1/chat/completions"] == 1 + 20
    found = read_dicts(work.folder / "samples/served/generation.jsonl")
    assert [row["id"] for row in found] == [f"s{place}" for place in range(40)]
    assert {row["stopped"] for row in found} == {True}


def test_empty_and_filtered_replies_are_replies(made: Work, tmp_path: Path) -> None:
    empty = {"message": {"content": ""}, "finish_reason": "stop"}
    blocked = {"error": {"code": "content_filter", "message": "no"}}

    def other(path: str, number: int) -> Answer | None:
        if "chat" not in path or number == 1:
            return None
        return (200, as_bytes({"choices": [empty]})) if number % 2 else (400, as_bytes(blocked))

    with serving(TinyServer(intercept=other)) as base_url:
        work = asking(made, tmp_path, base_url, {"task": "generation", "limit": 6})
        run(work)
    found = read_dicts(work.folder / "samples/served/generation.jsonl")
    assert [row["reply"] for row in found] == [""] * 6
    assert sorted(row["stopped"] for row in found) == [False] * 3 + [True] * 3


def test_what_the_moment_changes_is_no_part_of_the_key_and_another_model_is(
    made: Work, tmp_path: Path
) -> None:
    server = TinyServer(models=[{"id": "tiny", "root": "one"}])
    with serving(server) as base_url:
        work = asking(made, tmp_path, base_url, {"task": "mcq", "limit": 4})
        run(work)
        before = server.asked["/v1/completions"]
        server.asked.clear()
        run(work)
        assert server.asked["/v1/completions"] < before / 2  # the check's own
        server.models = [{"id": "tiny", "root": "another"}]
        server.asked.clear()
        run(work)
        assert server.asked["/v1/completions"] >= before
    assert read_json(work.folder / "results.json")


def test_log_probs_are_the_sums_over_the_answer(made: Work, tmp_path: Path) -> None:
    with serving(TinyServer(adds_bos=True)) as base_url:
        work = asking(made, tmp_path, base_url, {"task": "mcq", "limit": 3})
        run(work)
    template = Template.read(TEMPLATE)
    rows = {row["id"]: row for row in read_dicts(work.input("data", "mcq/test"))}
    for sample in read_dicts(work.folder / "samples/served/mcq.jsonl"):
        text = rendered_choices(McqRow.model_validate(rows[sample["id"]]), template)
        for letter, answer in zip("ABCD", text.answers, strict=True):
            expected = sum(
                log_prob(text.prompt + answer[:place], token) for place, token in enumerate(answer)
            )
            assert sample["log_probs"][letter] == pytest.approx(expected)
