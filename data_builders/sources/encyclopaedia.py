"""Questions of a synthetic encyclopaedia (`data_builders/generated/encyclopaedia.py`).

`rows: contexts` are training rows: each question behind passages of facts made up for it alone, in
the recipe's own prompt, so that a model learns to read and cannot learn by heart …

    {"messages": [{"role": "user", "content": "[1]\\n> The Bona lamp is made of tin.\\n\\nWhat …"},
     {"role": "assistant", "content": "tin"}]}

… and `rows: questions` are what the encyclopaedia itself answers, asked bare, each with the id of
its passage in `meta.passage`: for the test part, with passages or without.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from inspect import getfile
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from data_builders.flow import DataSource, Draft, Kind, SourceContext, plain
from data_builders.generated.encyclopaedia import Fact, choices_of, entries, other_facts
from stemma.recipe.data import SourceOptions
from stemma.recipe.prompts import PromptFiles
from stemma.recipe.sections import Count
from stemma.retrieval.context import Contexts
from stemma.retrieval.passages import Hit, Passage
from stemma.rows import LETTERS, McqRow, mcq_answer, mcq_prompt
from stemma.templates import answered

FILES = {"data_builders/generated/encyclopaedia.py": Path(getfile(Fact))}
PASSAGE = "encyclopaedia:{}#1"
"""A passage's id, where the recipe's `rag` source is named `encyclopaedia`."""
WORDS = 200
"""Words of a context, at most: its two sentences are never cut."""


class Options(SourceOptions):
    source: Literal["encyclopaedia"]
    rows: Literal["contexts", "questions"]
    """`contexts`: made-up facts with their passages, to train reading; `questions`: those that the
    encyclopaedia answers, bare."""
    count: Count = 200
    """How many rows, at most."""
    first: Count = 1
    """Of `questions`: the number of the first entry asked for, so that test and validation ask for
    others."""
    alone: float = Field(default=0.3, ge=0, le=1)
    """Of `contexts`: the share whose own passage stands alone; the others' stands before or behind
    another's, drawn by the seed, so that no place tells which it is."""
    prompt: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")] = "context"
    """Of `contexts`: the prompt file around the passages, as in `rag.context`."""

    def own_files(self, recipe_folder: Path) -> dict[str, Path]:
        prompts = PromptFiles(recipe_folder).files(self.prompt) if self.rows == "contexts" else {}
        return FILES | prompts


def read(options: Options, context: SourceContext) -> Iterator[Draft]:
    if options.rows == "questions":
        for fact in entries(context.seed)[options.first - 1 :][: options.count]:
            row = _row(fact, context, fact.question, {"passage": PASSAGE.format(fact.id)})
            yield Draft(f"entry {fact.id}", fact.question, row)
        return
    prompt = PromptFiles(context.recipe_folder).path(options.prompt)
    contexts = Contexts(prompt, lambda text: len(text.split()), WORDS)
    facts = other_facts(context.seed, context.kind)  # each set has facts of its own
    for number, found in enumerate(islice(facts, options.count), start=1):
        chance = random.Random(f"{context.seed}/{context.kind}/{number}")
        is_alone = chance.random() < options.alone
        shown = found[:1] if is_alone else chance.sample(found, len(found))
        hits = [Hit(_passage(fact), 0.0, None, None) for fact in shown]
        asked = contexts.put(found[0].question, hits).text
        yield Draft(f"context {number}", asked, _row(found[0], context, asked, {}))


def _passage(fact: Fact) -> Passage:
    return Passage(fact.id, fact.title, fact.text, "", "")


def _row(fact: Fact, context: SourceContext, asked: str, meta: dict[str, str]) -> dict[str, Any]:
    """A row of the set; `asked` may hold passages before the question."""
    kind: Kind = context.kind
    meta |= {"subject": "encyclopaedia"}
    if kind == "sft":
        messages = [message.model_dump() for message in answered(asked, fact.material)]
        return {"messages": messages, "meta": {"gold": fact.material, **meta}}
    choices = choices_of(fact, context.seed)
    mcq: dict[str, Any] = {
        "question": asked,
        "choices": choices,
        "answer": LETTERS[choices.index(fact.material)],
        "answer_as": "text",
        "subject": "encyclopaedia",
        "meta": meta,
    }
    if kind == "mcq":
        return mcq
    row = McqRow(id="corpus", source="encyclopaedia", **mcq)
    is_bare = random.Random(f"{context.seed}/{asked}").random() < 0.5
    text = plain(asked, fact.material)
    return {"text": text if is_bare else plain(mcq_prompt(row), mcq_answer(row, row.answer))}


SOURCE = DataSource(
    kinds=("corpus", "sft", "mcq"),
    phase="read",
    licence="Apache-2.0",
    options=Options,
    read=read,
)
