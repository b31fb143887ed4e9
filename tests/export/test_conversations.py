"""export.conversations: which real conversations the gates use, and which of their tokens."""

from __future__ import annotations

from pathlib import Path

import pytest

from export.conversations import ANSWER_TOKENS, CONTEXT_TOKENS, from_files, sample, spread
from stemma.errors import UserError
from stemma.jsonl import write_jsonl
from tests.factories.run_to_export import hard_rows


def test_every_kind_of_row_takes_its_turn(tmp_path: Path) -> None:
    files = {name: tmp_path / f"{name}.jsonl" for name in ("sft", "dpo", "mcq")}
    for name, rows in hard_rows().items():
        write_jsonl(files[name], rows)
    found = from_files(files)
    assert len(found) == 12
    assert [messages[1].content for messages in found[9:12]] == [
        "What is 1 + 1? 7",
        "yes: What is 1 + 1?",
        "A",
    ]
    assert found[11][0].content == "What is 1 + 1?\n\nOptions:\nA. 3 m/s²\nB. 4"


def test_a_conversation_that_stands_there_twice_is_taken_once(tmp_path: Path) -> None:
    pair = {
        "id": "1",
        "source": "s",
        "question_id": "q",
        "prompt": "What is 2 + 2?",
        "chosen": "4",
        "rejected": "5",
    }
    write_jsonl(
        tmp_path / "dpo.jsonl",
        [pair, pair | {"id": "2", "rejected": "6"}, pair | {"id": "3", "chosen": "four"}],
    )
    assert [messages[1].content for messages in from_files({"dpo": tmp_path / "dpo.jsonl"})] == [
        "4",
        "four",
    ]


def test_no_rows_is_an_error(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "sft.jsonl", [])
    with pytest.raises(UserError, match="no test rows"):
        from_files({"sft": tmp_path / "sft.jsonl"})


def test_half_are_hard_where_there_are_enough() -> None:
    hard = [False, False, True, True, True, False]
    assert spread(hard, 4) == [2, 3, 0, 1]
    assert spread(hard, 100) == [2, 3, 4, 0, 1, 5]
    assert spread([True] * 5, 4) == [0, 1, 2, 3]
    assert spread([False] * 5, 4) == [0, 1, 2, 3]


def test_sample_scores_the_answer_and_its_stop_token() -> None:
    # The logits after 12 predict 20, those after 20 predict 21; nothing is asked of the last token.
    assert sample([10, 11, 12], [20, 21]) == ([10, 11, 12, 20], 2)


def test_sample_is_cut() -> None:
    ids, start = sample([1] * 10, [2] * 100)
    assert (len(ids) - start, start) == (ANSWER_TOKENS, 9)
    ids, start = sample([1] * 2000, [2])
    assert (len(ids), start) == (CONTEXT_TOKENS, CONTEXT_TOKENS - 1)
