"""The reader of sources' files: local ones or a pinned data set of the hub, row by row, each in the
form it comes in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from glob import glob
from pathlib import Path
from typing import Annotated, Any, Generic, TypeVar

from pydantic import AliasChoices, Field, model_validator

from data_builders.flow import Draft, Drop, SourceContext
from stemma.digests import files_under
from stemma.errors import Problem, Problems, UserError
from stemma.jsonl import validated
from stemma.reading.json_rows import NumberedRow
from stemma.reading.tables import CSV, CsvForm, HubSet, read_hub, read_table
from stemma.recipe.data import SourceOptions
from stemma.recipe.folders import PathText
from stemma.strict import StrictRecord


class FileOptions(SourceOptions):
    """Options of a source that reads files. Local files first; where there is none, a pinned data
    set of the hub."""

    path: PathText
    """Relative to `data.root`; a pattern such as `mmlu/test/*_test.csv` names several files."""
    hub: PathText | None = None
    """A data set on the Hugging Face hub, e.g. `openai/gsm8k`, for where `path` is no file."""
    revision: Annotated[str, Field(pattern="^[0-9a-f]{40}$")] | None = None
    """The commit of the hub's data set (40 hexadecimal digits): the exact rows."""
    config: str | None = None
    """The configuration of the hub's data set, where it has several, e.g. `main`."""
    split: str = "train"
    """The split of the hub's data set that is read."""

    @model_validator(mode="after")
    def _hub_is_pinned(self) -> FileOptions:
        if self.hub and not self.revision:
            raise ValueError(
                "hub: `revision` is missing, the commit (40 hexadecimal digits) that fixes the rows"
            )
        return self

    def files(self, root: Path) -> list[Path]:
        """Its local files; none where the hub's data set takes their place."""
        exact = root / self.path
        named = glob(self.path, root_dir=root, recursive=True)  # noqa: PTH207  # Path.glob refuses an absolute pattern
        found = [exact] if exact.exists() else sorted(root / name for name in named)
        return found or ([] if self.hub else [exact])

    def named_files(self, root: Path) -> dict[str, Path]:
        found = self.files(root)
        if (
            not found and self.hub and Path(self.hub).is_dir()
        ):  # a data set's folder in place of its name
            below = {
                f"hub/{path.relative_to(self.hub).as_posix()}": path
                for path in files_under(Path(self.hub))
            }
        elif Path(self.path).is_absolute():
            # In the order of their names, which is that of the recipe's pattern wherever they lie.
            below = {f"{number}/{path.name}": path for number, path in enumerate(found)}
        else:
            return super().named_files(root)
        return below


class RowForm(StrictRecord):
    """The keys and types of a row of a source's file, in one of the forms it comes in. Strict."""


AnyForm = TypeVar("AnyForm", bound=RowForm)


@dataclass(frozen=True)
class FileRow(Generic[AnyForm]):
    """A row of a file, parsed, and where it stands. A source makes a draft or a drop of it."""

    where: str
    file: str
    line: AnyForm

    def draft(self, question: str, row: dict[str, Any]) -> Draft:
        return Draft(self.where, question, row, self.file)

    def drop(self, reason: str) -> Drop:
        return Drop(self.where, reason, self.line.model_dump(mode="json"))


def read_lines(
    options: FileOptions, context: SourceContext, *forms: type[AnyForm], csv: CsvForm = CSV
) -> Iterator[FileRow[AnyForm]]:
    """Every row of the source's files, read as the one of `forms` that it shares most keys with.

    Raises UserError naming all rows that are none (20 kinds of problem at most); behind the first
    of them no row is given. A file without rows is named: beside others to the user, alone as an
    error.
    """
    problems = Problems()
    for file, place, (where, row) in _rows(options, context, csv):
        try:
            line = _parse(row, forms, place + where)
        except UserError as error:
            problems.add(error.problems)
            if problems.are_enough:
                break
        else:
            if not problems:
                yield FileRow(file + where, file, line)
    if problems:
        raise UserError(problems.listed())


def _rows(
    options: FileOptions, context: SourceContext, csv: CsvForm
) -> Iterator[tuple[str, str, NumberedRow]]:
    """(the file's name for provenance, its name in an error, the row)."""
    tables = list(_tables(options, context.root, csv))
    empty: list[str] = []
    for file, place, rows in tables:
        count = 0
        for row in rows:
            count += 1
            yield file, place, row
        if not count:
            empty.append(place)
    if len(empty) == len(tables):
        raise UserError(Problem(place, "no rows in it", "at least one row") for place in empty)
    for place in empty:
        context.say(f"warning: {place}: no rows in it")


def _tables(
    options: FileOptions, root: Path, csv: CsvForm
) -> Iterator[tuple[str, str, Iterator[NumberedRow]]]:
    files = options.files(root)
    for path in files:
        file = (path.relative_to(root) if path.is_relative_to(root) else path).as_posix()
        yield file, str(path), read_table(path, csv)
    if options.hub and options.revision and not files:
        wanted = HubSet(options.hub, options.revision, options.config, options.split)
        yield (
            f"{options.hub}@{options.revision}",
            options.hub,
            read_hub(wanted, root / options.path),
        )


def _parse(row: dict[str, Any] | Problem, forms: tuple[type[AnyForm], ...], where: str) -> AnyForm:
    if isinstance(row, Problem):
        raise UserError(row)
    form = max(forms, key=lambda form: len(keys_of(form) & row.keys()))
    return validated(row, where, form)


@cache
def keys_of(form: type[RowForm]) -> frozenset[str]:
    """The keys its rows can have."""
    aliases = (field.validation_alias for field in form.model_fields.values())
    spelled = (
        choice for alias in aliases if isinstance(alias, AliasChoices) for choice in alias.choices
    )
    return frozenset({*form.model_fields, *map(str, spelled)})
