"""The sources that read real files: small fixtures in their formats, and the real files where they are present."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from data_builders import SOURCES
from data_builders.drafts import Draft, Drop, Kind
from data_builders.sources.gsm8k import final_number, without_annotations
from data_builders.sources.mcq_jsonl import parse_mcq
from data_builders.split import question_key
from stemma import ROOT
from stemma.errors import UserError
from tests.data_builders.small_recipe import make_context, write_lines

REAL = Path(os.environ.get("STEMMA_DATA", ROOT.parent / "shared" / "data"))
real_data = pytest.mark.skipif(not REAL.is_dir(), reason=f"no real data at {REAL} (STEMMA_DATA)")


def read(kind: Kind, source: str, root: Path, path: str) -> list[Draft | Drop]:
    options = SOURCES[source].Options(source=source, path=path)
    assert options.files() == [path]
    return list(SOURCES[source].read(options, make_context(kind, root)))


def rows(items: list[Draft | Drop]) -> list[dict[str, Any]]:
    return [item.row for item in items if isinstance(item, Draft)]


def drops(items: list[Draft | Drop]) -> list[tuple[str, str]]:
    return [(item.where, item.reason) for item in items if isinstance(item, Drop)]


def test_preference_pairs_lose_the_frame_and_need_two_answers(tmp_path: Path) -> None:
    write_lines(
        tmp_path / "p.jsonl",
        {"prompt": "Question: Why?\n\nAnswer:", "chosen": "a", "rejected": "b"},
        {"prompt": "why", "chosen": "c", "rejected": "d"},
        {"prompt": "How?", "chosen": "e", "rejected": None},
    )
    items = read("dpo", "preference_jsonl", tmp_path, "p.jsonl")
    assert rows(items) == [
        {"prompt": "Why?", "chosen": "a", "rejected": "b", "meta": {"file": "p.jsonl"}},
        {"prompt": "why", "chosen": "c", "rejected": "d", "meta": {"file": "p.jsonl"}},
    ]
    assert drops(items) == [("p.jsonl row 3", "empty answer")]


def test_mcq_keys_may_be_letters_or_digits_and_must_be_an_option(tmp_path: Path) -> None:
    def question(labels: str) -> str:
        return "Question: q?\n\nOptions:\n" + "\n".join(f"{label}. c{label}" for label in labels) + "\n\nAnswer:"

    write_lines(
        tmp_path / "m.jsonl",
        {"subject": None, "question": question("ABCD"), "answer": "C"},
        {"subject": "s", "question": question("1234"), "answer": "2"},
        {"subject": "s", "question": question("ABC"), "answer": "D"},
        {"subject": "s", "question": "no options", "answer": "A"},
    )
    items = read("mcq", "mcq_jsonl", tmp_path, "m.jsonl")
    assert rows(items) == [
        {
            "question": "q?",
            "choices": ["cA", "cB", "cC", "cD"],
            "answer": "C",
            "subject": "",
            "meta": {"file": "m.jsonl"},
        },
        {
            "question": "q?",
            "choices": ["c1", "c2", "c3", "c4"],
            "answer": "B",
            "subject": "s",
            "meta": {"file": "m.jsonl"},
        },
    ]
    assert drops(items) == [
        ("m.jsonl row 3", "the answer is none of the options"),
        ("m.jsonl row 4", "not in the layout `Question: … Options: A. … Answer:`"),
    ]


def test_gsm8k_becomes_a_conversation_with_its_gold_number(tmp_path: Path) -> None:
    write_lines(
        tmp_path / "g.jsonl",
        {"question": "How many?", "answer": "2+2=<<2+2=4>>4\n#### 4"},
        {"question": "Who?", "answer": "nobody"},
    )
    items = read("sft", "gsm8k", tmp_path, "g.jsonl")
    assert rows(items) == [
        {
            "messages": [{"role": "user", "content": "How many?"}, {"role": "assistant", "content": "2+2=4\n#### 4"}],
            "meta": {"gold": "4", "file": "g.jsonl"},
        }
    ]
    assert drops(items) == [("g.jsonl row 2", "no final `#### number`")]


def test_solutions_pair_right_with_wrong_and_skip_endless_ones(tmp_path: Path) -> None:
    def solved(**solutions: tuple[bool, str]) -> dict[str, Any]:
        named = {name: {"is_correct": right, "solution": text} for name, (right, text) in solutions.items()}
        return {"question": "q?", "ground_truth": "t\nA: 4", **named}

    write_lines(
        tmp_path / "s.jsonl",
        solved(small=(False, "so\nA: 5"), large=(True, "thus\nA: 4"), endless=(False, "0.333333")),
        solved(small=(True, "so\nA: 4")),
        solved(small=(False, "so\nA: 5"), endless=(True, "4 4 4 4")),
    )
    items = read("dpo", "gsm8k_solutions", tmp_path, "s.jsonl")
    [row] = rows(items)
    assert (row["chosen"], row["rejected"]) == ("thus\n#### 4", "so\n#### 5")
    assert row["meta"] == {"chosen_by": "large", "rejected_by": "small", "file": "s.jsonl"}
    assert drops(items) == [("s.jsonl row 2", "no wrong solution"), ("s.jsonl row 3", "no right solution")]


def test_course_questions_are_parsed_with_letters_digits_and_long_choices() -> None:
    assert parse_mcq("Question: q\nmore\n\nOptions:\nA. 1\nB. 2\n\nAnswer:") == ("q\nmore", {"A": "1", "B": "2"})
    assert parse_mcq("Question: q\n\nOptions:\n1. x\n2. y\n3. z\n\nAnswer:") == ("q", {"1": "x", "2": "y", "3": "z"})
    assert parse_mcq("Question: q\n\nOptions:\nA. if x:\n  A. go\nB. stop\n\nAnswer:") == (
        "q",
        {"A": "if x:\n  A. go", "B": "stop"},
    )
    assert parse_mcq("What is 2 + 2?") is None


def test_annotations_go_and_the_final_number_is_read() -> None:
    answer = without_annotations("He sold 48/2 = <<48/2=24>>24 clips.\n#### 1,072")
    assert answer == "He sold 48/2 = 24 clips.\n#### 1,072"
    assert final_number(answer) == "1072"


def test_model_solutions_end_like_the_data_set() -> None:
    assert without_annotations("1 + 1 = <<1+1=2>>2\nA: 2") == "1 + 1 = 2\n#### 2"


def test_an_answer_without_end_has_no_final_number() -> None:
    assert final_number("0.33333333") is None
    assert final_number("so\n#### many") is None


@pytest.mark.parametrize("source", ["preference_jsonl", "mcq_jsonl", "gsm8k", "gsm8k_solutions"])
def test_a_malformed_line_is_named_by_file_and_line(tmp_path: Path, source: str) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text('{"question": \n{"other": 1}\n', encoding="utf-8")
    with pytest.raises(UserError) as caught:
        read("dpo", source, tmp_path, "bad.jsonl")
    assert f"{path}:1: not valid JSON" in str(caught.value)
    assert f"{path}:2: " in str(caught.value)
    assert "other: Extra inputs are not permitted" in str(caught.value) or source == "gsm8k_solutions"


@real_data
def test_the_course_preference_file_has_412_prompts_in_428_pairs() -> None:
    items = read("dpo", "preference_jsonl", REAL, "course_template_examples/dpo_preference_example.jsonl")
    assert len(rows(items)) == 428
    assert len({question_key(row["prompt"]) for row in rows(items)}) == 412


@real_data
def test_every_real_mcq_is_parsed() -> None:
    for path, size in {
        "course_template_examples/mcqa_example.jsonl": 356,
        "mmlu_course_format/mcqa_mmlu_validation.jsonl": 227,
        "arc_challenge/mcqa_ai2_arc_train.jsonl": 1119,
    }.items():
        items = read("mcq", "mcq_jsonl", REAL, path)
        assert (len(rows(items)), drops(items)) == (size, [])
        letters = Counter(row["answer"] for row in rows(items))
        raw = Counter(json.loads(line)["answer"] for line in (REAL / path).read_text(encoding="utf-8").splitlines())
        assert letters["B"] == raw["B"] + raw["2"]


@real_data
def test_731_real_problems_have_a_right_and_a_wrong_solution() -> None:
    items = read("dpo", "gsm8k_solutions", REAL, "gsm8k/example_model_solutions.jsonl")
    assert len(rows(items)) == 731
    assert len(items) == 1319


@real_data
def test_all_3000_real_gsm8k_answers_have_a_gold_number() -> None:
    items = read("sft", "gsm8k", REAL, "gsm8k/train.first3000.jsonl")
    assert len(rows(items)) == 3000
    assert rows(items)[0]["meta"]["gold"] == "72"
    assert not any("<<" in row["messages"][1]["content"] for row in rows(items))
