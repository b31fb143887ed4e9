"""Preference pairs of MathQA problems: the generator, as a specialist in STEM fields, judges every
option and decides.

Reads what `mathqa` reads (a file, or the hub). Two separate chats answer each problem; the one that
decides for the right option is chosen. Where both do, or one commits itself to no option, the
generator ranks them, once in each order:

    {"prompt": "if log 8 x + …\\n\\nOptions:\\nA. 12\\nB. 16\\n…", "chosen": "… Answer: A",
     "rejected": "…",
     "meta": {"gold": "A", "overall": "A/A", "correctness": "AB/AB", …, "decided": "judge",
              "chosen_first": true}}

`limit` is the number of problems, drawn by the seed.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from data_builders.flow import DataSource, Draft, Drop, SourceContext
from data_builders.generated.candidates import (
    as_mcq,
    draw_candidates,
    letter_options,
    right_option,
    same_files,
)
from data_builders.generated.judging import Ties
from data_builders.generated.pairing import PairTask, pair_jobs
from data_builders.reading.files import FileOptions
from data_builders.sources import mathqa
from stemma.answers.options import stated_choice
from stemma.generator.prompts import Prompts
from stemma.rows import McqRow, mcq_prompt


class Options(FileOptions):
    source: Literal["mathqa_pairs"]
    ties: Ties = "drop"
    """Where the judge's two orders disagree: drop the pair, or take the first order's word for
    it."""

    def own_files(self, recipe_folder: Path) -> dict[str, Path]:
        return Prompts(recipe_folder).files("mathqa", "rank")


def read(options: Options, context: SourceContext) -> Iterator[Draft | Drop]:
    assert context.generate, "this source runs in the `generate` phase"
    problems = mathqa.read(mathqa.Options(source="mathqa", **same_files(options)), as_mcq(context))
    asked, drops = draw_candidates(problems, options, context)
    context.say(
        f"mathqa_pairs: {len(asked)} problems, two answers each, ranked where the right "
        "option decides nothing"
    )
    prompts = Prompts(context.recipe_folder)
    tasks = [_task(draft, row, prompts) for draft, row in asked]
    yield from context.generate(pair_jobs(tasks, context.seed, options.ties))
    yield from drops  # last, so that they take none of the `limit`'s places


SOURCE = DataSource(
    kinds=("dpo",), phase="generate", licence=mathqa.SOURCE.licence, options=Options, read=read
)


def _task(draft: Draft, row: McqRow, prompts: Prompts) -> PairTask:
    shown = {"question": row.question, "options": letter_options(row)}

    def is_right(answer: str) -> bool | None:
        letter = stated_choice(answer, row.choices)
        return None if letter is None else letter == row.answer

    return PairTask(
        where=draft.where,
        question=draft.question,
        prompt=mcq_prompt(row),
        chat=prompts.render("mathqa", **shown),
        prompts=prompts,
        shown={**shown, "correct": right_option(row)},
        is_right=is_right,
        meta={"gold": row.answer, "subject": row.subject},
        file=draft.file,
    )
