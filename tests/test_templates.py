"""The chat templates: where an answer begins, which token ends it, and whose special tokens they
write."""

from __future__ import annotations

from pathlib import Path

import pytest

from stemma import ROOT
from stemma.jsonl import write_json
from stemma.rows import CorpusRow, McqRow, Message, PreferenceRow, SftRow
from stemma.templates import (
    Rendered,
    Template,
    answered,
    conversations_of,
    question,
    rendered,
    rendered_choices,
    rendered_cloze,
    special_tokens,
)

FOLDER = ROOT / "recipes" / "templates"
LLAMA = ("<|begin_of_text|>", "<|end_of_text|>")
HEAD = "<|start_header_id|>{}<|end_header_id|>\n\n"
SPLITS = {
    "qa": ("<bos>Question: 1 + 1?\n\nAnswer:", " 2<eos>"),
    "gemma": (
        "<bos><start_of_turn>user\n1 + 1?<end_of_turn>\n<start_of_turn>model\n",
        "2<end_of_turn>",
    ),
    "chatml": ("<|im_start|>user\n1 + 1?<|im_end|>\n<|im_start|>assistant\n", "2<|im_end|>"),
    "smollm2": (
        "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face"
        "<|im_end|>\n"
        "<|im_start|>user\n1 + 1?<|im_end|>\n<|im_start|>assistant\n",
        "2<|im_end|>",
    ),
    "llama3": (
        f"<bos>{HEAD.format('user')}1 + 1?<|eot_id|>{HEAD.format('assistant')}",
        "2<|eot_id|>",
    ),
}


def test_every_template_is_tested() -> None:
    assert {path.stem for path in FOLDER.glob("*.jinja")} == set(SPLITS)


@pytest.mark.parametrize("name", SPLITS)
def test_the_border_the_stop_and_the_first_token(name: str) -> None:
    template = Template.read(FOLDER / f"{name}.jinja")
    prompt, answer = template.split(answered("1 + 1?", "2"))
    assert (prompt, answer) == SPLITS[name]
    assert template.stop() == answer.strip().removeprefix("2")
    assert template.first == ("" if name in ("chatml", "smollm2") else "<bos>")


def test_special_tokens_are_the_models(tmp_path: Path) -> None:
    bos = {"content": LLAMA[0], "special": True}
    write_json(tmp_path / "tokenizer_config.json", {"bos_token": bos, "eos_token": LLAMA[1]})
    assert special_tokens(tmp_path) == LLAMA
    template = Template.read(FOLDER / "qa.jinja", tmp_path)
    assert template.split(answered("q", "a")) == (
        f"{LLAMA[0]}Question: q\n\nAnswer:",
        f" a{LLAMA[1]}",
    )
    write_json(
        tmp_path / "tokenizer_config.json", {"bos_token": None, "eos_token": "<|endoftext|>"}
    )
    without = Template.read(FOLDER / "qa.jinja", tmp_path)
    assert (without.first, without.stop()) == ("", "<|endoftext|>")


def test_a_turn_marker_that_the_model_names_as_its_first_token_is_none() -> None:
    for name in ("smollm2", "chatml"):
        text = (FOLDER / f"{name}.jinja").read_text()
        assert Template(text, "<|im_start|>", "<|im_end|>").first == "", (
            "it begins every turn, not the conversation"
        )
    assert Template("{{ bos_token }}" + text, "<s>", "<|im_end|>").first == "<s>"
    assert Template("{{ bos_token }}" + (FOLDER / "qa.jinja").read_text()).first == "<bos>", (
        "twice: a fault that is found"
    )


def test_a_model_without_a_first_token_carries_a_template_that_says_so() -> None:
    text = (FOLDER / "qa.jinja").read_text()
    without = Template(text, "", "<|endoftext|>")
    # As llama.cpp fills it in, which knows a first token of Qwen's from config.json.
    asked = Template(without.carried, "<|endoftext|>", "<|endoftext|>").render(
        question("q"), ask=True
    )
    assert asked == without.render(question("q"), ask=True) == "Question: q\n\nAnswer:"
    assert Template(text).carried == text


