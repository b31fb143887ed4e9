"""What flows through the data stage: drafts from the sources, rows placed in a part, and what was dropped and why."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict

from stemma.jsonl import read_rows
from stemma.recipe import Generator, SourceOptions
from stemma.rows import CorpusRow, McqRow, PreferenceRow, SftRow, Split

Kind = Literal["corpus", "sft", "dpo", "mcq"]
Phase = Literal["read", "generate", "derive"]
Row = CorpusRow | SftRow | PreferenceRow | McqRow

PHASES: tuple[Phase, ...] = ("read", "generate", "derive")
"""Sources that ask a generator run after those that only read: by then the evaluation questions are known, and no
request is paid for one of them. Sources derived from other sets' training rows run last."""

ROW_MODELS: dict[Kind, type[Row]] = {"corpus": CorpusRow, "sft": SftRow, "dpo": PreferenceRow, "mcq": McqRow}


def parts_of(kind: str) -> tuple[Split, ...]:
    return ("train",) if kind == "corpus" else ("train", "validation", "test")


@dataclass(frozen=True)
class Draft:
    """A row as a source gives it, not yet cleaned, without its ids and `source`. `question` decides its part."""

    where: str
    question: str
    row: dict[str, Any]


@dataclass(frozen=True)
class Drop:
    """What a source read and could not make a row of."""

    where: str
    reason: str
    row: dict[str, Any]


@dataclass(frozen=True)
class Placed:
    """A clean row, its set, its part, and the key of its question. `batch` names its source as the recipe uses it."""

    batch: str
    kind: Kind
    part: Split
    key: str
    where: str
    row: Row


@dataclass(frozen=True)
class Context:
    """What a source may use besides its own options. `placed` holds the rows of the phases before."""

    kind: Kind
    root: Path
    seed: int
    folder: Path
    generator: Generator | None
    placed: tuple[Placed, ...]
    say: Callable[[str], None]


class FileOptions(SourceOptions):
    """Options of a source that reads one file; a recipe names a source once per file."""

    path: str
    """Relative to `data.root`."""

    def files(self) -> list[str]:
        return [self.path]


class Line(BaseModel):
    """A line of a source's file."""

    model_config = ConfigDict(extra="forbid", strict=True)


AnyLine = TypeVar("AnyLine", bound=Line)


def read_lines(options: FileOptions, context: Context, model: type[AnyLine]) -> Iterator[tuple[str, AnyLine]]:
    """Where each line stands, and the line. Raises UserError naming every line that is no `model`."""
    for number, line in enumerate(read_rows(context.root / options.path, model), start=1):
        yield f"{options.path} row {number}", line


def plain(question: str, answer: str) -> str:
    """A question and its answer as a text to pretrain on: the chat layout without special tokens."""
    return f"Question: {question.strip()}\n\nAnswer: {answer.strip()}"
