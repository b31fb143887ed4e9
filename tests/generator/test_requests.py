from __future__ import annotations

from typing import Any

import pytest

from stemma.generator.requests import (
    Answer,
    Usage,
    estimate_input,
    is_refusal,
    output_limit,
    read_completion,
    refuse_row,
)

REQUEST: dict[str, Any] = {"model": "asked", "messages": [{"role": "user", "content": "12345678"}], "max_tokens": 9}


def body(**changes: Any) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": "19"}, "finish_reason": "stop"}
    return {
        "model": "answered",
        "choices": [choice],
        "usage": {"prompt_tokens": 21, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 5}},
        **changes,
    }


def with_choice(finish_reason: str | None = "stop", **message: Any) -> dict[str, Any]:
    return body(choices=[{"message": message, "finish_reason": finish_reason}])


def test_a_completion_is_read() -> None:
    assert read_completion(body(), REQUEST) == Answer("19", None, "stop", "answered", Usage(21, 5, 2))


def test_tokens_that_the_server_does_not_count_are_estimated() -> None:
    # Four characters a token, and four tokens a message; "19" is one token.
    assert read_completion(body(usage=None, model=None), REQUEST) == Answer("19", None, "stop", "asked", Usage(6, 0, 1))


def test_a_text_in_parts_is_one_text() -> None:
    parts = [{"type": "text", "text": "1"}, {"type": "reasoning"}, {"type": "text", "text": "9"}]
    found = read_completion(with_choice(content=parts), REQUEST)
    assert found is not None
    assert (found.text, found.problem()) == ("19", None)


@pytest.mark.parametrize(
    ("told", "usage"),
    [
        ({"prompt_tokens": 21, "completion_tokens": 2, "prompt_tokens_details": None}, Usage(21, 0, 2)),
        ({"prompt_tokens": 21, "completion_tokens": None}, Usage(21, 0, 1)),
        ({"prompt_tokens": 21}, Usage(21, 0, 1)),
        ({"prompt_tokens": 21, "completion_tokens": 0}, Usage(21, 0, 0)),
        ({"prompt_tokens": 0, "completion_tokens": 0}, Usage(6, 0, 1)),
        ({"prompt_tokens": 5, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 9}}, Usage(5, 5, 2)),
        ({}, Usage(6, 0, 1)),
    ],
)
def test_a_paid_reply_is_not_lost_for_a_bill_that_says_half(told: Any, usage: Usage) -> None:
    found = read_completion(body(usage=told), REQUEST)
    assert found is not None
    assert found.usage == usage


@pytest.mark.parametrize(
    "reply", [None, [], "hello", {}, {"error": {"message": "no"}}, body(choices="none"), body(choices=[{"message": 3}])]
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
    answer = refuse_row("context_length_exceeded", REQUEST)
    assert (answer.problem(), answer.usage) == ("reply refused", Usage(0, 0, 0))


def test_a_requests_size_is_known_before_it_is_sent() -> None:
    assert estimate_input(REQUEST) == 6
    assert output_limit(REQUEST) == 9
    assert output_limit({"max_completion_tokens": 7, "max_tokens": None}) == 7
    assert output_limit({"model": "m"}) is None


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't assist with that request.",
        "I’m sorry, I cannot help with that.",
        "I am sorry, but I am unable to provide an explanation.",
        "Sorry, I can't comply.",
        "I cannot fulfill this request.",
        "I won't be able to assist with this.",
        "Unfortunately, I'm not able to answer that.",
        "As an AI language model, I cannot solve this.",
        "My apologies, but I must decline to answer.",
        "**I apologise for the inconvenience, but I am unable to complete this.**",
        "As a language model, I'm not able to judge.",
        "I'm just an AI, I can't answer that.",
        "Hello! I'm sorry, but I can't help with that.",
        "Thank you for your question, but I cannot help with this request.",
        "It seems I can't assist with that.",
        "I'm sorry, that is not something I can assist with.",
        "I'd prefer not to answer.",
        "I'm not going to help with that.",
        "I do not have the ability to answer this question.",
        "This request violates our usage policies.",
        "I'm sorry, but the question is missing. Could you provide it?",
        "Es tut mir leid, aber ich kann Ihnen dabei nicht helfen.",
        "Lo siento, pero no puedo ayudar con eso.",
    ],
)
def test_a_refusal_in_prose_is_one(text: str) -> None:
    assert is_refusal(text)
    assert Answer(text, None, "stop", "m", Usage(1, 0, 1)).problem() == "reply refused"


@pytest.mark.parametrize(
    "text",
    [
        "I cannot be right, since the sum of II and III is odd.",
        "We cannot conclude that the series converges, so the answer is C.",
        "The enzyme can't help the substrate bind. Answer: B",
        "Sorry for the long derivation: the answer is 19.",
        "I can answer this by symmetry: 4.",
        "I will not only answer but also explain: 19.",
        "19",
        "Unfortunately the reaction cannot provide enough energy.",
        "As an AI winter approached, funding was cut, and expert systems were not able to scale.",
        "I'm sorry to say that option B is wrong: the gas expands.",
        "Sorry, but the answer is B: the gas expands.",
        "I am not able to be zero, since V > 0.",
        "No. I cannot be larger than 3 A.",
        "I'm not going to use the formula. Counting gives 12.",
        "I won't repeat the definition. The answer is newton.",
    ],
)
def test_an_answer_that_sounds_like_one_is_not(text: str) -> None:
    assert not is_refusal(text)
