"""Right against wrong model solutions of the same GSM8K problem: real preference pairs without any
API.

    {"question": "Janet’s ducks lay 16 eggs …", "ground_truth": "…\\nA: 18",
     "6b_finetuning": {"is_correct": false, "solution": "…\\nA: 26"},
     "175b_verification": {"is_correct": true, "solution": "…"}, …}

Each problem gives at most one pair: a right and a wrong solution drawn by the seed. It covers
GSM8K's test problems.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Literal

from pydantic import ConfigDict

from data_builders.flow import DataSource, Draft, Drop, SourceContext
from data_builders.reading.files import FileOptions, RowForm, read_lines
from data_builders.sources.gsm8k import final_number, without_annotations


class Options(FileOptions):
    source: Literal["gsm8k_solutions"]


class _Solution(RowForm):
    is_correct: bool
    solution: str


class _Solved(RowForm):
    """Every further key names a model and holds its solution."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, _Solution]

    question: str
    ground_truth: str


def read(options: Options, context: SourceContext) -> Iterator[Draft | Drop]:
    for entry in read_lines(options, context, _Solved):
        solved = entry.line
        finished: dict[bool, list[tuple[str, str]]] = {True: [], False: []}
        for model, solution in solved.__pydantic_extra__.items():
            text = without_annotations(solution.solution)
            if final_number(text) is not None:  # the others ran on without end
                finished[solution.is_correct].append((model, text))
        if not finished[True] or not finished[False]:
            yield entry.drop(f"no {'wrong' if finished[True] else 'right'} solution")
            continue
        rng = random.Random(f"{context.seed}/{solved.question}")
        (chosen_by, chosen), (rejected_by, rejected) = (
            rng.choice(finished[True]),
            rng.choice(finished[False]),
        )
        meta = {"chosen_by": chosen_by, "rejected_by": rejected_by}
        row = {"prompt": solved.question, "chosen": chosen, "rejected": rejected, "meta": meta}
        yield entry.draft(solved.question, row)


SOURCE = DataSource(kinds=("dpo",), phase="read", licence="MIT", options=Options, read=read)
