"""What flows through the data stage: drafts from the sources, rows placed in a part, and what was dropped and why."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from stemma.recipe import Generator, SourceOptions
from stemma.rows import CorpusRow, McqRow, PreferenceRow, SftRow, Split

Kind = Literal["corpus", "sft", "dpo", "mcq"]
Phase = Literal["read", "generate", "derive"]
Row = CorpusRow | SftRow | PreferenceRow | McqRow

PHASES: tuple[Phase, ...] = ("read", "generate", "derive")
"""Sources that ask a generator run after those that only read: by then the evaluation questions are known, and no
request is paid for one of them. Sources derived from other sets' training rows run last."""

PARTS: dict[Kind, tuple[Split, ...]] = {
    "corpus": ("train",),
    "sft": ("train", "validation", "test"),
    "dpo": ("train", "validation", "test"),
    "mcq": ("train", "validation", "test"),
}

ROW_MODELS: dict[Kind, type[Row]] = {"corpus": CorpusRow, "sft": SftRow, "dpo": PreferenceRow, "mcq": McqRow}


class FileOptions(SourceOptions):
    """Options of a source that reads one file; a recipe names a source once per file."""

    path: str
    """Relative to `data.root`."""

    def files(self) -> list[str]:
        return [self.path]


@dataclass(frozen=True)
class Draft:
    """A row as a source gives it, not yet cleaned, without its ids and `source`. `question` decides its part."""

    where: str
    question: str
    row: dict[str, object]


@dataclass(frozen=True)
class Drop:
    """What a source read and could not make a row of."""

    where: str
    reason: str
    row: dict[str, object]


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
    """What a source may use besides its own options."""

    kind: Kind
    root: Path
    seed: int
    folder: Path
    generator: Generator | None
    placed: tuple[Placed, ...]
    """The rows of the phases before."""
    say: Callable[[str], None]

    def held_out(self) -> frozenset[str]:
        """The keys of the questions of all validation and test parts so far."""
        return frozenset(placed.key for placed in self.placed if placed.part != "train")
