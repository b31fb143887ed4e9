from __future__ import annotations

from pathlib import Path

from data_builders.drafts import Placed, plain
from data_builders.sources.from_sets import Options, read
from stemma.rows import CorpusRow, McqRow, PreferenceRow, SftRow
from stemma.templates import answered
from tests.data_builders.small_recipe import make_context


def test_training_rows_of_the_other_sets_become_plain_texts(tmp_path: Path) -> None:
    sft = SftRow(id="1", source="s", messages=answered("What is 2 + 2?", "4"))
    pair = PreferenceRow(id="2", source="s", question_id="q", prompt="Why?", chosen="good", rejected="bad")
    mcq = McqRow(id="3", source="s", question="Pick", choices=["x", "y"], answer="B")
    placed = (
        Placed("sft: s", "sft", "train", "k1", "w", sft),
        Placed("dpo: s", "dpo", "train", "k2", "w", pair),
        Placed("mcq: s", "mcq", "train", "k3", "w", mcq),
        Placed("mcq: s", "mcq", "test", "k4", "w", mcq),
        Placed("corpus: s", "corpus", "train", "k5", "w", CorpusRow(id="4", source="s", text="already")),
    )
    drafts = list(read(Options(source="from_sets"), make_context("corpus", tmp_path, placed)))
    assert [(draft.where, draft.row["text"]) for draft in drafts] == [
        ("sft 1", "Question: What is 2 + 2?\n\nAnswer: 4"),
        ("dpo 2", "Question: Why?\n\nAnswer: good"),
        ("mcq 3", "Question: Pick\n\nOptions:\nA. x\nB. y\n\nAnswer: B"),
    ]


def test_plain_is_the_chat_layout_without_tokens() -> None:
    assert plain(" What is 3 + 4?", "7 ") == "Question: What is 3 + 4?\n\nAnswer: 7"