def test_of_a_model_that_is_not_here_the_tokens_names_are_shown() -> None:
    unfilled = Template.unfilled(FOLDER / "qa.jinja")
    assert unfilled.split(answered("q", "a")) == (
        "{bos_token}Question: q\n\nAnswer:",
        " a{eos_token}",
    )


def mcq_row(answer_as: str) -> McqRow:
    given = {
        "id": "m",
        "source": "s",
        "question": "Force?",
        "choices": ["newton", "joule"],
        "answer": "A",
    }
    return McqRow.model_validate(
        given | {"answer_as": answer_as, "explanation": "Newton measures force."}
    )


ASKED = "<bos>Question: Force?\n\nOptions:\nA. newton\nB. joule"
EXPLAINED = "\n\nGive the letter, then explain."


def test_each_kind_of_row_as_prompt_and_answers() -> None:
    template = Template.read(FOLDER / "qa.jinja")
    turns = [Message(role="user", content="1 + 1?"), Message(role="assistant", content="2")]
    pair = PreferenceRow(
        id="p", source="s", question_id="q", prompt="1 + 1?", chosen="2", rejected="3"
    )
    prompt = "<bos>Question: 1 + 1?\n\nAnswer:"
    assert rendered(CorpusRow(id="c", source="s", text="A fact."), template) == Rendered(
        "<bos>", ("A fact.<eos>",)
    )
    assert rendered(SftRow(id="a", source="s", messages=turns), template) == Rendered(
        prompt, (" 2<eos>",)
    )
    assert rendered(pair, template) == Rendered(prompt, (" 2<eos>", " 3<eos>"))
    assert rendered(mcq_row("letter"), template) == Rendered(f"{ASKED}\n\nAnswer:", (" A<eos>",))
    assert rendered(mcq_row("text"), template).answers == (" newton<eos>",)
    explained = Rendered(f"{ASKED}{EXPLAINED}\n\nAnswer:", (" A\n\nNewton measures force.<eos>",))
    assert rendered(mcq_row("explained"), template) == explained


def test_a_choice_is_picked_by_its_letter_alone_or_by_its_whole_text() -> None:
    template = Template.read(FOLDER / "qa.jinja")
    letters = (" A", " B")
    assert rendered_choices(mcq_row("letter"), template) == Rendered(f"{ASKED}\n\nAnswer:", letters)
    assert rendered_choices(mcq_row("explained"), template) == Rendered(
        f"{ASKED}{EXPLAINED}\n\nAnswer:", letters
    )
    assert rendered_choices(mcq_row("text"), template).answers == (" newton<eos>", " joule<eos>")


@pytest.mark.parametrize("answer_as", ["letter", "explained", "text"])
def test_a_cloze_question_stands_alone_and_no_choice_brings_the_stop_token(answer_as: str) -> None:
    """`qa.jinja` writes what lm-evaluation-harness does: `Answer:`, a blank, the choice."""
    found = rendered_cloze(mcq_row(answer_as), Template.read(FOLDER / "qa.jinja"))
    assert found == Rendered("<bos>Question: Force?\n\nAnswer:", (" newton", " joule"))


def test_a_pair_of_several_turns_gives_two_whole_conversations() -> None:
    turns = [
        Message(role="system", content="Be brief."),
        Message(role="user", content="1 + 1?"),
        Message(role="assistant", content="2"),
        Message(role="user", content="And 1 more?"),
    ]
    spoken = "1 + 1?\n\n2\n\nAnd 1 more?"
    pair = PreferenceRow(
        id="p", source="s", question_id="q", prompt=spoken, turns=turns, chosen="3", rejected="4"
    )
    chosen, rejected = conversations_of(pair)
    assert chosen[:-1] == rejected[:-1] == turns
    assert [chosen[-1].content, rejected[-1].content] == ["3", "4"]
