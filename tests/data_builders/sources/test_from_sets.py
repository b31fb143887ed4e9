from __future__ import annotations

from pathlib import Path

from data_builders.flow import CleanRow, Draft, Kind, Placed, Row, plain
from data_builders.sources.from_sets import Options, read
from stemma.rows import CorpusRow, McqRow, PreferenceRow, SftRow, Split
from stemma.templates import answered
from tests.data_builders.small_recipe import make_context


def place(kind: Kind, row: Row, split: Split = "train") -> Placed:
    draft = Draft("f.jsonl:1", "q", {}, "f.jsonl")
    clean = CleanRow(f"{kind}: s", kind, f"key {row.id}", draft, row)
    return clean.placed(split, f"key {row.id}", fixed=False)


def test_training_rows_of_the_other_sets_become_plain_texts(tmp_path: Path) -> None:
    sft = SftRow(id="1", source="s", messages=answered("What is 2 + 2?", "4"))
    pair = PreferenceRow(
        id="2", source="s", question_id="q", prompt="Why?", chosen="good", rejected="bad"
    )
    mcq = McqRow(id="3", source="s", question="Pick", choices=["x", "y"], answer="B")
    corpus = CorpusRow(id="4", source="s", text="already")
    placed = (
        *(place("sft", sft), place("dpo", pair), place("mcq", mcq)),
        *(place("mcq", mcq, "test"), place("corpus", corpus)),
    )
    assert list(read(Options(source="from_sets"), make_context("corpus", tmp_path, placed))) == [
        Draft("sft 1", "key 1", {"text": "Question: What is 2 + 2?\n\nAnswer: 4"}, "f.jsonl"),
        Draft("dpo 2", "key 2", {"text": "Question: Why?\n\nAnswer: good"}, "f.jsonl"),
        Draft(
            "mcq 3",
            "key 3",
            {"text": "Question: Pick\n\nOptions:\nA. x\nB. y\n\nAnswer: B"},
            "f.jsonl",
        ),
    ]


def test_plain_is_the_chat_layout_without_tokens() -> None:
    assert plain(" What is 3 + 4?", "7 ") == "Question: What is 3 + 4?\n\nAnswer: 7"
