"""What flows through the data stage: drafts from the sources, rows placed in a part, and what was dropped and why."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from glob import glob
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, Protocol, Self, TypeVar

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError, model_validator

from data_builders.json_rows import Found
from data_builders.tables import CSV, CsvForm, HubSet, read_hub, read_table
from stemma import ROOT
from stemma.data_section import SourceOptions
from stemma.errors import Problem, Problems, UserError
from stemma.rows import CorpusRow, McqRow, PreferenceRow, SftRow, Split
from stemma.runs import digest_json, files_under

Kind = Literal["corpus", "sft", "dpo", "mcq"]
Phase = Literal["read", "generate", "derive"]
Row = CorpusRow | SftRow | PreferenceRow | McqRow

NO_TOKENS = re.compile(r"(?!)")  # the special tokens of a tokenizer that is not known

PHASES: tuple[Phase, ...] = ("read", "generate", "derive")
"""Sources that ask a generator run after those that only read: by then the evaluation questions are known, and no
request is paid for one of them. Sources derived from other sets' training rows run last."""

ROW_MODELS: dict[Kind, type[Row]] = {"corpus": CorpusRow, "sft": SftRow, "dpo": PreferenceRow, "mcq": McqRow}


def parts_of(kind: str) -> tuple[Split, ...]:
    return ("train",) if kind == "corpus" else ("train", "validation", "test")


@dataclass(frozen=True)
class Origin:
    """Who wrote a generated row, and what it cost (None: no price table)."""

    model: str
    date: str
    prompt_sha256: str
    requests: int
    cost_usd: float | None = None


@dataclass(frozen=True)
class Draft:
    """A row as a source gives it, not yet cleaned, without its ids and `source`. `question` decides its part."""

    where: str
    question: str
    row: dict[str, Any]
    file: str = ""
    """The file it was read from, relative to `data.root`, or the hub name with its revision."""
    origin: Origin | None = None
    """For generated rows."""


@dataclass(frozen=True)
class Drop:
    """What a source read and could not make a row of."""

    where: str
    reason: str
    row: dict[str, Any]


@dataclass(frozen=True)
class Placed:
    """A clean row, its set, its part, and its question. `batch` names its source as the recipe uses it."""

    batch: str
    kind: Kind
    part: Split
    key: str
    """Of its question (see split.question_key)."""
    cluster: str
    """The key that stands for all near-duplicates of the question: they share a part."""
    fixed: bool
    """Whether the recipe said which part (`use: train`), or the split chose it."""
    draft: Draft
    row: Row
    by_pair: bool = False
    """Drawn without regard to its question, as the recipe says (`split: pair`): it is kept apart from other sets only.
    """


@dataclass(frozen=True)
class Message:
    """One turn of a chat."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True)
class Ask:
    """One request to the generator. Asks that differ in `seed` are separate chats. `schema`: the JSON it returns."""

    messages: tuple[Message, ...]
    seed: int
    schema: type[BaseModel] | None = None
    in_reserve: bool = False
    """Asked only where an earlier reply was of no use: a forecast counts it in its "at most" alone."""


@dataclass(frozen=True)
class Reply:
    """What came back: `text`, parsed into `value` where a schema was asked; or `problem`, why it cannot be used."""

    text: str
    origin: Origin
    value: BaseModel | None = None
    problem: str | None = None
    placeholder: bool = False
    """Nobody was asked: a forecast takes every reply for a good one."""


class Writer(Protocol):
    """Answers requests from the ledger or the server. Raises StageFailed or UserError when the server is of no use."""

    async def ask(self, ask: Ask) -> Reply: ...


Job = Callable[[Writer], Awaitable[Draft | Drop]]
"""Asks what it needs (in parallel, in turn) and makes one row of the replies."""
Generate = Callable[[Sequence[Job]], Iterable[Draft | Drop]]
"""Runs jobs side by side; results in the jobs' order. A dry run only counts what they would ask."""


@dataclass(frozen=True)
class Context:
    """What a source may use besides its own options. `placed` holds the rows of the phases before."""

    kind: Kind
    root: Path
    seed: int
    placed: tuple[Placed, ...]
    say: Callable[[str], None]
    generate: Generate | None = None
    """Set in the `generate` phase."""
    held_out: Callable[[str], bool] = lambda _question: False
    """Whether an evaluation set holds this question, or one that says the same: no request is paid for it."""
    special: re.Pattern[str] = NO_TOKENS
    """The special tokens of the recipe's own model (see clean.special_tokens)."""


