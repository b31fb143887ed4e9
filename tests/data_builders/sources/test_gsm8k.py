from __future__ import annotations

from pathlib import Path

from data_builders.sources.gsm8k import final_number, without_annotations
from tests.data_builders.small_recipe import write_lines
from tests.data_builders.sources.reading import drops, read, rows


def test_a_problem_becomes_a_conversation_with_its_gold_number(tmp_path: Path) -> None:
    write_lines(
        tmp_path / "g.jsonl",
        {"question": "How many?", "answer": "2+2=<<2+2=4>>4\n#### 4"},
        {"question": "Who?", "answer": "nobody"},
    )
    items = read("sft", "gsm8k", tmp_path, "g.jsonl")
    assert rows(items) == [
        {
            "messages": [
                {"role": "user", "content": "How many?"},
                {"role": "assistant", "content": "2+2=4\n#### 4"},
            ],
            "meta": {"gold": "4"},
        }
    ]
    assert drops(items) == [("g.jsonl:2", "no final `#### number`")]


def test_annotations_go_and_the_final_number_is_read() -> None:
    answer = without_annotations("He sold 48/2 = <<48/2=24>>24 clips.\n#### 1,072")
    assert answer == "He sold 48/2 = 24 clips.\n#### 1,072"
    assert final_number(answer) == "1072"


def test_model_solutions_end_like_the_data_set() -> None:
    assert without_annotations("1 + 1 = <<1+1=2>>2\nA: 2") == "1 + 1 = 2\n#### 2"


def test_an_answer_without_end_has_no_final_number() -> None:
    assert final_number("0.33333333") is None
    assert final_number("so\n#### many") is None
