from __future__ import annotations

import pytest

from data_builders.clean import finish, refuse_text, repair
from data_builders.drafts import Draft
from stemma.rows import McqRow, PreferenceRow


def test_line_ends_become_newlines_and_outer_space_goes() -> None:
    assert repair(" a\r\nb\rc \n") == "a\nb\nc"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("fine <b>html</b>", None),
        ("a <eos> b", "control token in content"),
        ("<start_of_turn>model", "control token in content"),
        ("<|im_start|>user", "control token in content"),
        ("done<|endoftext|>", "control token in content"),
        ("<|eot_id|>", "control token in content"),
        ("[INST] hi [/INST]", "control token in content"),
        ("<<SYS>>", "control token in content"),
        ("good work!</s>", "control token in content"),
        ("<s>struck out</b>, x <| y |> z, a[INSTANCE]", None),
        ("bell \x07", "control character in content"),
        ("\x0cXyz", "control character in content"),
        ("half a pair \ud83d", "unpaired surrogate in content"),
    ],
)
def test_what_must_not_be_trained_on_is_refused(text: str, reason: str | None) -> None:
    assert refuse_text(text) == reason


def pair(chosen: str, rejected: str) -> PreferenceRow | str:
    row: dict[str, object] = {"prompt": "p?", "chosen": chosen, "rejected": rejected}
    found = finish("dpo", "s", Draft("row 1", "p?", row))
    assert isinstance(found, PreferenceRow | str)
    return found


def test_pairs_with_empty_or_equal_answers_are_refused_with_the_reason() -> None:
    assert pair("yes", " ... ") == "empty answer"
    assert pair("", "no") == "empty answer"
    assert pair("…", "no") == "empty answer"
    assert pair(" same", "same ") == "identical answers"
    assert pair("a<pad>", "b") == "control token in content"
    kept = pair(" \frac{1}{2} ", "no")
    assert isinstance(kept, PreferenceRow)
    assert kept.chosen == r"\frac{1}{2}"


def test_the_same_prompt_has_the_same_question_id() -> None:
    ids = set()
    for prompt in ("What is \\frac{1}{2}?", "what is \frac{1}{2}", "Question: What is \\frac{1}{2}?"):
        row: dict[str, object] = {"prompt": prompt, "chosen": "a", "rejected": "b"}
        found = finish("dpo", "s", Draft("row 1", prompt, row))
        assert isinstance(found, PreferenceRow)
        ids.add(found.question_id)
    assert len(ids) == 1


def test_a_conversation_with_an_empty_turn_is_refused() -> None:
    messages = [{"role": "user", "content": " "}, {"role": "assistant", "content": "a"}]
    assert finish("sft", "s", Draft("row 1", "", {"messages": messages})) == "empty answer"


def mcq(*choices: str, answer: str = "A") -> McqRow | str:
    found = finish("mcq", "s", Draft("row 1", "q?", {"question": "q?", "choices": list(choices), "answer": answer}))
    assert isinstance(found, McqRow | str)
    return found


def test_an_ambiguous_or_empty_choice_is_refused_but_equal_wrong_ones_stay() -> None:
    assert mcq("12", "4", "12") == "right choice occurs twice"
    assert mcq("12", "4", "...") == "empty choice"
    assert isinstance(mcq("12", "4", "4"), McqRow)


def test_the_id_is_the_content_without_its_origin() -> None:
    one = finish(
        "mcq", "s", Draft("w", "q", {"question": "q", "choices": ["1", "2"], "answer": "A", "meta": {"file": "x"}})
    )
    two = finish(
        "mcq", "s", Draft("w", "q", {"question": "q", "choices": ["1", "2"], "answer": "A", "meta": {"file": "y"}})
    )
    assert not isinstance(one, str)
    assert not isinstance(two, str)
    assert one.id == two.id
