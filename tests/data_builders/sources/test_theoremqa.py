from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from stemma.errors import UserError
from tests.data_builders.sources.reading import drops, read, rows

ROW = {
    "Question": "How many?",
    "Answer": 11760,
    "Answer_type": "integer",
    "Picture": None,
    "source": "self",
    "id": "a/b.json",
    "explanation": "NONE",
    "theorem": "lah number",
    "subfield": "Combinatorics",
    "field": "Math",
}


@pytest.mark.parametrize(
    ("answer", "kind", "gold"),
    [
        (11760, "integer", "11760"),
        (1.0, "float", "1.0"),
        (True, "bool", "True"),
        ([0, 5], "list of integer", "[0, 5]"),
        ([0.5, -1], "list of float", "[0.5, -1]"),
        ("(c)", "option", "(c)"),
        (" 3.5", "float", "3.5"),
    ],
)
def test_every_type_of_answer_is_written_as_text(
    tmp_path: Path, answer: Any, kind: str, gold: str
) -> None:
    (tmp_path / "t.json").write_text(json.dumps([{**ROW, "Answer": answer, "Answer_type": kind}]))
    [row] = rows(read("sft", "theoremqa", tmp_path, "t.json"))
    assert [message["content"] for message in row["messages"]] == ["How many?", gold]
    assert row["meta"] == {
        "gold": gold,
        "answer_type": kind,
        "subject": "Combinatorics",
        "theorem": "lah number",
    }


def test_questions_with_a_picture_are_dropped_and_unknown_types_refused(tmp_path: Path) -> None:
    (tmp_path / "t.json").write_text(json.dumps([{**ROW, "Picture": "images/x.png"}, ROW]))
    items = read("sft", "theoremqa", tmp_path, "t.json")
    assert len(rows(items)) == 1
    assert drops(items) == [("t.json:1 row 1", "needs its picture")]
    (tmp_path / "t.json").write_text(json.dumps([{**ROW, "Answer_type": "matrix"}]))
    with pytest.raises(UserError, match="Answer_type: Input should be 'integer'"):
        read("sft", "theoremqa", tmp_path, "t.json")
