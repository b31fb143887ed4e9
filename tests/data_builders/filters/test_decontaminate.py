from __future__ import annotations

import csv
import json
from typing import Any

import pytest

from data_builders.filters.decontaminate import (
    EvalQuestion,
    Overlap,
    eval_question,
    find_overlaps,
    report,
    table,
    words_of,
)
from data_builders.flow import ROW_MODELS, CleanRow, Draft, Kind, Placed
from data_builders.split import bare, choices_of, question_key
from stemma import ROOT
from stemma.recipe.data import Decontaminate

SHARED = ROOT.parent / "shared" / "data"

STEM = "Which property of a gas doubles when it is heated in a closed vessel from 300 to 600 kelvin"
CHOICES = ("volume", "pressure", "density", "mass")
GAS = EvalQuestion("mmlu", "7", STEM, CHOICES)


def placed(kind: Kind, asked: str, **row: Any) -> Placed:
    made = ROW_MODELS[kind].model_validate({"id": "r1", "source": "s", **row})
    key = question_key(asked)
    clean = CleanRow(f"{kind}: s", kind, key, Draft("row 1", asked, {}), made)
    return clean.placed("train", key, fixed=False)


def pair(prompt: str, chosen: str = "yes", rejected: str = "no") -> Placed:
    return placed("dpo", prompt, question_id="q", prompt=prompt, chosen=chosen, rejected=rejected)


def mcq(stem: str, *choices: str) -> Placed:
    return placed("mcq", stem, question=stem, choices=list(choices), answer="A")


def rules(row: Placed, *evaluation: EvalQuestion, **settings: Any) -> list[str]:
    found = find_overlaps([row], evaluation, Decontaminate(**settings))
    assert {overlap.row_id for overlap in found} <= {"r1"}
    return [overlap.rule for overlap in found]


def test_words_have_no_case_and_no_signs_but_numbers() -> None:
    assert words_of("It’s 1,000.5 km — $\\frac{1}{2}$, 3x") == [
        "it",
        "s",
        "1000.5",
        "km",
        "1",
        "2",
        "3",
        "x",
    ]
    assert words_of("0.60 of 3.0 and .5 of 100") == ["0.6", "of", "3", "and", "0.5", "of", "100"]


def test_numbers_are_read_and_what_is_drawn_as_nothing_is_not() -> None:
    assert words_of("forty-five kilo\u00adgrams\u200b and two hundred") == [
        "45",
        "kilograms",
        "and",
        "200",
    ]


@pytest.mark.parametrize("unseen", ["\u00ad", "\u200b", "\u200d", "\ufeff"])
def test_characters_drawn_as_nothing_hide_no_question(unseen: str) -> None:
    hidden = STEM.replace("e", f"{unseen}e")
    assert rules(pair(hidden), GAS) == rules(mcq(hidden, "a", "b"), GAS) == ["stem"]
    assert rules(pair(f"Well: {hidden}!"), GAS) == ["n-gram"]


SHORT = EvalQuestion(
    "mmlu", "8", "Which gas do green plants take in?", ("oxygen", "carbon dioxide")
)


@pytest.mark.parametrize(
    "text",
    [
        "Q17. Which gas do green plants take in? Give reasons.",
        "You ask: which gas do green plants take in?",
        "1) Which gas do green plants take in?\n(A) oxygen\n(B) carbon dioxide",
        "[2 points] <p>Which gas do <b>green</b>&nbsp;plants take in?</p>",
        "Which gas do green plants take in?\nExplain.",
        "I ask: Which \uff47as do gr\u0435en pla\xad\nnts take in?",
        'Explain "Which gas do green plants take in?" to me.',
    ],
)
def test_a_short_question_is_found_as_a_sentence(text: str) -> None:
    assert rules(pair(text), SHORT) == rules(pair("Explain.", text), SHORT) == ["sentence"]


@pytest.mark.parametrize(
    "text",
    [
        "Which gas do green plants take in at night?",
        "I know which gas do green plants take in.",
        "Which gas do green plants give off? What do they take in?",
    ],
)
def test_a_sentence_that_says_more_or_less_asks_something_else(text: str) -> None:
    assert rules(pair(text), SHORT) == []


