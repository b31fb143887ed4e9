"""What an exported model was trained on, as chat wants to know it: how many of its rows hold a
conversation, and how long they were. Counted here, since a laptop gets `export/` alone."""

from __future__ import annotations

from typing import Any

from stemma.chain import lineage
from stemma.jsonl import read_rows
from stemma.rows import Message, PreferenceRow, SftRow
from stemma.stages import Work

KINDS: dict[str, type[SftRow | PreferenceRow]] = {"sft": SftRow, "dpo": PreferenceRow}
"""Stages whose rows may hold several questions."""


def trained_on(work: Work) -> dict[str, Any]:
    """`{"rows": {"sft": {"rows": 1444, "several_questions": 0}}, "longest_tokens": 256}`.

    `longest_tokens` is None for a given base model, which saw longer texts in its own training.
    """
    recipe = work.recipe
    stages = lineage(recipe)
    rows = {stage: _counts(work, stage) for stage in stages if stage in KINDS}
    own = ["base", *stages] if recipe.base else []
    lengths = [recipe.training_settings(stage)["sequence_len"] for stage in own]
    return {"rows": rows, "longest_tokens": max(lengths, default=None)}


def _counts(work: Work, stage: str) -> dict[str, int]:
    counts = {"rows": 0, "several_questions": 0}
    for row in read_rows(work.input("data", f"{stage}/train"), KINDS[stage]):
        turns = row.messages if isinstance(row, SftRow) else row.turns
        counts["rows"] += 1
        counts["several_questions"] += questions(turns) > 1
    return counts


def questions(turns: list[Message]) -> int:
    """How often the user speaks."""
    return sum(turn.role == "user" for turn in turns)
