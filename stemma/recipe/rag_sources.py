"""Options of each source of passages: a class a source. `rag/sources` reads them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from stemma.recipe.folders import PathText, below, fitting, possible_path
from stemma.recipe.sections import Section

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]*$")]


class PassageSource(Section):
    """One source of passages. The classes below are the sources there are."""

    source: str
    """Its kind: a module of `rag/sources`."""
    name: Name | None = None
    """What its passages are told by in hits and filters; by default its kind. Two sources of one
    kind need one each."""
    path: Annotated[str, AfterValidator(possible_path)]
    """The file, relative to `data.root`; a pattern such as `notes/*.pdf` names several."""
    licence: str | None = None
    """The licence of its text as an SPDX identifier, e.g. `CC-BY-4.0`, where the source does not
    know it. It is recorded with the database; an unknown one may not be passed on."""
    limit: Annotated[int, Field(ge=1, le=10**12)] | None = None
    """Read no more than this many documents."""

    @property
    def called(self) -> str:
        """Its name in hits, filters and counts."""
        return self.name or self.source

    def files(self, root: Path) -> list[Path]:
        """Its files in the order they are read, those of folders among them included."""
        inside = [path for one in self._named(root) for path in _files_of(one)]
        return list(dict.fromkeys(inside)) or [root / self.path]

    def _named(self, root: Path) -> list[Path]:
        """What the path says itself: a file or folder, or all that its pattern fits."""
        exact = root / self.path
        if exact.exists():
            return [exact]
        return fitting(root, self.path)

    def unreadable(self, root: Path) -> list[str]:
        """Names below its folders that are no files: links that lead nowhere, pipes."""
        folders = [one for one in self._named(root) if one.is_dir()]
        others = [path for one in folders for path in below(one).others]
        return list(self._by_name(others, root))

    def named_files(self, root: Path) -> dict[str, Path]:
        """Its files by names that hold no place, for the stage's key."""
        return self._by_name(self.files(root), root)

    def _by_name(self, paths: list[Path], root: Path) -> dict[str, Path]:
        if not Path(self.path).is_absolute():
            return {_as_text(path.relative_to(root)): path for path in paths}
        base = Path(self.path)
        if base.is_dir():
            return {_as_text(path.relative_to(base)): path for path in paths}
        return {f"{number}/{_as_text(Path(path.name))}": path for number, path in enumerate(paths)}


def _files_of(path: Path) -> list[Path]:
    """A file itself; of a folder all files below it but hidden ones, by their names."""
    return below(path).files if path.is_dir() else [path]


def _as_text(path: Path) -> str:
    """A path as text; bytes of it that are not UTF-8 as `\\xff`."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


class FromHub(PassageSource):
    """A source whose file can be a pinned data set of the hub in its stead."""

    hub: PathText | None = None
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