def test_sentences_are_told_apart_by_their_signs() -> None:
    test = EvalQuestion("test", "1", "What is 12 - 7 in base ten?")
    assert rules(pair("Tell me. What is 12 - 7 in base ten?"), test) == ["sentence"]
    assert rules(pair("Tell me. What is 12 + 7 in base ten?"), test) == []


def test_a_turn_that_asks_nothing_else_may_be_short() -> None:
    test = EvalQuestion("test", "1", "Define entropy.")
    assert rules(pair("Hello!", "Define entropy."), test) == ["sentence"]
    assert rules(pair("Hello!", "I shall. Define entropy. Define energy."), test) == []


def test_what_is_asked_at_the_start_of_a_tested_conversation_trains_nowhere() -> None:
    said = [
        "What did Newton's third law say?",
        "Action is reaction.",
        "And the second one then?",
        "F = ma.",
    ]
    turns = [
        {"role": ("user", "assistant")[place % 2], "content": text}
        for place, text in enumerate(said)
    ]
    asked = f"{said[0]}\n\n{said[2]}"
    tested = [placed("sft", asked, messages=turns[:end], meta={}) for end in (2, 4)]
    assert [eval_question(row, "sft test").stem for row in tested] == [said[0], asked]
    alone = placed(
        "sft", said[0], messages=[turns[0], {"role": "assistant", "content": "It did."}], meta={}
    )
    later = [
        {"role": "user", "content": "Hi!"},
        {"role": "assistant", "content": "Hello."},
        *alone.row.model_dump()["messages"],
    ]
    within = placed("sft", f"Hi!\n\n{said[0]}", messages=later, meta={})
    evaluation = [eval_question(row, "sft test") for row in tested]
    assert (rules(alone, *evaluation), rules(within, *evaluation)) == (["stem"], ["sentence"])


def test_an_eaten_backslash_hides_no_question() -> None:
    tested = placed(
        "sft",
        "What is 3 \times 4?",
        messages=[
            {"role": "user", "content": "What is 3 \\times 4?"},
            {"role": "assistant", "content": "12"},
        ],
    )
    assert rules(pair("What is 3 \\times 4?"), eval_question(tested, "test")) == ["stem"]


def test_numbers_written_out_hide_no_question() -> None:
    written = STEM.replace("300", "three hundred").replace("600", "six hundred")
    assert rules(pair(written), GAS) == ["stem"]
    assert rules(pair(f"Well: {written}!"), GAS) == ["n-gram"]
    assert rules(pair("What is five plus two?"), EvalQuestion("open", "1", "What is 5 plus 2")) == [
        "stem"
    ]


@pytest.mark.parametrize("head", ["\n\nChoices:\n", "\nAnswer choices: ", " "])
def test_options_in_the_usual_layouts_are_read(head: str) -> None:
    asked = f"{STEM}?{head}(A) mass (B) volume (C) density (D) pressure"
    assert rules(pair(asked), GAS) == ["stem and options"]


def test_the_same_question_with_the_same_options_in_any_order() -> None:
    assert rules(mcq(STEM.upper() + "?", "Mass", "density ", "volume", "pressure"), GAS) == [
        "stem and options"
    ]
    asked = f"Question: {STEM}?\n\nOptions:\nA. mass\nB. volume\nC. density\nD. pressure\n\nAnswer:"
    assert rules(pair(asked), GAS) == ["stem and options"]


def test_the_same_question_with_other_options_or_none() -> None:
    assert rules(mcq(STEM, "a", "b"), GAS) == ["stem"]
    assert rules(pair(STEM), GAS) == ["stem"]


def test_a_stem_with_a_telling_word_is_found_without_its_options() -> None:
    short = EvalQuestion("mmlu", "1", "What is the capital of Peru?", ("Lima", "Cusco"))
    assert rules(pair("what is the capital of peru"), short) == ["stem"]
    assert rules(mcq("What is the capital of Peru?", "Ica", "Lima"), short) == ["stem"]
    assert rules(pair("What is 5!?"), EvalQuestion("mmlu", "1", "What is 5!?", ("120", "25"))) == [
        "stem"
    ]


