from __future__ import annotations

from data_builders.worked import final_number, without_annotations


def test_annotations_go_and_the_final_number_is_read() -> None:
    answer = without_annotations("He sold 48/2 = <<48/2=24>>24 clips.\n#### 1,072")
    assert answer == "He sold 48/2 = 24 clips.\n#### 1,072"
    assert final_number(answer) == "1072"


def test_model_solutions_end_like_the_data_set() -> None:
    assert without_annotations("1 + 1 = <<1+1=2>>2\nA: 2") == "1 + 1 = 2\n#### 2"


def test_an_answer_without_end_has_no_final_number() -> None:
    assert final_number("0.33333333") is None
    assert final_number("so\n#### many") is None
