from __future__ import annotations

from pathlib import Path

from tests.data_builders.small_recipe import write_lines
from tests.data_builders.sources.reading import drops, read, rows

ROW = {
    "question": "What is 10% of 50?",
    "options": ["A)4", "B) 5", "C)1,000"],
    "rationale": "50 * 10 / 100 = 5\nAnswer: B",
    "correct": "B",
}


def test_lines_of_a_json_file_become_questions_with_and_without_the_rationale(
    tmp_path: Path,
) -> None:
    write_lines(tmp_path / "train.json", ROW)
    letter, explained = rows(read("mcq", "aqua", tmp_path, "train.json", answer_as="both"))
    assert (letter["choices"], letter["answer"]) == (["4", "5", "1,000"], "B")
    assert "explanation" not in letter
    assert explained["explanation"] == "50 * 10 / 100 = 5"


def test_what_cannot_be_read_is_dropped(tmp_path: Path) -> None:
    write_lines(tmp_path / "t.json", {**ROW, "correct": "D"}, {**ROW, "options": ["A)4", "C)5"]})
    assert drops(read("mcq", "aqua", tmp_path, "t.json")) == [
        ("t.json:1", "the answer is none of the options"),
        ("t.json:2", "options not in the layout `A)…`, `B)…`"),
    ]