def test_a_generic_stem_says_nothing_without_its_options() -> None:
    true = EvalQuestion("mmlu", "1", "Which is true?", ("x", "y"))
    assert rules(mcq("Which is true?", "x", "z"), true) == []
    assert rules(mcq("Which is true?", "y", "x"), true) == ["stem and options"]
    long = "Which of the following is or is not one of the most correct statements?"
    assert rules(mcq(long, "x", "z"), EvalQuestion("mmlu", "1", long, ("x", "y"))) == []
    assert rules(pair("Who is he?"), EvalQuestion("open", "1", "Who is he")) == ["stem"]


def test_thirteen_words_in_a_row_anywhere_in_the_row() -> None:
    twelve, thirteen = (" ".join(STEM.split()[:many]) for many in (12, 13))
    row = pair("Explain.", chosen=f"Well: {thirteen.upper()}! With 300 and 600.")
    assert rules(row, GAS) == ["n-gram"]
    assert (
        rules(pair("Explain.", chosen=f"Well: {twelve}! With 300 and 600."), GAS, coverage=0.9)
        == []
    )
    assert rules(pair("Explain.", chosen=f"Well: {twelve}! With 300 and 600."), GAS, ngram=12) == [
        "n-gram"
    ]


def test_half_of_the_words_in_runs_of_eight() -> None:
    words = [*STEM.split(), *CHOICES]  # 23 words: half are 11.5
    apart = f"{' '.join(words[:8])} and then 300 600 {' '.join(words[14:])}"
    assert rules(pair("Explain.", chosen=apart), GAS) == ["coverage"]
    assert rules(pair("Explain.", chosen=" ".join(words[:11]) + " 300 600"), GAS) == []
    assert rules(pair("Explain.", chosen=" ".join(words[:12]) + " 300 600"), GAS) == ["coverage"]
    assert (
        rules(pair("Explain.", chosen=" ".join(words[:12]), rejected="300 600"), GAS) == []
    )  # in one text


def test_the_same_exercise_with_other_numbers_is_another() -> None:
    assert rules(pair(STEM.replace("600", "450") + " or so"), GAS) == []
    assert rules(pair(STEM + " or so"), GAS) == ["n-gram"]


def test_the_frame_of_an_exam_is_no_overlap() -> None:
    one = EvalQuestion(
        "mmlu", "1", "Which of the following is an example of a detritivore?", ("cat", "fungus")
    )
    assert (
        rules(
            mcq("Which of the following is an example of a chemical change?", "rust", "rain"), one
        )
        == []
    )


BOX = (
    "For the question, mark the box corresponding to the correct answer. "
    "Each question has exactly one correct answer."
)
EXAM = [
    "Which symmetric matrix has orthogonal eigenvectors with distinct real eigenvalues "
    "along every principal axis",
    "How does a parallel garbage collector reclaim unreachable cyclic objects while "
    "mutator threads keep allocating",
    "Why do stochastic gradients escape narrow saddle regions faster than full batches "
    "under equal learning rates",
    "Where does a turbulent boundary layer separate from an aerofoil whose camber grows "
    "towards its trailing edge",
    "When may an optimistic transaction commit although concurrent readers hold older "
    "snapshots of several pages",
]


def test_boilerplate_of_exams_is_no_overlap_and_what_stands_behind_it_is() -> None:
    evaluation = [EvalQuestion("exam", str(n), f"{BOX} {asked}") for n, asked in enumerate(EXAM)]
    other = f"{BOX} Let us name a sorting algorithm whose worst case is linear."
    assert rules(pair(other), *evaluation[:4]) == ["n-gram"] * 4
    assert rules(pair(other), *evaluation) == []
    assert rules(pair(f"Well: {EXAM[2]}."), *evaluation) == ["n-gram"]
    half = " ".join(EXAM[2].split()[:9])  # of its own 16 words: of all 34 it is less than half
    assert rules(pair(f"Well: {half}."), *evaluation) == ["coverage"]


