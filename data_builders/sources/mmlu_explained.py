"""MMLU questions with an explanation by the generator, which is given the right answer.

Reads what `mmlu` reads (the original CSV files, or the hub); of a `.jsonl` file, what `mcq_jsonl`
reads. The generator explains why the right option is right and why the others are wrong; an
explanation that ends up at another option is asked for once more, in a new chat, and then dropped.
A conversation, or a multiple-choice question (`answer_as: explained`):

    {"messages": [
       {"role": "user", "content": "Find all c in …\\n\\nOptions:\\nA. 0\\nB. 1\\n…\\n\\nGive …"},
       {"role": "assistant", "content": "B. 1\\n\\nA quotient by … is a field if …"}],
     "meta": {"gold": "1", "subject": "abstract_algebra"}}

`limit` is the number of questions, drawn by the seed.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from data_builders.flow import (
    DataSource,
    Draft,
    Drop,
    Kind,
    RowJob,
    SourceContext,
    conversation,
)
from data_builders.generated.candidates import (
    as_mcq,
    draw_candidates,
    letter_options,
    right_option,
    same_files,
)
from data_builders.sources import mcq_jsonl, mmlu
from stemma.answers.options import stated_choices
from stemma.generator.jobs import Ask, Reply, Writer, merge_origins
from stemma.generator.prompts import Prompts
from stemma.rows import LETTERS, McqRow, mcq_prompt

CONTRADICTS = "explanation contradicts the answer"


class Options(mmlu.Questions):
    source: Literal["mmlu_explained"]
    chats: Annotated[int, Field(ge=1, le=100)] = 2
    """How many chats may try to explain an answer without contradicting it."""

    def own_files(self, recipe_folder: Path) -> dict[str, Path]:
        return Prompts(recipe_folder).files("explain")


def read(options: Options, context: SourceContext) -> Iterator[Draft | Drop]:
    assert context.generate, "this source runs in the `generate` phase"
    asked, drops = draw_candidates(_read(options, as_mcq(context)), options, context)
    context.say(f"mmlu_explained: {len(asked)} questions to explain")
    yield from context.generate([_job(draft, row, options.chats, context) for draft, row in asked])
    yield from drops  # last, so that they take none of the `limit`'s places


SOURCE = DataSource(
    kinds=("sft", "mcq"), phase="generate", licence=mmlu.SOURCE.licence, options=Options, read=read
)


def _read(options: Options, context: SourceContext) -> Iterator[Draft | Drop]:
    if options.path.endswith(".jsonl"):
        return mcq_jsonl.read(mcq_jsonl.Options(source="mcq_jsonl", **same_files(options)), context)
    return mmlu.read(
        mmlu.Options(source="mmlu", subjects=options.subjects, **same_files(options)), context
    )


def _job(draft: Draft, row: McqRow, chats: int, context: SourceContext) -> RowJob:
    chat = Prompts(context.recipe_folder).render(
        "explain", question=row.question, options=letter_options(row), correct=right_option(row)
    )
    rng = random.Random(f"{context.seed}/{mcq_prompt(row)}")
    seeds = [rng.getrandbits(31) for _ in range(chats)]

    async def job(writer: Writer) -> Draft | Drop:
        replies: list[Reply] = []
        for attempt, seed in enumerate(seeds):
            replies.append(await writer.ask(Ask(chat, seed, in_reserve=attempt > 0)))
            explanation = replies[-1].text
            problem = replies[-1].problem
            if problem:
                return Drop(draft.where, problem, row.model_dump(mode="json"))
            if replies[-1].placeholder and len(replies) < chats:
                continue  # a forecast counts every chat there may be
            if replies[-1].placeholder or stated_choices(explanation, row.choices) <= {row.answer}:
                made = _row(row, explanation, context.kind)
                return Draft(draft.where, draft.question, made, draft.file, merge_origins(replies))
        said = {"explanations": [reply.text for reply in replies]}
        return Drop(draft.where, CONTRADICTS, row.model_dump(mode="json") | said)

    return job


def _row(row: McqRow, explanation: str, kind: Kind) -> dict[str, Any]:
    explained = row.model_copy(update={"answer_as": "explained", "explanation": explanation})
    if kind == "mcq":
        return explained.model_dump(mode="json", exclude={"id", "source"})
    messages = conversation(mcq_prompt(explained), f"{right_option(row)}\n\n{explanation}")
    return {
        "messages": messages,
        "meta": {"gold": row.choices[LETTERS.index(row.answer)], "subject": row.subject},
    }
