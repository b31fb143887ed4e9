from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

from tests.data_builders.small_recipe import write_lines
from tests.data_builders.sources.reading import drops, read, rows

NAN = float("nan")


def pair(number: int, chosen: float | None, rejected: float | None) -> dict[str, Any]:
    answers = {"chosen_response": "good", "rejected_response": "bad"}
    ratings = {"chosen_rating": chosen, "rejected_rating": rejected}
    return {"metadata": '{"length": 4}', "instruction": f"q{number}", **answers, **ratings}


def test_unknown_ratings_stay_unknown_and_a_pair_not_rated_higher_goes(tmp_path: Path) -> None:
    pairs = [
        pair(1, 5.0, 4.5),
        pair(2, NAN, 4.0),
        pair(3, 4.0, NAN),
        pair(4, 4.0, 4.0),
        pair(5, 3.0, 4.0),
    ]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(pairs), tmp_path / "a.parquet")
    write_lines(tmp_path / "a.jsonl", *pairs)
    for path, places in {"a.parquet": (" row 4", " row 5"), "a.jsonl": (":4", ":5")}.items():
        items = read("dpo", "argilla_math", tmp_path, path)
        assert [(row["prompt"], *row["meta"].values()) for row in rows(items)] == [
            ("q1", 5.0, 4.5),
            ("q2", None, 4.0),
            ("q3", 4.0, None),
        ]
        assert drops(items) == [(path + place, "chosen not rated higher") for place in places]
        assert len(rows(read("dpo", "argilla_math", tmp_path, path, not_higher="keep"))) == 5


def test_conversations_take_every_chosen_answer(tmp_path: Path) -> None:
    write_lines(tmp_path / "a.jsonl", {**pair(1, 3.0, 4.0), "metadata": {"length": 4}})
    [row] = rows(read("sft", "argilla_math", tmp_path, "a.jsonl"))
    assert [message["content"] for message in row["messages"]] == ["q1", "good"]
