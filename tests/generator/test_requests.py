from __future__ import annotations

from typing import Any

import pytest

from stemma.generator.requests import (
    Completion,
    TokenUsage,
    estimate_input,
    output_limit,
    read_completion,
    refused_completion,
)

REQUEST: dict[str, Any] = {
    "model": "asked",
    "messages": [{"role": "user", "content": "12345678"}],
    "max_tokens": 9,
}


def body(**changes: Any) -> dict[str, Any]:
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": "19"},
        "finish_reason": "stop",
    }
    return {
        "model": "answered",
        "choices": [choice],
        "usage": {
            "prompt_tokens": 21,
            "completion_tokens": 2,
            "prompt_tokens_details": {"cached_tokens": 5},
        },
        **changes,
    }


def with_choice(finish_reason: str | None = "stop", **message: Any) -> dict[str, Any]:
    return body(choices=[{"message": message, "finish_reason": finish_reason}])


def test_a_completion_is_read() -> None:
    assert read_completion(body(), REQUEST) == Completion(
        "19", None, "stop", "answered", TokenUsage(21, 5, 2)
    )


def test_half_of_an_emoji_is_no_reason_to_lose_a_paid_reply() -> None:
    """A reply cut within one, which JSON can hold and UTF-8 (the ledger) cannot."""
    found = read_completion(with_choice(content="It is \ud83d"), REQUEST)
    assert found is not None
    assert found.text == "It is ?"
    whole = read_completion(with_choice(content="It is \U0001f600"), REQUEST)
    assert whole is not None
    assert whole.text == "It is \U0001f600"


def test_tokens_that_the_server_does_not_count_are_estimated() -> None:
    # Four characters a token, and four tokens a message; "19" is one token.
    assert read_completion(body(usage=None, model=None), REQUEST) == Completion(
        "19", None, "stop", "asked", TokenUsage(6, 0, 1)
    )


def test_a_text_in_parts_is_one_text() -> None:
    parts = [{"type": "text", "text": "1"}, {"type": "reasoning"}, {"type": "text", "text": "9"}]
    found = read_completion(with_choice(content=parts), REQUEST)
    assert found is not None
    assert (found.text, found.problem()) == ("19", None)


@pytest.mark.parametrize(
    ("told", "usage"),
    [
        (
            {"prompt_tokens": 21, "completion_tokens": 2, "prompt_tokens_details": None},
            TokenUsage(21, 0, 2),
        ),
        ({"prompt_tokens": 21, "completion_tokens": None}, TokenUsage(21, 0, 1)),
        ({"prompt_tokens": 21}, TokenUsage(21, 0, 1)),
        ({"prompt_tokens": 21, "completion_tokens": 0}, TokenUsage(21, 0, 0)),
        ({"prompt_tokens": 0, "completion_tokens": 0}, TokenUsage(6, 0, 1)),
        (
            {
                "prompt_tokens": 5,
                "completion_tokens": 2,
                "prompt_tokens_details": {"cached_tokens": 9},
            },
            TokenUsage(5, 5, 2),
        ),
        ({}, TokenUsage(6, 0, 1)),
    ],
)
def test_a_paid_reply_is_not_lost_for_a_bill_that_says_half(told: Any, usage: TokenUsage) -> None:
    found = read_completion(body(usage=told), REQUEST)
    assert found is not None
    assert found.usage == usage


@pytest.mark.parametrize(
    "reply",
    [
        None,
        [],
        "hello",
        {},
        {"error": {"message": "no"}},
        body(choices="none"),
        body(choices=[{"message": 3}]),
    ],
)
def test_anything_else_is_no_completion(reply: Any) -> None:
    assert read_completion(reply, REQUEST) is None


@pytest.mark.parametrize(
    ("reply", "problem"),
    [
        (body(), None),
        (body(choices=[]), "reply empty"),
        (body(choices=None), "reply empty"),
        (body(choices=[{"message": None}]), "reply empty"),
        (with_choice(content=None), "reply empty"),
        (with_choice(content="  \n"), "reply empty"),
        (with_choice("length", content="half an ans"), "reply cut off"),
        (with_choice("length", content=""), "reply cut off"),
        (with_choice("content_filter", content=""), "reply refused"),
        (with_choice(content=None, refusal="I cannot."), "reply refused"),
        (with_choice(None, content="19"), "reply not finished (None)"),
        (with_choice("tool_calls", content="19"), "reply not finished (tool_calls)"),
    ],
)
def test_replies_that_are_no_answer_are_told_apart(reply: Any, problem: str | None) -> None:
    answer = read_completion(reply, REQUEST)
    assert answer is not None
    assert answer.problem() == problem


def test_a_refused_prompt_is_free() -> None:
    answer = refused_completion("context_length_exceeded", REQUEST)
    assert (answer.problem(), answer.usage) == ("reply refused", TokenUsage(0, 0, 0))


def test_a_requests_size_is_known_before_it_is_sent() -> None:
    assert estimate_input(REQUEST) == 6
    assert output_limit(REQUEST) == 9
    assert output_limit({"max_completion_tokens": 7, "max_tokens": None}) == 7
    assert output_limit({"model": "m"}) is None
