"""Rows as the trainer will see them, on a real SentencePiece tokenizer."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from stemma import ROOT
from stemma.errors import GateFailed, UserError
from stemma.rows import CorpusRow, McqRow, Message, PreferenceRow, SftRow
from stemma.templates import Template, answered
from stemma.training.inputs import tokenizer_of
from stemma.training.rows import Sample, Tokenize, prove, refuse_special, sample
from tests.factories.models import TEMPLATE, tiny_model


@pytest.fixture(scope="module")
def tokenize() -> Tokenize:
    return tokenizer_of(tiny_model())


@pytest.fixture
def template() -> Template:
    return Template.read(TEMPLATE)


def test_each_kind_of_row_is_rendered_by_the_template(template: Template) -> None:
    turns = [Message(role="user", content="What is 1 + 2?"), Message(role="assistant", content="3")]
    sft = sample(SftRow(id="a", source="s", messages=turns), template)
    assert (sft.prompt, sft.answers) == ("<bos>Question: What is 1 + 2?\n\nAnswer:", (" 3<eos>",))
    pair = PreferenceRow(
        id="b", source="s", question_id="q", prompt="What is 1 + 2?", chosen="3", rejected="4"
    )
    assert sample(pair, template).answers == (" 3<eos>", " 4<eos>")
    mcq = sample(
        McqRow(id="c", source="s", question="1 + 2?", choices=["3", "4"], answer="A"), template
    )
    assert (mcq.prompt, mcq.answers) == (
        "<bos>Question: 1 + 2?\n\nOptions:\nA. 3\nB. 4\n\nAnswer:",
        (" A<eos>",),
    )
    assert sample(CorpusRow(id="d", source="s", text="A fact."), template).answers == (
        "A fact.<eos>",
    )


def test_rows_in_axolotls_shapes() -> None:
    one = Sample("a", "<bos>q", (" x<eos>",))
    assert one.axolotl("<bos>") == {
        "segments": [{"label": False, "text": "<bos>q"}, {"label": True, "text": " x<eos>"}]
    }
    two = Sample("b", "<bos>q", (" x<eos>", " y<eos>"))
    assert two.axolotl("<bos>") == {"prompt": "q", "chosen": " x<eos>", "rejected": " y<eos>"}
    assert two.axolotl("")["prompt"] == "<bos>q", (
        "a tokenizer that adds nothing needs it in the text"
    )


def test_rows_that_are_too_long_are_left_out_and_counted(tokenize: Tokenize) -> None:
    samples = [
        Sample("short", "<bos>1", (" 2<eos>",)),
        Sample("long", "<bos>1", (" 2" * 20 + "<eos>",)),
    ]
    part = prove(samples, tokenize, "<bos>", "<eos>", longest=10)
    assert [s.id for s in part.samples] == ["short"]
    [kept] = part.sequences
    assert (kept.ids[0], kept.ids[-1], kept.border) == (2, 1, 2)
    # <bos> 1 | ▁ 2 <eos>: digits are split from the blank in front of them.
    assert part.counts == {
        "rows": 1,
        "left_out_longer_than_sequence_len": 1,
        "tokens": 5,
        "trained_tokens": 3,
    }


def test_a_template_without_a_first_token(tokenize: Tokenize) -> None:
    part = prove([Sample("a", "1", (" 2<eos>",))], tokenize, "", "<eos>", longest=10)
    assert part.counts["rows"] == 1


@pytest.mark.parametrize(
    ("prompt", "answer", "said"),
    [
        ("<bos><bos>q", " x<eos>", "2 <bos> tokens"),
        ("q", " x<eos>", "0 <bos> tokens"),
        ("<bos>q", " x", "0 stop tokens"),
        ("<bos>q", " x<eos> y<eos>", "2 stop tokens"),
        ("<bos>q", "<eos>", "an empty answer"),
        ("<bos>Que", "stion<eos>", "tokenize differently apart and together"),
    ],
)
def test_rows_that_are_not_what_the_template_says_stop_the_stage(
    prompt: str, answer: str, said: str, tokenize: Tokenize
) -> None:
    good = Sample("good", "<bos>q", (" x<eos>",))
    with pytest.raises(GateFailed, match=f"1 of 2 sequences .* bad: .*{said}"):
        prove([good, Sample("bad", prompt, (answer,))], tokenize, "<bos>", "<eos>", longest=100)


def test_a_stop_token_the_tokenizer_does_not_know(tokenize: Tokenize) -> None:
    with pytest.raises(
        GateFailed, match=r"'<stop>' is [0-9]+ tokens in this tokenizer, not one special token"
    ):
        prove([], tokenize, "<bos>", "<stop>", longest=100)


def test_text_that_is_a_command_to_the_model_is_told_with_what_to_do() -> None:
    rows = [
        PreferenceRow(id="one", source="s", question_id="q", prompt="p", chosen="a", rejected="b"),
        PreferenceRow(
            id="two", source="s", question_id="q", prompt="p", chosen="a", rejected="b <mask>"
        ),
        SftRow(id="three", source="s", messages=answered("is <s>struck</s>?", "no")),
        McqRow(id="four", source="s", question="q", choices=["<mask>", "b"], answer="B"),
    ]
    refuse_special(rows, [], Path("train.jsonl"))
    refuse_special(rows[:1], ["<mask>", "<s>"], Path("train.jsonl"))
    with pytest.raises(UserError) as caught:
        refuse_special(rows, ["<mask>", "<s>"], Path("train.jsonl"))
    assert str(caught.value) == (
        "train.jsonl: 3 rows hold a special token of the model in their text: `<mask>` in two\n"
        "  expected: text that is no command to the model\n"
        "  hint: build the data again, with --force (FORCE=1): now that the tokenizer is known, "
        "such rows are dropped"
    )


def test_a_pair_of_several_turns_is_rendered_with_all_of_them() -> None:
    turns = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi!"},
        {"role": "assistant", "content": "Hello."},
        {"role": "user", "content": "Bye."},
    ]
    row = PreferenceRow.model_validate(
        {
            "id": "r",
            "source": "s",
            "question_id": "q",
            "prompt": "Hi!\n\nHello.\n\nBye.",
            "turns": turns,
        }
        | {"chosen": "See you.", "rejected": "Go."}
    )
    made = sample(row, Template.read(ROOT / "recipes/templates/gemma.jinja"))
    assert made.prompt == (
        "<bos><start_of_turn>user\nBe brief.\n\nHi!<end_of_turn>\n"
        "<start_of_turn>model\nHello.<end_of_turn>\n"
        "<start_of_turn>user\nBye.<end_of_turn>\n<start_of_turn>model\n"
    )
    assert made.answers == ("See you.<end_of_turn>", "Go.<end_of_turn>")
    with pytest.raises(ValidationError, match="turns do not say what the prompt says"):
        PreferenceRow.model_validate(row.model_dump() | {"prompt": "Bye."})
