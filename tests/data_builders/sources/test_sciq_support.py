from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from tests.data_builders.small_recipe import write_lines
from tests.data_builders.sources.reading import drops, read, rows

PUBLISHED = {
    "question": "What do plants take in?",
    "distractor1": "oxygen",
    "distractor2": "helium",
    "distractor3": "neon",
    "correct_answer": "carbon dioxide",
    "support": "Plants take in carbon dioxide.",
}
PROMPT = (
    "Question: What do plants take in?\nOptions:\n A. oxygen\nB. carbon dioxide\nC. neon\nD. helium"
)


def test_the_authors_answers_are_shuffled_by_the_seed(tmp_path: Path) -> None:
    published = [
        {**PUBLISHED, "question": f"What do plants take in, part {number}?"}
        for number in range(200)
    ]
    (tmp_path / "train.json").write_text(json.dumps(published))
    first, second = (rows(read("mcq", "sciq_support", tmp_path, "train.json")) for _ in range(2))
    assert first == second
    for row in first:
        assert sorted(row["choices"]) == ["carbon dioxide", "helium", "neon", "oxygen"]
        assert row["choices"]["ABCD".index(row["answer"])] == "carbon dioxide"
    assert min(Counter(row["answer"] for row in first).values()) > 30


def test_prompts_keep_their_order_and_the_support_explains(tmp_path: Path) -> None:
    write_lines(
        tmp_path / "s.jsonl",
        {
            "prompt": PROMPT,
            "completion": "carbon dioxide\nExplanation: Plants take in carbon dioxide.",
        },
        {"prompt": PROMPT, "completion": "neon"},
        {"prompt": PROMPT, "completion": "water"},
        {"prompt": "What?", "completion": "neon"},
    )
    items = read("mcq", "sciq_support", tmp_path, "s.jsonl", answer_as="both")
    letter, explained, unexplained = rows(items)
    assert (letter["choices"], letter["answer"]) == (
        ["oxygen", "carbon dioxide", "neon", "helium"],
        "B",
    )
    assert explained["explanation"] == "Plants take in carbon dioxide."
    assert unexplained["answer"] == "C"
    assert drops(items) == [
        ("s.jsonl:2", "no explanation"),
        ("s.jsonl:3", "the answer is none of the options"),
        ("s.jsonl:4", "not in the layout `Question: … Options: A. …`"),
    ]


def test_a_question_without_support_is_no_conversation(tmp_path: Path) -> None:
    write_lines(tmp_path / "s.jsonl", PUBLISHED, {**PUBLISHED, "support": ""})
    items = read("sft", "sciq_support", tmp_path, "s.jsonl")
    assert [row["meta"]["gold"] for row in rows(items)] == ["carbon dioxide"]
    assert drops(items) == [("s.jsonl:2", "no explanation")]
