"""Argilla's preference pairs in mathematics (argilla/distilabel-math-preference-dpo), JSON Lines or
Parquet:

    {"metadata": "{\\"length-input\\": 46, …}", "instruction": "What is 3 + 4?",
     "chosen_response": "3 + 4 = 7, because …", "chosen_rating": 4.5,
     "rejected_response": "It is 8.", "rejected_rating": NaN}

A rating that is NaN is not known. Of conversations only the chosen answers are taken.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal

from data_builders.flow import DataSource, Draft, Drop, SourceContext, conversation
from data_builders.reading.files import FileOptions, RowForm, read_lines


class Options(FileOptions):
    source: Literal["argilla_math"]
    not_higher: Literal["drop", "keep"] = "drop"
    """Pairs whose chosen answer is known to be rated no higher than the rejected one."""


class _Pair(RowForm):
    metadata: object = None
    instruction: str
    chosen_response: str | None
    chosen_rating: float | None
    rejected_response: str | None
    rejected_rating: float | None


def read(options: Options, context: SourceContext) -> Iterator[Draft | Drop]:
    for entry in read_lines(options, context, _Pair):
        prompt = entry.line.instruction
        chosen = entry.line.chosen_response
        rejected = entry.line.rejected_response
        better = _known(entry.line.chosen_rating)
        worse = _known(entry.line.rejected_rating)
        meta = {"chosen_rating": better, "rejected_rating": worse}
        if context.kind == "sft":
            yield entry.draft(
                prompt, {"messages": conversation(prompt, chosen or ""), "meta": meta}
            )
        elif (
            options.not_higher == "drop"
            and better is not None
            and worse is not None
            and better <= worse
        ):
            yield entry.drop("chosen not rated higher")
        else:
            row = {
                "prompt": prompt,
                "chosen": chosen or "",
                "rejected": rejected or "",
                "meta": meta,
            }
            yield entry.draft(prompt, row)


SOURCE = DataSource(
    kinds=("sft", "dpo"), phase="read", licence="Apache-2.0", options=Options, read=read
)


def _known(rating: float | None) -> float | None:
    return None if rating is None or math.isnan(rating) else rating
