"""The end of the demo: the shipped model answers drawn test questions and the README's example.

right      gold    answer           question
yes        19      19               What is 12 + 7?
no         newton  joule            Which unit measures force?
undecided  newton  newton or joule  Which unit measures force?
1 of 3 right, 1 undecided
"""

from __future__ import annotations

from random import Random
from typing import NamedTuple

from serve.chat import ANSWER_TOKENS, open_shipped, pieces, template_of
from stemma.answers import judge
from stemma.answers.listed_options import split_options
from stemma.errors import StageFailed
from stemma.jsonl import read_rows
from stemma.llama import Llama
from stemma.recipe.models import Recipe
from stemma.rows import Message, SftRow
from stemma.runs import Run
from stemma.table import aligned
from stemma.templates import answered

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


def main(recipe: Recipe, run: Run, example: Example | None) -> None:
    """Print drawn questions, the model's answers and the gold ones; then ask the example.

    Raises StageFailed when the example is answered wrongly.
    """
    rows = known_rows(run)
    drawn = draw(rows, recipe.seed)
    with open_shipped(recipe, run) as llama:
        known = f"{len(drawn)} of the {len(rows)} test questions with a known answer"
        print(f"{known}, drawn by seed {recipe.seed}:")
        for line in written([(row, ask(llama, row.messages)) for row in drawn]):
            print(line)
        if example is not None:
            answer = ask(llama, answered(example.question, example.gold))
            print(f"\n{example.question}\n{answer}", flush=True)
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


def ask(llama: Llama, messages: list[Message]) -> str:
    """The model's greedy answer to a conversation, whose last turn is left out."""
    prompt, _ = template_of(llama).split(messages)
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
    return [*aligned(HEADS, rows), count]


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= WIDTH else line[: WIDTH - 1] + "…"