def test_exercises_of_one_template_are_found_by_their_numbers() -> None:
    evaluation = [
        EvalQuestion("exam", str(n), f"{BOX} {STEM.replace('300', str(n))}?") for n in range(40)
    ]
    assert rules(pair(f"{BOX} {STEM.replace('300', '7')} or so"), *evaluation) == ["n-gram"]
    assert rules(pair(f"{BOX} {STEM.replace('300', '700')} or so"), *evaluation) == []


def test_several_rows_and_questions_and_the_report() -> None:
    other = EvalQuestion("arc", "x", STEM)
    rows = [mcq(STEM, *CHOICES), pair(STEM)]
    found = find_overlaps(rows, [GAS, other], Decontaminate())
    assert found == [
        Overlap("r1", "mcq: s", "mmlu", "7", "stem and options"),
        Overlap("r1", "mcq: s", "arc", "x", "stem"),
        Overlap("r1", "dpo: s", "mmlu", "7", "stem"),
        Overlap("r1", "dpo: s", "arc", "x", "stem"),
    ]
    assert report(found)[1] == {
        "source": "dpo: s",
        "eval_set": "mmlu",
        "rule": "stem",
        "rows": 1,
        "questions": 1,
        "ids": [["r1", "7"]],
    }
    assert table(found[:2]) == (
        "training source  evaluation set  rule              rows  questions\n"
        "mcq: s           arc             stem              1     1\n"
        "mcq: s           mmlu            stem and options  1     1"
    )
    assert (
        find_overlaps([], [GAS], Decontaminate()) == find_overlaps(rows, [], Decontaminate()) == []
    )


def test_a_row_of_a_test_part_becomes_an_evaluation_question() -> None:
    assert eval_question(mcq(STEM, *CHOICES), "mcq test") == EvalQuestion(
        "mcq test", "r1", STEM, CHOICES
    )
    asked = pair("Why?\n\nOptions:\nA. x\nB. y")
    assert eval_question(asked, "dpo test").choices == ("x", "y")


def course(path: str) -> list[EvalQuestion]:
    rows = [json.loads(line)["question"] for line in (SHARED / path).open(encoding="utf-8")]
    stems = [bare(row).split("\n\nOptions:")[0] for row in rows]
    return [
        EvalQuestion(path, str(n), stem, choices_of(row))
        for n, (stem, row) in enumerate(zip(stems, rows, strict=True))
    ]


def counts(train: list[EvalQuestion], evaluation: list[EvalQuestion]) -> dict[str, int]:
    found = find_overlaps(
        [mcq(question.stem, *question.choices) for question in train], evaluation, Decontaminate()
    )
    return {row["rule"]: row["questions"] for row in report(found)}


@pytest.mark.skipif(not SHARED.exists(), reason="the shared data is not here")
def test_every_question_of_the_course_example_is_found_in_mmlu() -> None:
    mmlu = [
        row
        for path in sorted((SHARED / "mmlu_stem_csv").glob("*.csv"))
        for row in csv.reader(path.open())
    ]
    test = [EvalQuestion("mmlu", str(n), row[0], tuple(row[1:5])) for n, row in enumerate(mmlu)]
    example = course("course_template_examples/mcqa_example.jsonl")
    rows = [mcq(question.stem, *question.choices) for question in example]
    alone = [find_overlaps([row], test, Decontaminate())[:1] for row in rows[:3]]
    assert [[overlap.rule for overlap in found] for found in alone] == [["stem and options"]] * 3
    assert (len(example), len(test), counts(example, test)["stem and options"]) == (356, 3018, 356)


@pytest.mark.skipif(not SHARED.exists(), reason="the shared data is not here")
def test_arc_has_few_overlaps_between_its_own_parts() -> None:
    train, test = (course(f"arc_challenge/mcqa_ai2_arc_{part}.jsonl") for part in ("train", "test"))
    assert counts(train, test) == {"coverage": 1, "n-gram": 3, "stem": 7}
