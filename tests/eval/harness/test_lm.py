"""Our engines as a model of lm-evaluation-harness, against its own `hf` model."""

from __future__ import annotations

import json
import random
from functools import lru_cache
from typing import Any

import pytest

from eval.harness.engine import Answer, Continuation, Writing
from eval.harness.start import Start
from stemma.errors import UserError
from stemma.templates import Template
from tests.factories.models import TEMPLATE, tiny_model

pytest.importorskip("lm_eval")

from lm_eval.api.instance import Instance

from eval.harness.lm import EngineLM, refuse_sampling

ITEMS = 200


class Letters:
    """An engine whose tokens are letters and the marks <s>; it notes what it is asked."""

    def __init__(self, first: bool = True, window: int = 20) -> None:
        self.begin = Start([0] if first else [], "<s>" if first else "", 0)
        self.window = window
        self.asked: list[Continuation] = []
        self.written: list[Writing] = []

    facts: dict[str, str] = {}

    def tokenize(self, text: str) -> list[int]:
        found = []
        while text:
            size = 3 if text.startswith("<s>") else 1
            found.append(0 if size == 3 else ord(text[0]))
            text = text[size:]
        return found

    def score(self, wanted: list[Continuation]) -> list[Answer]:
        self.asked += wanted
        return [(-float(len(one.tokens)), False) for one in wanted]

    def write(self, wanted: list[Writing]) -> list[str]:
        self.written += wanted
        return ["text" for _ in wanted]


def ask(kind: str, *arguments: Any) -> Instance:
    return Instance(request_type=kind, doc={}, arguments=arguments, idx=0)


def lm(engine: Letters) -> EngineLM:
    return EngineLM(engine, Template(TEMPLATE.read_text(encoding="utf-8"), "<s>", "</s>"))


def letters(ids: tuple[int, ...] | list[int]) -> str:
    return "".join("^" if token == 0 else chr(token) for token in ids)


@pytest.mark.parametrize(
    ("context", "continuation", "read"),
    [
        ("ab", " c", ("^ab", " c")),
        ("ab ", "c", ("^ab", " c")),  # spaces at the end belong to what follows
        ("<s>ab", "c", ("^ab", "c")),  # no second first token
        ("", "c", ("^", "c")),
        ("", "<s>c", ("^", "c")),
        ("  ", "c", ("^", "  c")),
    ],
)
def test_the_border_between_context_and_continuation(
    context: str, continuation: str, read: tuple[str, str]
) -> None:
    engine = Letters()
    lm(engine).loglikelihood([ask("loglikelihood", context, continuation)])
    [one] = engine.asked
    assert (letters(one.context), letters(one.tokens)) == read


def test_a_tokenizer_that_puts_nothing_first_gets_nothing() -> None:
    engine = Letters(first=False)
    lm(engine).loglikelihood([ask("loglikelihood", "ab", "c"), ask("loglikelihood", " ", "c")])
    assert [letters(one.context) for one in engine.asked] == ["ab", "^"]


def test_a_context_too_long_loses_its_left_end_and_is_counted() -> None:
    engine = Letters(window=5)
    model = lm(engine)
    model.loglikelihood([ask("loglikelihood", "abcdefgh", "XY"), ask("loglikelihood", "a", "X")])
    assert [letters(one.context) for one in engine.asked] == ["efgh", "^a"]
    assert model.counts["cut to the window"] == 1
    with pytest.raises(UserError, match="a continuation of 6 tokens"):
        model.loglikelihood([ask("loglikelihood", "a", "UVWXYZ")])


def test_an_empty_continuation_is_certain_and_counted() -> None:
    engine = Letters()
    model = lm(engine)
    requests = [ask("loglikelihood", "a", ""), ask("loglikelihood", "a", "b")]
    assert model.loglikelihood(requests) == [(0.0, True), (-1.0, False)]
    assert (len(engine.asked), model.counts["empty continuations"]) == (1, 1)


def test_every_token_of_a_rolled_text_is_predicted_once_and_the_first_token_never() -> None:
    engine = Letters(window=4)
    [total] = lm(engine).loglikelihood_rolling([ask("loglikelihood_rolling", "abcdefghij")])
    assert "".join(letters(one.tokens) for one in engine.asked) == "abcdefghij"
    assert total == -10.0
    assert letters(engine.asked[0].context) == "^"
    assert all(len(one.context) + len(one.tokens) <= 5 for one in engine.asked)


