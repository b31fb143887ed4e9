"""Grade-school word problems with worked answers, as OpenAI publishes them:

    {"question": "Natalia sold clips to 48 of her friends in April, …",
     "answer": "Natalia sold 48/2 = <<48/2=24>>24 clips in May.\\n…\\n#### 72"}

The calculator annotations `<<48/2=24>>` go; `#### 72` stays and is also `meta.gold`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import BaseModel, ConfigDict

from data_builders.drafts import Context, Draft, Drop, FileOptions
from data_builders.worked import final_number, without_annotations
from stemma.jsonl import read_rows

KINDS = ("sft",)
PHASE = "read"


class Options(FileOptions):
    source: Literal["gsm8k"]


class _Problem(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    question: str
    answer: str


def read(options: Options, context: Context) -> Iterator[Draft | Drop]:
    for number, problem in enumerate(read_rows(context.root / options.path, _Problem), start=1):
        where = f"{options.path} row {number}"
        answer = without_annotations(problem.answer)
        gold = final_number(answer)
        if gold is None:
            yield Drop(where, "no final `#### number`", problem.model_dump())
            continue
        messages = [{"role": "user", "content": problem.question}, {"role": "assistant", "content": answer}]
        yield Draft(where, problem.question, {"messages": messages, "meta": {"gold": gold, "file": options.path}})
