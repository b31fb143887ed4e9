"""Grade-school word problems with worked answers, as OpenAI publishes them:

    {"question": "Natalia sold clips to 48 of her friends in April, …",
     "answer": "Natalia sold 48/2 = <<48/2=24>>24 clips in May.\\n…\\n#### 72"}

The calculator annotations `<<48/2=24>>` go; `#### 72` stays and is also `meta.gold`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal

from data_builders.flow import DataSource, Draft, Drop, SourceContext, conversation
from data_builders.reading.files import FileOptions, RowForm, read_lines


class Options(FileOptions):
    source: Literal["gsm8k"]


class _Problem(RowForm):
    question: str
    answer: str


def read(options: Options, context: SourceContext) -> Iterator[Draft | Drop]:
    for entry in read_lines(options, context, _Problem):
        question = entry.line.question
        answer = without_annotations(entry.line.answer)
        gold = final_number(answer)
        if gold is None:
            yield entry.drop("no final `#### number`")
        else:
            yield entry.draft(
                question, {"messages": conversation(question, answer), "meta": {"gold": gold}}
            )


SOURCE = DataSource(kinds=("sft",), phase="read", licence="MIT", options=Options, read=read)


def without_annotations(answer: str) -> str:
    """The answer without `<<48/2=24>>`, ending in `#### 72` (model solutions write `A: 72`)."""
    return re.sub(r"\nA: (\S+)\s*$", r"\n#### \1", re.sub(r"<<[^<>]*>>", "", answer))


def final_number(answer: str) -> str | None:
    """The number behind `####`, without thousands separators; None when the answer does not end in
    one."""
    match = re.search(r"\n#### \$?(-?[\d.,]*\d)\s*$", answer)
    return match[1].replace(",", "") if match else None
