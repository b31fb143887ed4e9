"""Rows as they flow through a build, made short for tests."""

from __future__ import annotations

from collections import Counter
from typing import Any

from data_builders.flow import ROW_MODELS, CleanRow, Draft, Kind, Placed
from data_builders.split import Filtered, question_key
from stemma.rows import PreferenceRow, Split


def placed(kind: Kind, asked: str, split: Split = "train", source: str = "b", **row: Any) -> Placed:
    made = ROW_MODELS[kind].model_validate({"id": f"{kind} {asked} {row}", "source": "s", **row})
    key = question_key(asked)
    clean = CleanRow(source, kind, key, Draft("row 1", asked, {}), made)
    return clean.placed(split, key, fixed=False)


def pair(
    question: str, chosen: str, rejected: str, split: Split = "train", source: str = "b"
) -> Placed:
    row = {"question_id": "q", "prompt": question, "chosen": chosen, "rejected": rejected}
    return placed("dpo", question, split, source, **row)


def mcq(question: str, *choices: str, answer: str = "A", **row: Any) -> Placed:
    return placed("mcq", question, question=question, choices=list(choices), answer=answer, **row)


def sft(question: str, answer: str) -> Placed:
    messages = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return placed("sft", question, messages=messages)


def texts(filtered: Filtered) -> list[str]:
    return [row.row.chosen for row in filtered[0] if isinstance(row.row, PreferenceRow)]


def accounted(rows: list[Placed], filtered: Filtered) -> bool:
    return Counter(map(id, rows)) == Counter(
        map(id, [*filtered[0], *(row for row, _ in filtered[1])])
    )