def test_writing_has_stops_a_limit_and_room_for_the_answer() -> None:
    engine = Letters(window=10)
    settings = {"until": ["\n", ""], "max_gen_toks": 4, "do_sample": False, "temperature": 0.0}
    lm(engine).generate_until(
        [
            ask("generate_until", "abcdefgh", settings),
            ask("generate_until", "ab", {"until": "x", "max_new_tokens": 3}),
        ]
    )
    assert [(letters(one.prompt), one.tokens, one.stops) for one in engine.written] == [
        ("cdefgh", 4, ("\n",)),
        ("^ab", 3, ("x",)),
    ]
    with pytest.raises(UserError, match="asks for 10 new tokens"):
        lm(engine).generate_until([ask("generate_until", "a", {"max_gen_toks": 10})])


@pytest.mark.parametrize(
    "settings",
    [{"do_sample": True}, {"temperature": 0.7}, {"num_beams": 4}, {"repetition_penalty": 1.2}],
)
def test_sampling_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="greedy decoding"):
        refuse_sampling(settings)


def test_a_temperature_without_sampling_does_nothing_and_passes() -> None:
    refuse_sampling({"do_sample": False, "temperature": 0.7, "until": ["x"], "top_p": 0.9})


def test_the_recipes_template_asks_and_begins_an_answer() -> None:
    model = lm(Letters())
    talk = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "The answer is"}]
    asked = model.apply_chat_template(talk[:1])
    assert asked == Template(TEMPLATE.read_text(encoding="utf-8"), "<s>", "</s>").render(
        list(_messages(talk[:1])), ask=True
    )
    assert model.apply_chat_template(talk, add_generation_prompt=False) == asked + "The answer is"


def _messages(talk: list[dict[str, str]]) -> list[Any]:
    from stemma.rows import Message

    return [Message.model_validate(one) for one in talk]


@lru_cache
def both() -> tuple[EngineLM, Any]:
    """Our model and the harness's own, of the same tiny weights."""
    from lm_eval.models.huggingface import HFLM

    from eval.harness.hf import HfEngine

    template = Template.read(TEMPLATE, tiny_model())
    ours = EngineLM(HfEngine(str(tiny_model()), "<eos>", 1), template)
    return ours, HFLM(pretrained=str(tiny_model()), device="cpu", batch_size=8)


def items() -> list[Instance]:
    """Questions with their options, of every kind the border can be: spaces, marks, no context,
    more than the window holds, one token and many."""
    rng = random.Random(0)
    words = ["force", "newton", "2 + 3", "x²", "\n\n", "\tcaf\u00e9", "سلام", "<eos>", "A.", "  "]
    found = []
    for number in range(ITEMS // 4):
        length = 400 if number % 10 == 9 else rng.randrange(1, 12)
        context = " ".join(rng.choice(words) for _ in range(length)) + rng.choice(["", " ", "\n"])
        for _ in range(4):
            option = " ".join(rng.choice(words) for _ in range(rng.randrange(1, 4)))
            given = (context if number % 7 else "", rng.choice([" ", ""]) + (option.strip() or "a"))
            found.append(ask("loglikelihood", *given))
    return found


@pytest.mark.slow
def test_two_hundred_items_agree_with_the_harnesss_own_model() -> None:
    ours, theirs = both()
    requests = items()
    assert len(requests) == ITEMS
    mine, other = ours.loglikelihood(requests), theirs.loglikelihood(requests)
    close = [abs(a[0] - b[0]) < 1e-2 and a[1] == b[1] for a, b in zip(mine, other, strict=True)]
    assert sum(close) >= 0.99 * ITEMS
    assert ours.counts["cut to the window"] > 0
    picks = [
        [max(range(4), key=lambda place: found[begin + place][0]) for begin in range(0, ITEMS, 4)]
        for found in (mine, other)
    ]
    assert picks[0] == picks[1]


@pytest.mark.slow
def test_written_texts_agree_with_the_harnesss_own_model() -> None:
    ours, theirs = both()
    settings = {"until": ["9", "Question:"], "max_gen_toks": 12, "do_sample": False}
    contexts = [f"Question: What is {a} + {a * 7 % 11}?\n\nAnswer:" for a in range(50)]
    requests = [
        ask("generate_until", context, json.loads(json.dumps(settings))) for context in contexts
    ]
    mine, other = ours.generate_until(requests), theirs.generate_until(requests)
    assert sum(a == b for a, b in zip(mine, other, strict=True)) >= 49


@pytest.mark.slow
def test_rolled_texts_agree_with_the_harnesss_own_model() -> None:
    ours, theirs = both()
    texts = ["", "force", "What is 2 + 3? " * 90]
    requests = [ask("loglikelihood_rolling", text) for text in texts]
    assert ours.loglikelihood_rolling(requests) == pytest.approx(
        theirs.loglikelihood_rolling(requests), abs=1e-2
    )
