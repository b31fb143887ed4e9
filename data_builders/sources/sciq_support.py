"""SciQ: science questions with a paragraph that supports the answer, as its authors publish them
(JSON array, hub) …

    {"question": "What do plants take in?", "distractor1": "oxygen", "distractor2": "helium",
     "distractor3": "neon", "correct_answer": "carbon dioxide",
     "support": "Plants take in carbon dioxide and …"}

… or as prompts and completions, where some have no support:

    {"prompt": "Question: What do plants take in?\\nOptions:\\n A. oxygen\\nB. carbon dioxide\\n…",
     "completion": "carbon dioxide\\nExplanation: Plants take in carbon dioxide and …"}

The authors' four answers are shuffled by the seed; the support is the explanation.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Literal

from data_builders.flow import DataSource, Draft, Drop, SourceContext
from data_builders.questions import ChoiceOptions, Question, make_rows
from data_builders.reading.choices import NONE_OF_THEM, TOO_MANY
from data_builders.reading.files import FileRow, RowForm, read_lines
from stemma.mcq_layout import parse_mcq
from stemma.rows import LETTERS


class Options(ChoiceOptions):
    source: Literal["sciq_support"]


class _Published(RowForm):
    question: str
    distractor1: str
    distractor2: str
    distractor3: str
    correct_answer: str
    support: str

    def parse(self, seed: int) -> Question | str:
        choices = [self.correct_answer, self.distractor1, self.distractor2, self.distractor3]
        random.Random(f"{seed}/{self.question}").shuffle(choices)
        answer = LETTERS[choices.index(self.correct_answer)]
        support = self.support.strip()
        return Question(self.question, choices, answer, explanation=support, support=support)


class _Prompted(RowForm):
    prompt: str
    completion: str

    def parse(self, _seed: int) -> Question | str:
        parsed = parse_mcq(self.prompt)
        if parsed is None:
            return "not in the layout `Question: … Options: A. …`"
        choices = list(parsed[1].values())
        right, _, support = self.completion.partition("\nExplanation:")
        if right.strip() not in choices:
            return NONE_OF_THEM
        if len(choices) > len(LETTERS):
            return TOO_MANY
        letter = LETTERS[choices.index(right.strip())]
        told = support.strip()
        return Question(parsed[0], choices, letter, explanation=told, support=told)


def read(options: Options, context: SourceContext) -> Iterator[Draft | Drop]:
    entries: Iterator[FileRow[_Published | _Prompted]] = read_lines(
        options, context, _Published, _Prompted
    )
    for entry in entries:
        question = entry.line.parse(context.seed)
        if isinstance(question, str):
            yield entry.drop(question)
        else:
            yield from make_rows(entry, question, options, context)


SOURCE = DataSource(
    kinds=("mcq", "sft"), phase="read", licence="CC-BY-NC-3.0", options=Options, read=read
)
