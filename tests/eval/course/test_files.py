"""Strangers' files: what is read, and that everything wrong with one is told at once."""

from __future__ import annotations

import json
import os
from pathlib import Path
from time import process_time
from typing import Any

import pytest

from eval.course.files import read_files, read_pairs, read_questions
from stemma import ROOT
from stemma.errors import UserError


def question(choices: list[str], answer: str = "B", **more: Any) -> dict[str, Any]:
    listed = "\n".join(f"{letter}. {one}" for letter, one in zip(LETTERS, choices, strict=False))
    text = f"Question: Which one?\n\nOptions:\n{listed}\n\nAnswer:"
    return {"subject": "physics", "question": text, "answer": answer} | more


REAL = Path(os.environ.get("STEMMA_DATA", ROOT.parent / "shared" / "data"))
real = pytest.mark.skipif(not REAL.is_dir(), reason=f"no real data at {REAL} (STEMMA_DATA)")
LETTERS = [chr(65 + n) for n in range(26)] + ["AA"]
PAIR = {"prompt": "What is inertia?", "chosen": "Mass resists.", "rejected": "A force."}


def write(path: Path, *rows: Any, end: str = "\n") -> Path:
    path.write_bytes("".join(json.dumps(row) + end for row in rows).encode())
    return path


def problems(*paths: Path) -> list[str]:
    with pytest.raises(UserError) as caught:
        read_files(list(paths))
    folder = f"{paths[0].parent}/"
    return [str(problem).replace(folder, "") for problem in caught.value.problems]


def test_every_line_is_a_row_named_by_it(tmp_path: Path) -> None:
    path = write(tmp_path / "m.jsonl", question(["p", "q"]), question(["p", "q"]))
    found = read_questions(path)
    assert [row.id for row in found.rows] == ["line-1", "line-2"]  # the same question counts twice
    assert found.rows[0].question == "Which one?"
    assert (found.rows[0].choices, found.rows[0].answer) == (["p", "q"], "B")


def test_a_mark_in_front_blank_lines_and_windows_line_ends_are_no_matter(tmp_path: Path) -> None:
    path = write(tmp_path / "m.jsonl", question(["p", "q"]), question(["r", "s"]), end="\r\n\r\n")
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert [row.id for row in read_questions(path).rows] == ["line-1", "line-3"]


@pytest.mark.parametrize(
    "choices",
    [
        ["two\nlines", "one"],
        ["\\frac{1}{2}", "$x_1$", "a & b"],
        ["same", "same", "other"],
        ["A", "B"],
        ["B. a letter", "C. another"],
        [f"c{n}" for n in range(26)],
    ],
)
def test_choices_come_through_as_they_are(tmp_path: Path, choices: list[str]) -> None:
    [row] = read_questions(write(tmp_path / "m.jsonl", question(choices))).rows
    assert row.choices == choices


def test_digits_are_letters(tmp_path: Path) -> None:
    text = "Question: q?\n\nOptions:\n1. x\n2. y\n\nAnswer:"
    path = write(tmp_path / "m.jsonl", {"question": text, "answer": "2"})
    assert [row.answer for row in read_questions(path).rows] == ["B"]


def test_all_problems_of_all_files_come_at_once(tmp_path: Path) -> None:
    questions = write(
        tmp_path / "m.jsonl",
        question(["newton", "joule"]),
        question(["newton", "joule"], "joule"),
        question(["newton", "joule"], "E"),
        {"question": "Which unit?", "answer": "A"},
        {"question": 7},
        question(LETTERS),
        question(["newton", " "]),
    )
    with questions.open("ab") as stream:
        stream.write(b'{"question": "torn\n\xff\n[1]\n')
    pairs = write(tmp_path / "p.jsonl", PAIR, PAIR | {"chosen": None}, PAIR | {"rejected": " "})
    found = problems(questions, pairs)
    assert [one.split("\n")[0] for one in found] == [
        "m.jsonl:2: answer 'joule'",
        "m.jsonl:3: answer 'E'",
        "m.jsonl:4: no question with its options",
        "m.jsonl:5: question: Input should be a valid string",
        "m.jsonl:5: answer: Field required",
        "m.jsonl:6: 27 options",
        "m.jsonl:7: option B is empty",
        "m.jsonl:8: not valid JSON (Unterminated string starting at at column 14): "
        '\'{"question": "torn\'',
        "m.jsonl:9: not UTF-8: byte 0xff",
        "m.jsonl:10: a JSON list",
        "p.jsonl:2: chosen: Input should be a valid string",
        "p.jsonl:3: `rejected` is empty",
    ]
    assert found[0].endswith(
        "expected: one of A, B\n  hint: it is the text of option B: give the letter"
    )


def test_a_wrong_file_is_named_with_what_it_should_be(tmp_path: Path) -> None:
    array = tmp_path / "array.jsonl"
    array.write_text(json.dumps([PAIR]))
    other = write(tmp_path / "other.jsonl", {"text": "x"})
    empty = write(tmp_path / "empty.jsonl")
    pairs = [write(tmp_path / f"p{n}.jsonl", PAIR) for n in range(2)]
    gone = tmp_path / "gone.jsonl"
    assert [one.split("\n")[0] for one in problems(array, other, empty, *pairs, gone)] == [
        "array.jsonl:1: a JSON array",
        "other.jsonl:1: keys text",
        "empty.jsonl: no rows in it",
        "p1.jsonl: a second file of pairs, after p0.jsonl",
        "gone.jsonl: no such file",
    ]


def test_pairs_of_a_prompt_are_one_question_and_equal_answers_are_told(tmp_path: Path) -> None:
    alike = PAIR | {"rejected": "Mass resists.\n"}
    path = write(tmp_path / "p.jsonl", PAIR, alike, PAIR | {"chosen": "Mass."})
    found = read_pairs(path)
    assert [(row.id, row.question_id) for row in found.rows] == [
        ("line-1", "line-1"),
        ("line-3", "line-1"),
    ]
    assert (found.alike, found.lines) == ([2], 3)
    assert problems(write(tmp_path / "q.jsonl", alike))[0].startswith(
        "q.jsonl: nothing but pairs of equal answers (1)"
    )


def test_keys_that_are_not_read_are_counted(tmp_path: Path) -> None:
    rows = [question(["p", "q"], dataset="x", id=3), question(["p", "q"], id=4)]
    assert read_questions(write(tmp_path / "m.jsonl", *rows)).passed_over == {
        "dataset": 1,
        "id": 2,
    }


def test_a_large_file_is_read_in_time_that_grows_with_it(tmp_path: Path) -> None:
    seconds = []
    for count in (2_000, 20_000):
        line = json.dumps(question(["newton " * 5, "joule " * 5, "watt", "pascal"]))
        path = tmp_path / f"m{count}.jsonl"
        path.write_text(f"{line}\n" * count)
        begin = process_time()
        assert len(read_questions(path).rows) == count
        seconds.append(process_time() - begin)
    assert seconds[1] < 30 * seconds[0]


@real
@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("course_template_examples/mcqa_example.jsonl", 356),
        ("mmlu_course_format/mcqa_mmlu_test.jsonl", 2109),
        ("sciq/mcqa_sciq_test.jsonl", 1000),
    ],
)
def test_the_real_mcq_files_are_read_whole(name: str, rows: int) -> None:
    assert read_questions(REAL / name).lines == rows


@real
def test_the_real_preference_file_is_read_whole() -> None:
    found = read_pairs(REAL / "course_template_examples/dpo_preference_example.jsonl")
    assert found.lines == 428
    assert len({row.question_id for row in found.rows}) == 412
