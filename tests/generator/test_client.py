from __future__ import annotations

import asyncio
import logging
import socket
import time
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from stemma.errors import StageFailed, UserError
from stemma.generator.client import ModelServer, RetryableError, connect, read_key, response_format
from stemma.generator.requests import ChatRequest, Completion, TokenUsage
from stemma.recipe.generator import Generator
from tests.generator import loopback

KEY = "sk-very-secret-0123456789"
REQUEST = ChatRequest(
    "k", {"model": "m", "messages": [{"role": "user", "content": "Why?"}], "odd": [1]}
)


def settings(base_url: str | None, seconds: float = 5.0) -> Generator:
    return Generator(base_url=base_url, model="m", api_key_env="TEST_KEY", timeout_seconds=seconds)


def complete(base_url: str, seconds: float = 5.0) -> Completion:
    async def ask() -> Completion:
        async with connect(settings(base_url, seconds), ModelServer(base_url, KEY)) as client:
            return (await client.complete(REQUEST))[0]

    return asyncio.run(ask())


def failure(reply: loopback.Reply) -> tuple[Exception, int]:
    """What becomes of a reply, and how often it was asked for."""
    with loopback.serve(lambda _: reply) as (base_url, requests):
        with pytest.raises((RetryableError, UserError, StageFailed)) as caught:
            complete(base_url)
        return caught.value, len(requests)


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def test_a_request_is_sent_as_it_is_and_answered() -> None:
    with loopback.serve(lambda _: loopback.completion("Because.")) as (base_url, requests):
        assert complete(base_url) == Completion(
            "Because.", None, "stop", "m-1", TokenUsage(40, 0, 100)
        )
    assert requests == [REQUEST.body]


@pytest.mark.parametrize(
    ("reply", "reason", "may_be_billed"),
    [
        (loopback.error(429), "rate limit", False),
        (loopback.error(500), "server error", False),
        (loopback.error(503), "server error", False),
        (loopback.error(408), "server error", False),
        ((200, {"Content-Type": "text/html"}, b"<html>Bad gateway</html>"), "no completion", True),
        (
            (200, {"Content-Type": "application/json"}, b'{"choices": [{"mess'),
            "no completion",
            True,
        ),
        (
            (200, {"Content-Type": "application/json"}, b'{"choices": "\xff"}'),
            "no completion",
            True,
        ),
        (loopback.as_json({"error": "none"}), "no completion", True),
    ],
)
def test_what_may_pass_is_told_from_what_will_not(
    reply: loopback.Reply, reason: str, may_be_billed: bool
) -> None:
    error, times = failure(reply)
    assert isinstance(error, RetryableError)
    assert (error.reason, error.may_be_billed, times) == (reason, may_be_billed, 1)


def test_the_headers_of_a_refusal_are_handed_on() -> None:
    error, _ = failure(loopback.error(429, x_ratelimit_limit_requests="500"))
    assert isinstance(error, RetryableError)
    assert (error.headers["retry-after-ms"], error.headers["x-ratelimit-limit-requests"]) == (
        "1",
        "500",
    )


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_is_named_by_its_variable_and_never_shown(status: int) -> None:
    error, _ = failure(loopback.error(status, f"Incorrect API key provided: {KEY}"))
    assert (
        str(error)
        == f"TEST_KEY: the generator refused the key (HTTP {status})\n  expected: a valid key"
    )


@pytest.mark.parametrize(
    "body", [{"code": "insufficient_quota"}, {"type": "insufficient_quota", "code": None}]
)
def test_a_quota_that_is_used_up_is_not_a_pace(body: dict[str, Any]) -> None:
    error, times = failure(
        loopback.as_json({"error": {"message": "You exceeded your quota", **body}}, 429)
    )
    assert isinstance(error, StageFailed)
    assert "quota is used up (HTTP 429, insufficient_quota); answers so far are kept" in str(error)
    assert times == 1


def test_a_refused_request_says_what_the_server_said() -> None:
    error, _ = failure(loopback.error(400, "Unsupported parameter: 'odd'"))
    assert isinstance(error, UserError)
    assert str(error).startswith("data.generator: the server refused a request (HTTP 400): ")
    assert "Unsupported parameter: 'odd'" in str(error)
    assert str(error).endswith("hint: check generator.parameters")
    assert "check generator.base_url and generator.model" in str(failure(loopback.error(404))[0])


