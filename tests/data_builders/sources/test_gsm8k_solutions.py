from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.data_builders.small_recipe import write_lines
from tests.data_builders.sources.reading import drops, read, rows


def test_solutions_pair_right_with_wrong_and_skip_endless_ones(tmp_path: Path) -> None:
    def solved(**solutions: tuple[bool, str]) -> dict[str, Any]:
        named = {
            name: {"is_correct": right, "solution": text}
            for name, (right, text) in solutions.items()
        }
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
    assert row["meta"] == {"chosen_by": "large", "rejected_by": "small"}
    assert drops(items) == [("s.jsonl:2", "no wrong solution"), ("s.jsonl:3", "no right solution")]
