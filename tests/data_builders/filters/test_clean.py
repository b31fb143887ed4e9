from __future__ import annotations

import pytest

from data_builders.filters.clean import finish, refuse_text, repair, special_tokens
from data_builders.flow import Draft
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
        ("<｜User｜>hi", "control token in content"),
        ("[TOOL_CALLS]", "control token in content"),
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


@pytest.mark.parametrize(
    ("chosen", "rejected", "reason"),
    [
        ("\u200b\ufeff", "no", "empty answer"),
        ("no", " \u2060 \u00ad\u200e", "empty answer"),
        ("\u3164", "no", "empty answer"),
        ("caf\u00e9", "cafe\u0301", "identical answers"),
        ("the same", "the\u200b same", "identical answers"),
        ("\ufeffthe same", "the same", "identical answers"),
        ("the same\u200e", "the same", "identical answers"),
        ("null", "no", "placeholder instead of an answer"),
        ("yes", "NaN", "placeholder instead of an answer"),
        ("N/A", "no", "placeholder instead of an answer"),
        ("yes", "#REF!", "placeholder instead of an answer"),
        ("[object Object]", "no", "placeholder instead of an answer"),
        ('"null".', "no", "placeholder instead of an answer"),
        ("[removed]", "no", "placeholder instead of an answer"),
        ("the same", "the\u00a0same", "identical answers"),
        ("the \nsame", "the\nsame", "identical answers"),
        ("\u200b", "\u200b", "empty answer"),
    ],
)
def test_what_a_reader_does_not_see_makes_no_answer_and_no_difference(
    chosen: str, rejected: str, reason: str
) -> None:
    assert pair(chosen, rejected) == reason


@pytest.mark.parametrize(
    "answer",
    ["None", "undefined", "The pointer is null.", "zero \u200d joined", "\u0967\u094d\u0937"],
)
def test_words_that_answer_and_text_with_joiners_stay_as_they_are(answer: str) -> None:
    kept = pair(answer, "no")
    assert isinstance(kept, PreferenceRow)
    assert kept.chosen == answer


def test_a_question_that_nobody_sees_is_refused() -> None:
    assert (
        finish("dpo", "s", Draft("w", "", {"prompt": "\u200b", "chosen": "a", "rejected": "b"}))
        == "empty question"
    )
    assert (
        finish("mcq", "s", Draft("w", "", {"question": " ", "choices": ["a", "b"], "answer": "A"}))
        == "empty question"
    )
    assert finish("corpus", "s", Draft("w", "", {"text": "\ufeff"})) == "empty answer"


def test_the_same_prompt_has_the_same_question_id() -> None:
    ids = set()
    for prompt in (
        "What is \\frac{1}{2}?",
        "what is \frac{1}{2}",
        "Question: What is \\frac{1}{2}?",
    ):
        row: dict[str, object] = {"prompt": prompt, "chosen": "a", "rejected": "b"}
        found = finish("dpo", "s", Draft("row 1", prompt, row))
        assert isinstance(found, PreferenceRow)
        ids.add(found.question_id)
    assert len(ids) == 1


def test_a_conversation_with_an_empty_turn_is_refused() -> None:
    messages = [{"role": "user", "content": " "}, {"role": "assistant", "content": "a"}]
    assert finish("sft", "s", Draft("row 1", "", {"messages": messages})) == "empty turn"


def mcq(*choices: str, answer: str = "A") -> McqRow | str:
    found = finish(
        "mcq",
        "s",
        Draft("row 1", "q?", {"question": "q?", "choices": list(choices), "answer": answer}),
    )
    assert isinstance(found, McqRow | str)
    return found


def test_an_ambiguous_or_empty_choice_is_refused_but_equal_wrong_ones_stay() -> None:
    assert mcq("12", "4", "12") == "right choice occurs twice"
    assert mcq("12", "4", "...") == "empty choice"
    assert isinstance(mcq("12", "4", "4"), McqRow)
    assert mcq("caf\u00e9", "tea", "cafe\u0301") == "right choice occurs twice"
    assert mcq("12", "\u200b", "4") == "empty choice"
    assert mcq("12", "#REF!") == "placeholder instead of a choice"


def test_empty_choices_at_the_end_are_none_and_26_can_be_lettered() -> None:
    kept = mcq("12", "4", "", " ")
    assert isinstance(kept, McqRow)
    assert kept.choices == ["12", "4"]
    assert mcq("12", "4", "", answer="C") == "the answer is none of the options"
    many = [str(number) for number in range(27)]
    last = mcq(*many[:26], answer="Z")
    assert isinstance(last, McqRow)
    assert last.answer == "Z"
    assert mcq(*many) == "more than 26 choices"


def test_the_special_tokens_of_the_model_itself_are_refused() -> None:
    own = special_tokens(["<s>", "<mask>", "[CLS]", "\n", ""])
    assert refuse_text("is <s>struck</s> out", own) == "control token in content"
    assert refuse_text("a [CLS] b", own) == "control token in content"
    assert refuse_text("line\nbreak [SEP] <MASK>", own) is None
    assert refuse_text("<s>struck") is None
    assert special_tokens([]).search("") is None
    row: dict[str, object] = {"prompt": "p?", "chosen": "a <mask>", "rejected": "b"}
    assert finish("dpo", "s", Draft("w", "p?", row), own) == "control token in content"
    assert isinstance(finish("dpo", "s", Draft("w", "p?", row)), PreferenceRow)


def test_the_id_is_the_content_without_its_origin() -> None:
    one = finish(
        "mcq",
        "s",
        Draft(
            "w", "q", {"question": "q", "choices": ["1", "2"], "answer": "A", "meta": {"file": "x"}}
        ),
    )
    two = finish(
        "mcq",
        "s",
        Draft(
            "w", "q", {"question": "q", "choices": ["1", "2"], "answer": "A", "meta": {"file": "y"}}
        ),
    )
    assert not isinstance(one, str)
    assert not isinstance(two, str)
    assert one.id == two.id


def test_a_text_longer_than_any_model_reads_is_refused_unless_it_is_a_corpus() -> None:
    text = "heat " * 400_001
    asked = {"role": "user", "content": "What?"}
    row = {"messages": [asked, {"role": "assistant", "content": text}]}
    assert (
        finish("sft", "t", Draft("f:1", "What?", row)) == "text of more than 2,000,000 characters"
    )
    assert not isinstance(finish("corpus", "t", Draft("f:1", text, {"text": text})), str)


def test_a_million_blanks_are_read_in_a_moment() -> None:
    """From each of them a pattern looked for a line's end: 30,000 took a minute."""
    text = "a" + " " * 1_000_000 + "b\t \nc"
    row = {
        "messages": [{"role": "user", "content": "What?"}, {"role": "assistant", "content": text}]
    }
    assert not isinstance(finish("sft", "t", Draft("f:1", "What?", row)), str)
