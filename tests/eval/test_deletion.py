"""Citation faithfulness: what is taken out, and what the log-probability falls by."""

from __future__ import annotations

from eval.contexts import RowContext, Used
from eval.deletion import (
    Deletion,
    cited_in,
    deletions,
    falls,
    metrics,
    passages_without,
    rows_to_compare,
)
from stemma.rows import SftRow
from stemma.templates import answered


def used(name: str) -> Used:
    return Used(id=name, title="", source="", place="", text=name, cut=False)


def context(row: str, *names: str) -> RowContext:
    found = [used(name) for name in names]
    return RowContext(id=row, query=row, found=len(found), passages=found, tokens=1)


def test_the_cited_passage_or_the_first_is_taken_out_beside_one_that_is_not_cited() -> None:
    replies = [
        {"id": "a", "reply": "It is 7 [2], or [9]."},
        {"id": "b", "reply": "seven"},
        {"id": "c", "reply": "alone"},
        {"id": "d", "reply": "  "},
        {"id": "e", "reply": "closed-book"},
    ]
    contexts = [
        context("a", "x", "y", "z"),
        context("b", "x", "y"),
        context("c", "x"),
        context("d", "x"),
        context("e"),
    ]
    found = deletions(replies, contexts, seed=1)
    assert found["a"] == Deletion("a", cites=True, cited=2, other=3)
    assert found["b"] == Deletion("b", cites=False, cited=1, other=2)
    assert found["c"] == Deletion("c", cites=False, cited=1, other=None)
    assert set(found) == {"a", "b", "c"}, "no reply, or no passage: nothing to take out"
    assert cited_in("[3] [1] [3] [4] [0]", 3) == [3, 1]
    assert [one.id for one in passages_without(contexts[0].passages, 2)] == ["x", "z"]


def test_the_reply_stands_behind_each_context() -> None:
    row = SftRow(id="a", source="toy", messages=answered("Q?", "7"))
    found = {"a": Deletion("a", cites=False, cited=1, other=2)}
    rows = list(
        rows_to_compare(found, {"a": row}, {"a": "7"}, lambda name, number: f"{name} {number}")
    )
    assert [(one.id, one.prompt, one.chosen, one.rejected) for one in rows] == [
        ("a/all", "a None", "7", "?"),
        ("a/1", "a 1", "7", "?"),
        ("a/2", "a 2", "7", "?"),
    ]


def test_the_fall_is_in_nats_and_its_control_beside_it() -> None:
    found = {
        "a": Deletion("a", cites=True, cited=1, other=2),
        "b": Deletion("b", cites=False, cited=1, other=None),
    }
    log_probs = {"a/all": -1.0, "a/1": -5.0, "a/2": -1.5, "b/all": -2.0, "b/1": -4.0}
    samples = [{"id": name, "chosen_log_prob": value} for name, value in log_probs.items()]
    rows = falls(found, samples)
    assert [(row["fall"], row["fall_other"]) for row in rows] == [(4.0, 0.5), (2.0, None)]
    values = {one.name: (one.value, one.n) for one in metrics(rows, seed=1)}
    assert values == {
        "cited": (0.5, 2),
        "deletion_fall": (3.0, 2),
        "deletion_fall_other": (0.5, 1),
        "deletion_fall_minus_other": (3.5, 1),
    }
