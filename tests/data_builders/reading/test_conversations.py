from __future__ import annotations

import json
from typing import Any

import pytest

from data_builders.reading.conversations import (
    NoConversation,
    Turn,
    Unusable,
    answered,
    check_order,
    describe,
    pair,
    spoken,
    turns_of,
)

ASK = Turn("user", "Hi!")
TELL = Turn("assistant", "Hello.")
MESSAGES = [turn.message() for turn in (ASK, TELL)]


@pytest.mark.parametrize(
    "value",
    [
        MESSAGES,
        json.dumps(MESSAGES),
        str(MESSAGES),
        [{"from": "human", "value": "Hi!"}, {"from": "gpt", "value": "Hello."}],
        [
            {"role": "user", "content": [{"type": "text", "text": "Hi!"}]},
            {"role": "assistant", "content": ["Hello."]},
        ],
        "\n\nHuman: Hi!\n\nAssistant: Hello.",
        "Human: Hi!\n\nAssistant:\nHello.",
        "### Human: Hi!\n\n### Assistant: Hello.",
    ],
)
def test_one_conversation_in_many_forms(value: Any) -> None:
    assert turns_of(value, "user") == [ASK, TELL]


def test_a_plain_text_is_one_turn_and_a_prompt_may_end_where_the_answer_begins() -> None:
    assert turns_of(" Hi! ", "user") == [ASK]
    assert turns_of(" ", "user") == []
    assert turns_of({"role": "assistant", "content": "Hello."}, "user") == [TELL]
    assert turns_of("\n\nHuman: Hi!\n\nAssistant:", "user") == [ASK]
    text = "He said\n\nHuman: no\n\nAssistant: yes"
    assert turns_of(text, "assistant") == [Turn("assistant", text)]


@pytest.mark.parametrize(
    "text",
    [
        '[{"id": 1, "role": "user", "content": "Hi!"}]',
        "{'content': 'Hi!', 'role': 'user'}",
        "[{'markdown': None, 'from': 'human', 'value': 'Hi!'}]",
    ],
)
def test_turns_that_were_written_as_text_are_read(text: str) -> None:
    assert turns_of(text, "assistant") == [ASK]


@pytest.mark.parametrize(
    "text", ["{'a': 1}", '{"role": "admin"}', "[{'role': 'x'}, 3]", "{'role': 'user', 'content'"]
)
def test_other_objects_are_texts(text: str) -> None:
    assert turns_of(text, "user") == [Turn("user", text)]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (["a", "b"], "a list of 2"),
        ({"text": "x"}, "an object of text"),
        ([{"role": "narrator", "content": "x"}], "a turn of the role 'narrator'"),
        ([{"role": "user", "content": {"a": 1}}], "a turn whose content is an object of a"),
        (
            [{"role": "user", "content": [{"type": "poem"}]}],
            "a turn with a part that is an object of type",
        ),
        ("[{'role': broken", "a list of turns as text that is neither JSON nor Python"),
        (b"x", "1 bytes"),
    ],
)
def test_what_is_no_conversation_says_what_it_is(value: Any, said: str) -> None:
    with pytest.raises(NoConversation) as caught:
        turns_of(value, "user")
    assert str(caught.value) == said


@pytest.mark.parametrize(
    ("turns", "reason"),
    [
        ([], "no answer in the conversation"),
        ([TELL, ASK], "the assistant speaks first"),
        ([ASK, ASK], "user and assistant do not take turns"),
        ([ASK, TELL, Turn("system", "s"), TELL], "user and assistant do not take turns"),
    ],
)
def test_turns_out_of_order_are_refused(turns: list[Turn], reason: str) -> None:
    with pytest.raises(Unusable) as caught:
        check_order(turns)
    assert str(caught.value) == reason


def test_every_answer_that_trains_ends_a_conversation() -> None:
    again = Turn("user", "Bye.")
    quiet = Turn("assistant", "Oh.", trained=False)
    last = Turn("assistant", "See you.")
    turns = [Turn("system", "s"), ASK, TELL, again, quiet, again, last, again]
    assert answered(turns, every=True) == [turns[:3], turns[:7]]
    assert answered(turns, every=False) == [turns[:7]]
    assert spoken(turns[:4]) == "Hi!\n\nHello.\n\nBye."
    assert spoken(turns[:4], "user") == "Hi!\n\nBye."
    marked = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b", "weight": 0}]
    assert [turn.trained for turn in turns_of(marked, "user")] == [True, False]


def test_a_pair_takes_its_prompt_from_wherever_it_stands() -> None:
    system = Turn("system", "s")
    for prompt, before in (
        ([ASK], []),
        ([ASK], [ASK]),
        ([], [ASK]),
        ([system, ASK], [ASK]),
        ([ASK], [system, ASK]),
    ):
        asked, chosen, rejected = pair(prompt, [*before, TELL], [*before, Turn("assistant", "Go.")])
        assert ([turn for turn in asked if turn.role == "user"], chosen, rejected) == (
            [ASK],
            "Hello.",
            "Go.",
        )
        assert (asked[0] == system) == (system in [*prompt, *before])


@pytest.mark.parametrize(
    ("prompt", "chosen", "rejected", "reason"),
    [
        ([ASK], [ASK, TELL], [Turn("user", "Ho!"), TELL], "the prompt is not the conversation's"),
        (
            [],
            [ASK, TELL],
            [Turn("user", "Ho!"), TELL],
            "chosen and rejected do not answer the same conversation",
        ),
        ([ASK], [ASK], [TELL], "no answer in the conversation"),
        ([ASK, ASK], [TELL], [TELL], "user and assistant do not take turns"),
    ],
)
def test_pairs_that_do_not_fit_are_refused(
    prompt: list[Turn], chosen: list[Turn], rejected: list[Turn], reason: str
) -> None:
    with pytest.raises(Unusable) as caught:
        pair(prompt, chosen, rejected)
    assert str(caught.value) == reason


def test_values_are_described_in_few_words() -> None:
    many = dict.fromkeys("abcdef", 1)
    assert [describe(one) for one in (many, {}, [1], b"ab", 3)] == [
        "an object of a, b, c, d, e, …",
        "an empty object",
        "a list of 1",
        "2 bytes",
        "the int '3'",
    ]
