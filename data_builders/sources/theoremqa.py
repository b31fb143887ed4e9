"""TheoremQA: university questions whose answers have a type. One JSON array:

    {"Question": "How many ways are there to …?", "Answer": 11760, "Answer_type": "integer",
     "Picture": null, "source": "self", "id": "jianyu_xu/Lah_number_6.json",
     "explanation": "NONE", "theorem": "lah number", "subfield": "Combinatorics",
     "field": "Math"}

Other types: float, bool, `list of integer`, `list of float`, and option, e.g. "(c)". The hub's copy
writes every answer as a string. The conversation's answer is the bare answer, which is also
`meta.gold`: questions to test with.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Literal

from data_builders.flow import DataSource, Draft, Drop, SourceContext, conversation
from data_builders.reading.files import FileOptions, RowForm, read_lines


class Options(FileOptions):
    source: Literal["theoremqa"]


class _Question(RowForm):
    Question: str
    Answer: bool | int | float | str | list[int | float]
    Answer_type: Literal["integer", "float", "bool", "list of integer", "list of float", "option"]
    Picture: object
    id: str = ""
    source: str = ""
    explanation: str = ""
    theorem: str = ""
    subfield: str = ""
    field: str = ""


def read(options: Options, context: SourceContext) -> Iterator[Draft | Drop]:
    for entry in read_lines(options, context, _Question):
        line = entry.line
        if line.Picture is not None:
            yield entry.drop("needs its picture")
            continue
        gold = line.Answer.strip() if isinstance(line.Answer, str) else _written(line.Answer)
        meta = {
            "gold": gold,
            "answer_type": line.Answer_type,
            "subject": line.subfield,
            "theorem": line.theorem,
        }
        yield entry.draft(
            line.Question, {"messages": conversation(line.Question, gold), "meta": meta}
        )


SOURCE = DataSource(kinds=("sft",), phase="read", licence="MIT", options=Options, read=read)


def _written(answer: bool | int | float | list[int | float]) -> str:
    return str(answer) if isinstance(answer, bool) else json.dumps(answer)
