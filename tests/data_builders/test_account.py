from __future__ import annotations

import pytest

from data_builders.account import Account, sources_of
from data_builders.flow import CleanRow, Draft, Drop, Placed
from stemma.rows import CorpusRow, Dropped
from tests.data_builders.small_recipe import make_recipe


def test_batches_are_told_apart_by_set_file_and_number() -> None:
    exercises = {"source": "stem_exercises", "licence": "MIT"}
    pairs = {"source": "preference_jsonl", "path": "p.jsonl"}
    data = make_recipe(
        {"sft": {"sources": [exercises, exercises]}, "dpo": {"sources": [pairs, exercises]}}
    ).data
    found = sources_of(data)
    assert [(source.name, source.kind, source.phase, source.licence) for source in found] == [
        ("sft: stem_exercises", "sft", "read", "MIT"),
        ("sft: stem_exercises (2)", "sft", "read", "MIT"),
        ("dpo: preference_jsonl p.jsonl", "dpo", "read", ""),
        ("dpo: stem_exercises", "dpo", "read", "MIT"),
    ]


def placed(number: int) -> Placed:
    row = CorpusRow(id=f"corpus-{number}", source="s", text="a")
    clean = CleanRow("corpus: s", "corpus", "k", Draft(f"row {number}", "k", {}), row)
    return clean.placed("train", "k", fixed=False)


def test_read_is_kept_and_dropped_and_dropped_rows_are_written_at_once() -> None:
    written: list[Dropped] = []
    account = Account(written.append)
    account.read["corpus: s"] = 3
    account.repaired["corpus: s"] = 1
    account.drop("corpus: s", Drop("row 1", "empty answer", {"text": "\ud83d"}))
    account.drop_placed(placed(2), "duplicate")
    assert [(row.source, row.where, row.reason, row.row) for row in written] == [
        ("corpus: s", "row 1", "empty answer", {"text": "\\ud83d"}),
        ("corpus: s", "row 2", "duplicate", {"id": "corpus-2", "source": "s", "text": "a"}),
    ]
    assert account.counts([placed(3)]) == {
        "sources": {
            "corpus: s": {
                "read": 3,
                "kept": 1,
                "dropped": {"duplicate": 1, "empty answer": 1},
                "repaired": 1,
            }
        },
        "sets": {"corpus": {"train": 1}},
    }


def test_a_row_that_disappears_is_a_bug() -> None:
    account = Account(lambda _: None)
    account.read["corpus: s"] = 2
    with pytest.raises(AssertionError, match="corpus: s: 2 read, 1 kept"):
        account.counts([placed(1)])
