"""Preference pairs in the course's format, one JSON object a line:

    {"prompt": "Explain what's base rate fallacy and list …", "chosen": "Hello! I'm here …", "rejected": "Certainly! …"}

Several pairs may share a prompt: they share its `question_id`, and so their part.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from data_builders.drafts import Context, Draft, Drop, FileOptions, Line, read_lines
from data_builders.split import bare

KINDS = ("dpo",)
PHASE = "read"


class Options(FileOptions):
    source: Literal["preference_jsonl"]


class _Pair(Line):
    prompt: str
    chosen: str | None
    rejected: str | None


def read(options: Options, context: Context) -> Iterator[Draft | Drop]:
    for where, pair in read_lines(options, context, _Pair):
        if pair.chosen is None or pair.rejected is None:
            yield Drop(where, "empty answer", pair.model_dump())
        else:
            row = {**pair.model_dump(), "prompt": bare(pair.prompt), "meta": {"file": options.path}}
            yield Draft(where, row["prompt"], row)