def test_the_key_is_taken_out_of_the_servers_words() -> None:
    error, _ = failure(loopback.error(400, f"bad key {KEY}"))
    assert " - bad key (key)\n" in str(error)


@pytest.mark.parametrize("text", ["the key sk-very-s*** is", "…6789 and 456789"])
def test_a_text_that_may_hold_the_key_is_not_shown(text: str) -> None:
    error, _ = failure(loopback.error(400, text))
    assert "(HTTP 400): (its text may hold the key)" in str(error)


def test_neither_the_log_shows_the_key(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        failure(loopback.error(400, f"bad key {KEY}"))
        failure(loopback.error(500, f"your key is {KEY}", x_key=KEY))
    assert caplog.records, "the client and its transport do log"
    assert [record.getMessage() for record in caplog.records if KEY in record.getMessage()] == []


def test_a_prompt_that_the_server_refuses_is_an_answer() -> None:
    body = {
        "error": {
            "message": "too long",
            "type": "invalid_request_error",
            "code": "context_length_exceeded",
        }
    }
    with loopback.serve(lambda _: loopback.as_json(body, 400)) as (base_url, _):
        assert complete(base_url).problem() == "reply refused"


def test_a_redirect_is_not_followed() -> None:
    with loopback.serve(lambda _: loopback.completion("elsewhere")) as (other, elsewhere):
        error, _ = failure((307, {"Location": f"{other}/chat/completions"}, b""))
        assert str(error) == "data.generator.base_url: HTTP 307: a redirect, which is not followed"
        assert elsewhere == []


def test_no_server_is_no_bill_and_a_silent_one_may_be() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        base_url = f"http://127.0.0.1:{silent.getsockname()[1]}/v1"
        with pytest.raises(RetryableError) as caught:
            complete(base_url)
        assert (caught.value.reason, caught.value.may_be_billed) == ("no connection", False)
        silent.listen()
        with pytest.raises(RetryableError) as caught:
            complete(base_url, seconds=0.2)
        assert (caught.value.reason, caught.value.may_be_billed) == ("time-out", True)


def test_a_reply_that_trickles_in_is_given_its_time_in_all() -> None:
    def trickle(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
        for _ in range(20):
            time.sleep(0.05)
            connection.sendall(b" ")

    with socket.create_server(("127.0.0.1", 0)) as server:

        async def both() -> None:
            loop = asyncio.get_running_loop()
            base_url = f"http://127.0.0.1:{server.getsockname()[1]}/v1"
            served = loop.run_in_executor(None, lambda: trickle(server.accept()[0]))
            async with connect(settings(base_url, 0.3), ModelServer(base_url, KEY)) as client:
                with pytest.raises(RetryableError, match="time-out"):
                    await client.complete(REQUEST)
            served.cancel()

        begun = time.monotonic()
        asyncio.run(both())
    assert time.monotonic() - begun < 0.8


def test_no_key_is_said_plainly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TEST_KEY", raising=False)
    with pytest.raises(UserError, match="environment variable TEST_KEY: not set"):
        read_key("TEST_KEY")
    monkeypatch.setenv("TEST_KEY", " x\n")
    assert read_key("TEST_KEY") == "x"


@pytest.mark.parametrize("key", ["sk-one sk-two", "sk-é", "sk-\x7f1"])
def test_what_cannot_be_a_key_is_refused_unseen(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_KEY", key)
    with pytest.raises(UserError, match="TEST_KEY: holds characters that no key has") as caught:
        read_key("TEST_KEY")
    assert key not in str(caught.value)


class _Choice(BaseModel):
    overall: Literal["A", "B"]
    why: str = "-"


def test_json_is_asked_for_as_the_server_wants_it() -> None:
    strict = response_format(_Choice, "schema")["json_schema"]
    assert (strict["name"], strict["strict"]) == ("Choice", True)
    assert strict["schema"]["required"] == ["overall", "why"]
    assert strict["schema"]["additionalProperties"] is False
    assert response_format(_Choice, "object") == {
        "type": "json_object",
        "schema": _Choice.model_json_schema(),
    }
