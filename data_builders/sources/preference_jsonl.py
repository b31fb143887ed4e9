"""Preference pairs in the course's format, one JSON object a line:

    {"prompt": "Explain what's base rate fallacy and list …",
     "chosen": "Hello! I'm here …", "rejected": "Certainly! …"}

Several pairs may share a prompt: they share its `question_id`, and so their split.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from data_builders.flow import DataSource, Draft, Drop, SourceContext
from data_builders.reading.files import FileOptions, RowForm, read_lines
from data_builders.split import bare


class Options(FileOptions):
    source: Literal["preference_jsonl"]


class _Pair(RowForm):
    prompt: str
    chosen: str | None
    rejected: str | None


def read(options: Options, context: SourceContext) -> Iterator[Draft | Drop]:
    for entry in read_lines(options, context, _Pair):
        if entry.line.chosen is None or entry.line.rejected is None:
            yield entry.drop("empty answer")
        else:
            prompt = bare(entry.line.prompt)
            yield entry.draft(prompt, {**entry.line.model_dump(), "prompt": prompt})


SOURCE = DataSource(kinds=("dpo",), phase="read", licence="", options=Options, read=read)
