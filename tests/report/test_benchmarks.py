from __future__ import annotations

from pathlib import Path
from typing import Any

from eval.harness.worker import _as_in_files
from report import samples
from report.benchmarks import answer_of, is_benchmark, question_of
from report.outcomes import RIGHT, UNJUDGED, WRONG
from stemma.jsonl import write_jsonl

CHOICE: dict[str, Any] = _as_in_files(
    {
        "doc_id": 3,
        "doc": {"question": "Which?"},
        "filter": "none",
        "target": 1,
        "arguments": [
            ("Question: Which?\nAnswer:", " joule"),
            ("Question: Which?\nAnswer:", " newton"),
        ],
        "resps": [[(-4.0, False)], [(-2.0, False)]],
        "filtered_resps": [(-4.0, False), (-2.0, False)],
        "acc": 1.0,
    }
)
WRITTEN: dict[str, Any] = _as_in_files(
    {
        "doc_id": 3,
        "filter": "strict-match",
        "target": "#### 5",
        "arguments": [("Q: 2 + 3?\nA:", {"until": ["\n"]})],
        "resps": [["It is 6."]],
        "filtered_resps": ["6"],
        "exact_match": 0.0,
    }
)


def test_multiple_choice_shows_prompt_choices_and_the_likeliest() -> None:
    assert is_benchmark(CHOICE)
    question = question_of(CHOICE)
    assert question.parts == (
        ("Prompt", "Question: Which?\nAnswer:"),
        ("Choices", "joule\nnewton"),
    )
    assert (question.gold, answer_of(CHOICE)) == ("newton", "newton")


def test_the_arguments_as_the_harness_holds_them_in_memory_do_as_well() -> None:
    plain = CHOICE | {
        "arguments": [["Which?", " joule"], ["Which?", " newton"]],
        "filtered_resps": [[-1.0, True], [-2.0, False]],
        "target": "0",
    }
    assert (question_of(plain).gold, answer_of(plain)) == ("joule", "joule")


def test_a_written_answer_shows_what_the_filter_left() -> None:
    question = question_of(WRITTEN)
    assert question.parts == (("Prompt", "Q: 2 + 3?\nA:"),)
    assert (question.gold, answer_of(WRITTEN)) == ("#### 5", "6")


def test_another_shape_is_shown_and_does_not_stop_the_page() -> None:
    odd = WRITTEN | {
        "arguments": "Q",
        "filtered_resps": "x",
        "target": None,
    }
    assert question_of(odd).parts == ()
    assert answer_of(odd) == "x"


def test_one_of_the_harness_filters_counts(tmp_path: Path) -> None:
    path = tmp_path / "gsm8k.jsonl"
    other = WRITTEN | {"filter": "flexible-extract", "exact_match": 1.0}
    write_jsonl(path, [WRITTEN, other])
    found = samples._outcomes({"base": path})
    assert list(found.places) == ["3 strict-match", "3 flexible-extract"]
    assert list(found.by_variant["base"]) == [WRONG, UNJUDGED]
    write_jsonl(path, [CHOICE])
    assert list(samples._outcomes({"base": path}).by_variant["base"]) == [RIGHT]
