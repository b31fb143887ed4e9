from __future__ import annotations

from pathlib import Path

from tests.data_builders.small_recipe import write_lines
from tests.data_builders.sources.reading import drops, read, rows


def test_pairs_lose_the_frame_and_need_two_answers(tmp_path: Path) -> None:
    write_lines(
        tmp_path / "p.jsonl",
        {"prompt": "Question: Why?\n\nAnswer:", "chosen": "a", "rejected": "b"},
        {"prompt": "How?", "chosen": "e", "rejected": None},
    )
    items = read("dpo", "preference_jsonl", tmp_path, "p.jsonl")
    assert rows(items) == [{"prompt": "Why?", "chosen": "a", "rejected": "b"}]
    assert drops(items) == [("p.jsonl:2", "empty answer")]