class FileOptions(SourceOptions):
    """Options of a source that reads files. Local files first; where there is none, a pinned data set of the hub."""

    path: str
    """Relative to `data.root`; a pattern such as `mmlu/test/*_test.csv` names several files."""
    hub: str | None = None
    """A data set on the Hugging Face hub, e.g. `openai/gsm8k`, for where `path` is no file."""
    revision: Annotated[str, Field(pattern="^[0-9a-f]{40}$")] | None = None
    """The commit of the hub's data set (40 hexadecimal digits): the exact rows."""
    config: str | None = None
    split: str = "train"

    @model_validator(mode="after")
    def _hub_is_pinned(self) -> Self:
        if self.hub and not self.revision:
            raise ValueError("hub: `revision` is missing, the commit (40 hexadecimal digits) that fixes the rows")
        return self

    def files(self, root: Path) -> list[Path]:
        """Its local files; none where the hub's data set takes their place."""
        exact = root / self.path
        named = glob(self.path, root_dir=root, recursive=True)  # noqa: PTH207  # Path.glob refuses an absolute pattern
        found = [exact] if exact.exists() else sorted(root / name for name in named)
        return found or ([] if self.hub else [exact])

    def named_files(self, root: Path) -> dict[str, Path]:
        found = self.files(root)
        if not found and self.hub and Path(self.hub).is_dir():  # a data set's folder in place of its name
            below = {f"hub/{path.relative_to(self.hub).as_posix()}": path for path in files_under(Path(self.hub))}
        elif Path(self.path).is_absolute():
            # In the order of their names, which is that of the recipe's pattern wherever they lie.
            below = {f"{number}/{path.name}": path for number, path in enumerate(found)}
        else:
            return super().named_files(root)
        return below | {path.relative_to(ROOT).as_posix(): path for path in self.own_files()}


class Line(BaseModel):
    """A row of a source's file, in one of the forms it comes in."""

    model_config = ConfigDict(extra="forbid", strict=True)


AnyLine = TypeVar("AnyLine", bound=Line)


@dataclass(frozen=True)
class Entry(Generic[AnyLine]):
    """A row and where it stands: what a source makes drafts and drops of."""

    where: str
    file: str
    line: AnyLine

    def draft(self, question: str, row: dict[str, Any]) -> Draft:
        return Draft(self.where, question, row, self.file)

    def drop(self, reason: str) -> Drop:
        return Drop(self.where, reason, self.line.model_dump(mode="json"))


def read_lines(
    options: FileOptions, context: Context, *forms: type[AnyLine], csv: CsvForm = CSV
) -> Iterator[Entry[AnyLine]]:
    """Every row of the source's files, read as the one of `forms` that it shares most keys with.

    Raises UserError naming all rows that are none (20 kinds of problem at most); behind the first of them no row is
    given. A file without rows is named: beside others to the user, alone as an error.
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
                yield Entry(file + where, file, line)
    if problems:
        raise UserError(problems.listed())


def _rows(options: FileOptions, context: Context, csv: CsvForm) -> Iterator[tuple[str, str, Found]]:
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


def _tables(options: FileOptions, root: Path, csv: CsvForm) -> Iterator[tuple[str, str, Iterator[Found]]]:
    files = options.files(root)
    for path in files:
        file = (path.relative_to(root) if path.is_relative_to(root) else path).as_posix()
        yield file, str(path), read_table(path, csv)
    if options.hub and options.revision and not files:
        wanted = HubSet(options.hub, options.revision, options.config, options.split)
        yield f"{options.hub}@{options.revision}", options.hub, read_hub(wanted, root / options.path)


def _parse(row: dict[str, Any] | Problem, forms: tuple[type[AnyLine], ...], where: str) -> AnyLine:
    if isinstance(row, Problem):
        raise UserError(row)
    form = max(forms, key=lambda form: len(keys_of(form) & row.keys()))
    try:
        return form.model_validate(row)
    except ValidationError as error:
        expected = f"an object of {', '.join(form.model_fields)}"
        raise UserError(
            Problem(where, f"{'.'.join(map(str, e['loc']))}: {e['msg']}", expected) for e in error.errors()
        ) from None


@cache
def keys_of(form: type[Line]) -> frozenset[str]:
    """The keys its rows can have."""
    aliases = (field.validation_alias for field in form.model_fields.values())
    spelled = (choice for alias in aliases if isinstance(alias, AliasChoices) for choice in alias.choices)
    return frozenset({*form.model_fields, *map(str, spelled)})


def plain(question: str, answer: str) -> str:
    """A question and its answer as a text to pretrain on: the chat layout without special tokens."""
    return f"Question: {question.strip()}\n\nAnswer: {answer.strip()}"


def conversation(question: str, answer: str) -> list[dict[str, str]]:
    """A question and its answer as the `messages` of an SFT row."""
    return [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]


def merge_origins(replies: Sequence[Reply]) -> Origin:
    """The one origin of a row made of several replies: what they cost together, the newest's date."""
    origins = [reply.origin for reply in replies]
    costs = [o.cost_usd for o in origins if o.cost_usd is not None]
    prompts, models = [o.prompt_sha256 for o in origins], sorted({o.model for o in origins})
    prompt = prompts[0] if len(prompts) == 1 else digest_json(prompts)
    cost = sum(costs) if len(costs) == len(origins) else None
    return Origin(", ".join(models), max(o.date for o in origins), prompt, sum(o.requests for o in origins), cost)
