"""Options of each source of passages: a class a source. `rag/sources` reads them."""

from __future__ import annotations

from glob import glob
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, PositiveInt, model_validator

from stemma.recipe.sections import Section

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]*$")]


class PassageSource(Section):
    """One source of passages. The classes below are the sources there are."""

    source: str
    """Its kind: a module of `rag/sources`."""
    name: Name | None = None
    """What its passages are told by in hits and filters; by default its kind. Two sources of one
    kind need one each."""
    path: str
    """The file, relative to `data.root`; a pattern such as `notes/*.pdf` names several."""
    licence: str | None = None
    """The licence of its text as an SPDX identifier, e.g. `CC-BY-4.0`, where the source does not
    know it. It is recorded with the database; an unknown one may not be passed on."""
    limit: PositiveInt | None = None
    """Read no more than this many documents."""

    @property
    def called(self) -> str:
        """Its name in hits, filters and counts."""
        return self.name or self.source

    def files(self, root: Path) -> list[Path]:
        """Its files in the order they are read, those of folders among them included."""
        exact = root / self.path
        named = [exact]
        if not exact.exists():
            found = glob(self.path, root_dir=root, recursive=True)  # noqa: PTH207  # Path.glob refuses an absolute pattern
            named = sorted(root / name for name in found)
        inside = [below for path in named for below in _files_in(path)]
        return inside or [exact]

    def named_files(self, root: Path) -> dict[str, Path]:
        """Its files by names that hold no place, for the stage's key."""
        found = self.files(root)
        if not Path(self.path).is_absolute():
            return {path.relative_to(root).as_posix(): path for path in found}
        base = Path(self.path)
        if base.is_dir():
            return {path.relative_to(base).as_posix(): path for path in found}
        return {f"{number}/{path.name}": path for number, path in enumerate(found)}


def _files_in(path: Path) -> list[Path]:
    """A file itself; of a folder all files below it but hidden ones, by their names."""
    if not path.is_dir():
        return [path]
    below = (found for found in path.rglob("*") if found.is_file())
    return sorted(
        found
        for found in below
        if not any(part.startswith(".") for part in found.relative_to(path).parts)
    )


class FromHub(PassageSource):
    """A source whose file can be a pinned data set of the hub in its stead."""

    hub: str | None = None
    """A data set on the Hugging Face hub, for where `path` is no file."""
    revision: Annotated[str, Field(pattern="^[0-9a-f]{40}$")] | None = None
    """The commit of the hub's data set (40 hexadecimal digits): the exact rows."""
    config: str | None = None
    """The configuration of the hub's data set, where it has several."""
    split: str = "train"
    """The split of the hub's data set that is read."""

    @model_validator(mode="after")
    def _hub_is_pinned(self) -> FromHub:
        if self.hub and not self.revision:
            rule = "the commit (40 hexadecimal digits) that fixes the rows"
            raise ValueError(f"hub: `revision` is missing, {rule}")
        return self

    def named_files(self, root: Path) -> dict[str, Path]:
        is_there = any(path.exists() for path in self.files(root))
        return super().named_files(root) if is_there or not self.hub else {}


class WikiDpr(FromHub):
    """Wikipedia in passages of 100 words, as DPR cut it: `psgs_w100.tsv`, with or without `.gz`."""

    source: Literal["wiki_dpr"]
    """Wikipedia in passages of 100 words (CC BY-NC as DPR packs it)."""


class Documents(PassageSource):
    """A folder of Markdown, text, HTML and PDF files: a teacher's own material."""

    source: Literal["documents"]
    """A folder of Markdown, text, HTML and PDF files."""


class Wikipedia(PassageSource):
    """Articles as wikiextractor writes them, one JSON object a line: `id`, `title`, `text`."""

    source: Literal["wikipedia"]
    """Articles as wikiextractor writes them, in JSON Lines."""


class PassageColumns(Section):
    """Which column of a table holds what."""

    text: str
    """The column of the text."""
    id: str | None = None
    """The column of an id, unique in the table; by default the row's number."""
    title: str | None = None
    """The column of the title; by default the file's name."""
    place: str | None = None
    """The column of a place within the document, e.g. a page or a chapter."""


class PassageTable(FromHub):
    """Any table (CSV, TSV, JSON, JSON Lines, Parquet) by a mapping of its columns."""

    source: Literal["table"]
    """Any table by a mapping of its columns."""
    columns: PassageColumns
    """Which column holds what."""
    header: list[str] = []
    """The names of a CSV file's columns, where it has no header line."""
    delimiter: Literal[",", ";", "\t", "|"] = ","
    """What stands between the cells of a CSV file."""
    after: str | None = None
    """Of a text only what follows these words, e.g. `Explanation:`; a row without them is left
    out."""


AnyPassageSource = Annotated[
    WikiDpr | Documents | Wikipedia | PassageTable, Field(discriminator="source")
]
"""A source of passages by its kind."""
PASSAGE_SOURCES: dict[str, type[PassageSource]] = {
    "wiki_dpr": WikiDpr,
    "documents": Documents,
    "wikipedia": Wikipedia,
    "table": PassageTable,
}
