"""A run folder as the stages before a training leave it: rows and a tiny random Gemma."""

from __future__ import annotations

from pathlib import Path

from stemma.jsonl import write_jsonl
from stemma.rows import Message, PreferenceRow, SftRow
from stemma.runs import Run
from tests.factories.manifests import put_manifest
from tests.factories.models import make_gemma

SPLITS = {"train": (16, 0), "validation": (4, 100)}
"""The number of questions in each split, and the number of its first."""


def questions(count: int, first: int) -> list[tuple[str, str, int]]:
    """Sums, as (id, question, answer)."""
    return [
        (f"r{i}", f"What is {i % 20} + {i // 20}?", i % 20 + i // 20)
        for i in range(first, first + count)
    ]


def make_run(runs: Path) -> Run:
    """The run `small` in the folder `runs`, whose `data` and `base` are done."""
    run = Run(runs / "small")
    for split, (count, first) in SPLITS.items():
        rows = questions(count, first)
        write_jsonl(run.folder("data") / f"sft/{split}.jsonl", [_chat(*row) for row in rows])
        write_jsonl(run.folder("data") / f"dpo/{split}.jsonl", [_pair(*row) for row in rows])
    put_manifest(
        run, "data", [f"{kind}/{split}.jsonl" for kind in ("sft", "dpo") for split in SPLITS]
    )
    make_gemma(run.folder("base") / "merged", hidden=32)
    put_manifest(run, "base", ["merged"])
    return run


def _chat(name: str, question: str, answer: int) -> SftRow:
    turns = [Message(role="user", content=question), Message(role="assistant", content=str(answer))]
    return SftRow(id=name, source="s", messages=turns)


def _pair(name: str, question: str, answer: int) -> PreferenceRow:
    return PreferenceRow(
        id=name,
        source="s",
        question_id=name,
        prompt=question,
        chosen=str(answer),
        rejected="no",
    )
