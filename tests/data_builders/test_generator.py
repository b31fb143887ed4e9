from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from data_builders.generator import Journal, Reply, connect
from stemma.errors import StageFailed, UserError
from stemma.recipe import Generator
from tests.data_builders import loopback

KEY = "sk-very-secret-0123456789"


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_KEY", KEY)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def ask(reply: loopback.Reply, folder: Path, times: int = 1) -> tuple[list[Reply], list[dict[str, Any]]]:
    """What the writer makes of a server that always gives `reply`, and the requests that server got."""
    with loopback.serve(lambda _: reply) as (base_url, requests):
        settings = Generator(base_url=base_url, model="m", api_key_env="TEST_KEY", temperature=0.5, max_tokens=9)
        with connect(settings, folder / "journal.jsonl", 42) as writer:
            return [writer.ask("Why?", seed=3) for _ in range(times)], requests


def test_an_answer_is_asked_for_once_and_then_comes_from_the_journal(tmp_path: Path) -> None:
    replies, requests = ask(loopback.completion(" Because. "), tmp_path, times=2)
    assert replies == [Reply("Because."), Reply("Because.")]
    assert requests == [
        {
            "model": "m",
            "messages": [{"role": "user", "content": "Why?"}],
            "temperature": 0.5,
            "max_tokens": 9,
            "seed": 3,
        }
    ]
    replies, requests = ask(loopback.completion("another"), tmp_path)
    assert (replies, requests) == ([Reply("Because.")], [])


@pytest.mark.parametrize(
    ("reply", "problem"),
    [
        (loopback.completion(None), "no text in the reply"),
        (loopback.completion("  "), "empty reply"),
        (loopback.completion("half an ans", "length"), "reply not finished (length)"),
        (loopback.completion("", "content_filter"), "reply not finished (content_filter)"),
        (loopback.as_json({"id": "1", "choices": []}), "no text in the reply"),
        (loopback.as_json({"id": "1", "choices": None}), "no text in the reply"),
    ],
)
def test_replies_that_are_no_answer_are_told_apart(reply: loopback.Reply, problem: str, tmp_path: Path) -> None:
    assert ask(reply, tmp_path)[0] == [Reply("", problem)]


@pytest.mark.parametrize("content_type", ["application/json", "text/html"])
def test_a_web_page_stops_the_stage_and_is_not_kept(content_type: str, tmp_path: Path) -> None:
    with pytest.raises(StageFailed, match=r"sent no chat completion; check generator\.base_url"):
        ask((200, {"Content-Type": content_type}, b"<html>hello</html>"), tmp_path)
    assert (tmp_path / "journal.jsonl").read_bytes() == b""


def test_a_refused_key_is_named_by_its_variable_and_never_shown(tmp_path: Path) -> None:
    body = {"error": {"message": f"Incorrect API key provided: {KEY}", "code": "invalid_api_key"}}
    with pytest.raises(UserError) as caught:
        ask(loopback.as_json(body, 401), tmp_path)
    assert str(caught.value) == "TEST_KEY: the generator refused the key (HTTP 401)\n  expected: a valid key"
    assert KEY not in (tmp_path / "journal.jsonl").read_text()


def test_a_broken_server_is_asked_three_times_and_no_more(tmp_path: Path) -> None:
    counted = []

    def fail(request: dict[str, Any]) -> loopback.Reply:
        counted.append(request)
        return loopback.as_json({"error": {"message": KEY}}, 500)

    with loopback.serve(fail) as (base_url, _):
        settings = Generator(base_url=base_url, model="m", api_key_env="TEST_KEY")
        with connect(settings, tmp_path / "j", 42) as writer, pytest.raises(StageFailed) as caught:
            writer.ask("Why?", seed=3)
    assert len(counted) == 3
    assert "HTTP 500 (InternalServerError); answers so far are kept" in str(caught.value)
    assert KEY not in str(caught.value)


def test_a_redirect_is_not_followed(tmp_path: Path) -> None:
    with loopback.serve(lambda _: loopback.completion("elsewhere")) as (other, elsewhere):
        with pytest.raises(StageFailed, match="HTTP 307"):
            ask((307, {"Location": f"{other}/chat/completions"}, b""), tmp_path)
        assert elsewhere == []


def test_no_server_and_no_key_are_said_plainly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        settings = Generator(
            base_url=f"http://127.0.0.1:{unused.getsockname()[1]}/v1", model="m", api_key_env="TEST_KEY"
        )
        with connect(settings, tmp_path / "j", 42) as writer, pytest.raises(StageFailed, match="cannot be reached"):
            writer.ask("Why?", seed=3)
    monkeypatch.delenv("TEST_KEY")
    with (
        pytest.raises(UserError, match="environment variable TEST_KEY: not set"),
        connect(settings, tmp_path / "j", 42),
    ):
        pass


def test_answers_survive_and_a_torn_last_line_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    journal = Journal(path)
    journal.add("one", {"text": "1"})
    journal.add("two", {"text": "2\n"})
    journal.close()
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"key": "three", "ans')
    again = Journal(path)
    assert again.find("one") == {"text": "1"}
    assert again.find("two") == {"text": "2\n"}
    assert again.find("three") is None
    again.add("three", {"text": "3"})
    again.close()
    assert path.read_bytes() == whole + b'{"key": "three", "answer": {"text": "3"}}\n'
