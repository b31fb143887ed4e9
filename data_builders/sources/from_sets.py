"""A corpus of the recipe's own training splits, so that a tokenizer and a base model know the texts
of all later stages.

Takes no file. The pair {"prompt": "What is 2 + 2?", "chosen": "4", "rejected": "5", …} becomes

    {"text": "Question: What is 2 + 2?\\n\\nAnswer: 4"}

Conversations give their questions and answer, MCQ their options and letter.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from data_builders.flow import DataSource, Draft, Row, SourceContext, plain
from stemma.recipe.data import SourceOptions
from stemma.rows import CorpusRow, McqRow, PreferenceRow, mcq_answer, mcq_prompt


class Options(SourceOptions):
    source: Literal["from_sets"]


def read(_: Options, context: SourceContext) -> Iterator[Draft]:
    for placed in context.placed:
        if placed.split == "train" and placed.kind != "corpus":
            where = f"{placed.kind} {placed.row.id}"
            text = _text(placed.row)
            yield Draft(where, placed.key, {"text": text}, placed.draft.file)


SOURCE = DataSource(kinds=("corpus",), phase="derive", licence="", options=Options, read=read)


def _text(row: Row) -> str:
    if isinstance(row, McqRow):
        return plain(mcq_prompt(row), mcq_answer(row, row.answer))
    if isinstance(row, PreferenceRow):
        return plain(row.prompt, row.chosen)
    assert not isinstance(row, CorpusRow)
    *asked, answer = [message.content for message in row.messages]
    return plain("\n\n".join(asked), answer)
