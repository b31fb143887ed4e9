"""Right against wrong model solutions of the same GSM8K problem: real preference pairs without any API.

    {"question": "Janet’s ducks lay 16 eggs …", "ground_truth": "…\\nA: 18",
     "6b_finetuning": {"is_correct": false, "solution": "…\\nA: 26"},
     "175b_verification": {"is_correct": true, "solution": "…"}, …}

Each problem gives at most one pair: a right and a wrong solution drawn by the seed. It covers GSM8K's test problems.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Literal

from pydantic import BaseModel, ConfigDict

from data_builders.drafts import Context, Draft, Drop, FileOptions
from data_builders.worked import final_number, without_annotations
from stemma.jsonl import read_rows

KINDS = ("dpo",)
PHASE = "read"


class Options(FileOptions):
    source: Literal["gsm8k_solutions"]


class _Solution(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    is_correct: bool
    solution: str


class _Solved(BaseModel):
    """Every further key names a model and holds its solution."""

    model_config = ConfigDict(extra="allow", strict=True)
    __pydantic_extra__: dict[str, _Solution]

    question: str
    ground_truth: str


def read(options: Options, context: Context) -> Iterator[Draft | Drop]:
    for number, solved in enumerate(read_rows(context.root / options.path, _Solved), start=1):
        rng = random.Random(f"{context.seed}/{solved.question}")
        yield _draft(solved, rng, f"{options.path} row {number}", options.path)


def _draft(solved: _Solved, rng: random.Random, where: str, path: str) -> Draft | Drop:
    finished: dict[bool, list[tuple[str, str]]] = {True: [], False: []}
    for model, solution in solved.__pydantic_extra__.items():
        text = without_annotations(solution.solution)
        if final_number(text) is not None:  # the others ran on without end
            finished[solution.is_correct].append((model, text))
    for verdict, name in ((True, "right"), (False, "wrong")):
        if not finished[verdict]:
            return Drop(where, f"no {name} solution", solved.model_dump())
    (chosen_by, chosen), (rejected_by, rejected) = rng.choice(finished[True]), rng.choice(finished[False])
    row: dict[str, object] = {
        "prompt": solved.question,
        "chosen": chosen,
        "rejected": rejected,
    }
    meta = {"chosen_by": chosen_by, "rejected_by": rejected_by, "file": path}
    return Draft(where, solved.question, {**row, "meta": meta})
