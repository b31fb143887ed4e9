"""The bookkeeping of a build: the recipe's sources by name, and for each of them how many rows were
read, kept, and dropped for which reason."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from data_builders import SOURCES, licence_of
from data_builders.filters.clean import map_texts
from data_builders.flow import CleanRow, Drop, Kind, Phase, Placed, splits_of
from data_builders.reading.files import FileOptions
from stemma.recipe.data import DataSection, DataSet, SourceOptions
from stemma.rows import Dropped


@dataclass(frozen=True)
class SetSource:
    """A source as one of the recipe's sets uses it."""

    name: str
    """`dpo: epfl_preferences epfl/preferences.json`"""
    kind: Kind
    options: SourceOptions
    dataset: DataSet

    @property
    def phase(self) -> Phase:
        return SOURCES[self.options.source].phase

    @property
    def licence(self) -> str:
        return licence_of(self.options)


def name_of(options: SourceOptions) -> str:
    """A source by its name and files."""
    return options.source + (f" {options.path}" if isinstance(options, FileOptions) else "")


def sources_of(data: DataSection) -> list[SetSource]:
    """Every source of every set; where a set takes the same one again, `(2)` is added to its
    name."""
    found = []
    for kind, dataset in data.sets().items():
        taken: Counter[str] = Counter()
        for options in dataset.sources:
            name = f"{kind}: {name_of(options)}"
            taken[name] += 1
            number = f" ({taken[name]})" if taken[name] > 1 else ""
            found.append(SetSource(name + number, cast(Kind, kind), options, dataset))
    return found


@dataclass
class Account:
    """Counts of the rows that each source gave and lost.

    Dropped rows go straight to `write`: there may be more of them than are kept.
    """

    write: Callable[[Dropped], None]
    read: Counter[str] = field(default_factory=Counter)
    repaired: Counter[str] = field(default_factory=Counter)
    dropped: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))

    def drop(self, source: str, drop: Drop) -> None:
        self.dropped[source][drop.reason] += 1
        self.write(
            Dropped(source=source, where=drop.where, reason=drop.reason, row=_printable(drop.row))
        )

    def drop_placed(self, placed: CleanRow, reason: str) -> None:
        self.drop(
            placed.source, Drop(placed.draft.where, reason, placed.row.model_dump(mode="json"))
        )

    def counts(self, rows: Sequence[Placed]) -> dict[str, Any]:
        """The manifest's counts.

        Per source: read = kept + dropped by reason, and how many were repaired; per set: the size
        of each split.
        """
        kept = Counter(placed.source for placed in rows)
        sources = {}
        for name, read in self.read.items():
            dropped = self.dropped[name]
            assert read == kept[name] + dropped.total(), (
                f"{name}: {read} read, {kept[name]} kept, {dropped} dropped"
            )
            counted = {"read": read, "kept": kept[name], "dropped": dict(sorted(dropped.items()))}
            sources[name] = {**counted, "repaired": self.repaired[name]}
        sizes: dict[str, dict[str, int]] = {}
        for placed in rows:
            sizes.setdefault(placed.kind, dict.fromkeys(splits_of(placed.kind), 0))[
                placed.split
            ] += 1
        return {"sources": sources, "sets": sizes}


def _printable(row: dict[str, Any]) -> Any:
    """The row with what UTF-8 cannot hold written out, e.g. an unpaired surrogate as `\\ud83d`."""
    return map_texts(row, lambda text: text.encode("utf-8", "backslashreplace").decode())
