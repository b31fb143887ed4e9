"""The end of the demo: the shipped model answers drawn test questions and the README's examples.

right      gold    answer           question
yes        19      19               What is 12 + 7?
no         newton  joule            Which unit measures force?
undecided  newton  newton or joule  Which unit measures force?
1 of 3 right, 1 undecided

What is the Novo wall made of?
silicon

[1]  Novo wall (encyclopaedia:novo-wall#1)

A recipe with `rag` answers as in chat: with the passages that the search finds, if any.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import NamedTuple

from serve.chat import (
    ANSWER_TOKENS,
    SPARE_TOKENS,
    Chat,
    pieces,
    room_of,
)
from serve.passages import PassagesBefore, open_passages
from serve.shipped import open_shipped, template_of
from stemma.answers import is_empty, judge
from stemma.answers.listed_options import split_options
from stemma.errors import StageFailed
from stemma.jsonl import read_rows
from stemma.llama import Llama
from stemma.recipe.models import Recipe
from stemma.rows import Message, SftRow
from stemma.runs import Run
from stemma.table import aligned
from stemma.visible import tell

DRAWN = 8
WIDTH = 60
"""Characters shown of a question or an answer; the whole answer is judged."""
SHOWN = {"right": "yes", "wrong": "no", "undecided": "undecided"}
HEADS = ("right", "gold", "answer", "question")


class Example(NamedTuple):
    """A question whose answer is known."""

    recipe: str
    question: str
    gold: str


EXAMPLE = Example("tiny", "Which unit measures force?", "newton")
"""The question that README and `make help` suggest; the demo checks that the model is right."""
READ = Example("tiny", "What is the Novo wall made of?", "silicon")
"""A question that the model can answer only by reading the passage that is found for it."""
EXAMPLES = (EXAMPLE, READ)


def main(recipe: Recipe, run: Run, examples: Sequence[Example]) -> None:
    """Print drawn questions, the model's answers and the gold ones; then ask the examples, and
    show the passages that were found.

    Raises StageFailed when an example is answered wrongly.
    """
    rows = known_rows(run)
    drawn = draw(rows, recipe.seed)
    with open_shipped(recipe, run) as llama, open_passages(recipe, run, llama) as passages:
        known = f"{len(drawn)} of the {len(rows)} test questions with a known answer"
        tell(f"{known}, drawn by seed {recipe.seed}:")
        for line in written([(row, ask(llama, row.messages, passages)) for row in drawn]):
            tell(line)
        for example in examples:
            _ask_example(Chat(llama, passages), example)


def _ask_example(chat: Chat, example: Example) -> None:
    answer = "".join(chat.answer(example.question))
    tell(f"\n{example.question}\n{answer}")
    if chat.sources:
        tell("\n" + "\n".join(chat.sources))
    if judge(answer, example.gold) != "right":
        found = f"{example.question!r} is answered {answer!r}"
        right = f"right is {example.gold!r}"
        raise StageFailed(f"the README's example: {found}, and {right}")


def known_rows(run: Run) -> list[SftRow]:
    """The test split's rows with a known answer, by id; none for a recipe without conversations."""
    if "sft/test" not in run.manifest("data").outputs:
        return []
    rows = read_rows(run.output("data", "sft/test"), SftRow)
    return sorted((row for row in rows if row.meta.get("gold") is not None), key=lambda row: row.id)


def draw(rows: list[SftRow], seed: int, count: int = DRAWN) -> list[SftRow]:
    """`count` of the rows, or all where there are fewer: the same for the same rows and seed."""
    return Random(seed).sample(rows, min(count, len(rows)))


def ask(llama: Llama, messages: list[Message], passages: PassagesBefore | None = None) -> str:
    """The model's greedy answer to a conversation, whose last turn is left out; the question
    before it is asked with the passages that are found."""
    template = template_of(llama)
    if passages is not None:
        *before, asked, answer = messages
        alone = len(llama.tokenize(template.split(messages)[0]))
        found, _ = passages.put(asked.content, room_of(llama) - alone - SPARE_TOKENS)
        messages = [*before, asked.model_copy(update={"content": found.text}), answer]
    prompt, _ = template.split(messages)
    return "".join(pieces(llama, llama.stream(llama.tokenize(prompt), ANSWER_TOKENS)))


def written(answers: list[tuple[SftRow, str]]) -> list[str]:
    """A table of rows and replies, and the count of right and of undecided ones."""
    verdicts = [
        judge(reply, str(row.meta["gold"]), split_options(row.messages[-2].content)[1])
        for row, reply in answers
    ]
    rows = [
        (SHOWN[verdict], *map(_short, (str(row.meta["gold"]), reply, row.messages[-2].content)))
        for verdict, (row, reply) in zip(verdicts, answers, strict=True)
    ]
    undecided = verdicts.count("undecided")
    count = f"{verdicts.count('right')} of {len(verdicts)} right"
    if undecided:
        count += f", {undecided} undecided"
    if empty := sum(is_empty(reply) for _, reply in answers):
        count += f", {empty} empty"
    return [*aligned(HEADS, rows), count]


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= WIDTH else line[: WIDTH - 1] + "…"
