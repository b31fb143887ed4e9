"""The types that flow through the data stage: drafts from the sources, clean rows, rows in their
split, and what was dropped and why."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

from stemma.generator.jobs import Job, Origin
from stemma.recipe.data import SourceOptions
from stemma.rows import CorpusRow, McqRow, PreferenceRow, SftRow, Split

Kind = Literal["corpus", "sft", "dpo", "mcq"]
Phase = Literal["read", "generate", "derive"]
Row = CorpusRow | SftRow | PreferenceRow | McqRow

NO_TOKENS = re.compile(r"(?!)")  # the special tokens of a tokenizer that is not known

PHASES: tuple[Phase, ...] = ("read", "generate", "derive")
"""Sources that ask a generator run after those that only read: by then the evaluation questions are
known, and no request is paid for one of them. Sources derived from other sets' training rows run
last."""

ROW_MODELS: dict[Kind, type[Row]] = {
    "corpus": CorpusRow,
    "sft": SftRow,
    "dpo": PreferenceRow,
    "mcq": McqRow,
}


def splits_of(kind: str) -> tuple[Split, ...]:
    return ("train",) if kind == "corpus" else ("train", "validation", "test")


@dataclass(frozen=True)
class Draft:
    """A row as a source gives it, not yet cleaned, without its ids and `source`. `question` decides
    its split."""

    where: str
    question: str
    row: dict[str, Any]
    file: str = ""
    """The file it was read from, relative to `data.root`, or the hub name with its revision."""
    origin: Origin | None = None
    """For generated rows."""


@dataclass(frozen=True)
class Drop:
    """A row that a source read and could not use, and why."""

    where: str
    reason: str
    row: dict[str, Any]


@dataclass(frozen=True, slots=True)
class CleanRow:
    """A clean row of one of the recipe's sets, before its split is chosen."""

    source: str
    """The name of its source in the recipe, e.g. `dpo: preference_jsonl pairs.jsonl`."""
    kind: Kind
    key: str
    """Of its question (see split.question_key)."""
    draft: Draft
    """Its origin; the draft's own `row` is empty by now."""
    row: Row

    def placed(self, split: Split, cluster: str, *, fixed: bool, by_pair: bool = False) -> Placed:
        """The same row in its split."""
        return Placed(
            source=self.source,
            kind=self.kind,
            key=self.key,
            draft=self.draft,
            row=self.row,
            split=split,
            cluster=cluster,
            fixed=fixed,
            by_pair=by_pair,
        )


@dataclass(frozen=True, slots=True)
class Placed(CleanRow):
    """A clean row in its split."""

    split: Split
    cluster: str
    """The key that stands for all near-duplicates of the question: they share a split."""
    fixed: bool
    """Whether the recipe said which split (`use: train`), or it was drawn."""
    by_pair: bool = False
    """Drawn without regard to its question, as the recipe says (`split: pair`): it is kept apart
    from other sets only."""


RowJob = Job[Draft | Drop]
"""Asks a chat model and makes one row of its replies."""
Generate = Callable[[Sequence[RowJob]], Iterable[Draft | Drop]]
"""Runs jobs side by side; results in the jobs' order. A dry run only counts what they would ask."""


@dataclass(frozen=True)
class SourceContext:
    """Everything a source may use besides its own options. `placed` holds the rows of the phases
    before."""

    kind: Kind
    root: Path
    seed: int
    placed: tuple[Placed, ...]
    say: Callable[[str], None]
    generate: Generate | None = None
    """Set in the `generate` phase."""
    held_out: Callable[[str], bool] = lambda _question: False
    """Whether an evaluation set holds this question, or one that says the same: no request is paid
    for it."""
    recipe_folder: Path = Path()
    """The recipe's folder: its own prompts stand beside it."""
    special: re.Pattern[str] = NO_TOKENS
    """The special tokens of the recipe's own model (see clean.special_tokens)."""


OptionsType = TypeVar("OptionsType", bound=SourceOptions)


@dataclass(frozen=True)
class DataSource(Generic[OptionsType]):
    """A source of rows: one kind of file, or rows that are written here. Each module of `sources`
    has one, `SOURCE`."""

    kinds: tuple[Kind, ...]
    """The sets it can fill."""
    phase: Phase
    """The phase it runs in."""
    licence: str
    """Of the data it reads, as an SPDX identifier; "" where only the recipe can say."""
    options: type[OptionsType]
    """The options a recipe may set."""
    read: Callable[[OptionsType, SourceContext], Iterator[Draft | Drop]]
    """Yields a draft or a drop for every row there is."""

    @property
    def about(self) -> str:
        """The docstring of its module: what it reads, and a real row of it."""
        return sys.modules[self.options.__module__].__doc__ or ""


def plain(question: str, answer: str) -> str:
    """A question and its answer as a text to pretrain on: the chat layout without special
    tokens."""
    return f"Question: {question.strip()}\n\nAnswer: {answer.strip()}"


def conversation(question: str, answer: str) -> list[dict[str, str]]:
    """A question and its answer as the `messages` of an SFT row."""
    return [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
