"""Preference pairs in the course's format, one JSON object a line:

    {"prompt": "Explain what's base rate fallacy and list …", "chosen": "Hello! I'm here …", "rejected": "Certainly! …"}

Several pairs may share a prompt: they share its `question_id`, and so their part.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import BaseModel, ConfigDict

from data_builders.drafts import Context, Draft, Drop, FileOptions
from data_builders.layout import bare
from stemma.jsonl import read_rows

KINDS = ("dpo",)
PHASE = "read"


class Options(FileOptions):
    source: Literal["preference_jsonl"]


class _Pair(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    prompt: str
    chosen: str | None
    rejected: str | None


def read(options: Options, context: Context) -> Iterator[Draft | Drop]:
    for number, pair in enumerate(read_rows(context.root / options.path, _Pair), start=1):
        where = f"{options.path} row {number}"
        prompt = bare(pair.prompt)
        if pair.chosen is None or pair.rejected is None:
            yield Drop(where, "empty answer", pair.model_dump())
            continue
        row = {"prompt": prompt, "chosen": pair.chosen, "rejected": pair.rejected}
        yield Draft(where, prompt, {**row, "meta": {"file": options.path}})
