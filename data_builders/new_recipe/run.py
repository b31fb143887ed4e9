"""The first recipe of somebody's own files, written beside the others; and the words about it."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_builders import SOURCES
from data_builders.filters.clean import texts_in
from data_builders.flow import Drop, Kind, SourceContext
from data_builders.language import language_of
from data_builders.new_recipe.amounts import LARGE, fair_seed, fitted
from data_builders.new_recipe.given import told_apart
from data_builders.new_recipe.guess import Guess, guess
from data_builders.new_recipe.look import Seen, look
from data_builders.new_recipe.write import WHAT, Found, recipe_text, tiny_text
from data_builders.split import question_key
from stemma.errors import Problem, Problems, UserError
from stemma.files import write_text
from stemma.recipe.load import RECIPES, load

FEWEST_ROWS = 10
"""Of a set: fewer can neither train nor test anything."""
SEQUENCE_TOKENS = (256, 512, 1024, 2048)
LONGEST_NAME = 40
"""Characters of a column's name that are shown."""
CHARACTERS_A_TOKEN = 2
"""At least, of texts with formulas: what a row may take is not underestimated."""
ODD = {
    "HTML": re.compile(r"</?(?:p|b|i|br|em|div|span|sub|sup|strong|img|ul|ol|li)\b[^<>]*>|&nbsp;"),
    "an error or a formula of Excel's": re.compile(
        r"^(?:#(?:REF!|NAME\?|VALUE!|DIV/0!|N/A|NUM!|NULL!)|=[A-Z]{2,}\(.*\))$"
    ),
    "letters read in a wrong encoding": re.compile(r"Ã[\u0080-\u00bf]|\ufffd|â€"),
}
"""What is seldom meant to be learnt, and is read as it stands."""
_UNNAMED = re.compile(r"column \d+$")
_NAME = re.compile(r"[a-z0-9][a-z0-9.-]*")


@dataclass(frozen=True)
class Order:
    """The wish for a recipe."""

    name: str
    files: Sequence[Path]
    like: str
    """The recipe whose model and template it takes."""
    folder: Path = RECIPES
    force: bool = False
    """Whether recipes of these names are replaced."""


@dataclass(frozen=True)
class Counted:
    """The rows of one file, as the source `table` reads them."""

    guess: Guess
    kept: int
    questions: frozenset[str]
    """The keys of the different questions among them; of very many the first."""
    dropped: Mapping[str, int]
    longest_characters: int


def make_recipe(order: Order) -> Iterator[str]:
    """Write the recipe and its tiny twin; the lines that say what was found.

    Raises UserError with all that is wrong; then nothing is written.
    """
    targets = [order.folder / f"{name}.yml" for name in (order.name, f"{order.name}-tiny")]
    _refuse(order, targets)
    given = told_apart(order.files)
    counted = [_count(one) for one in _guesses(given.tables)]
    found = _found(order, counted, given.documents)
    for path, text in zip(targets, (recipe_text(found), tiny_text(found)), strict=True):
        write_text(path, text)
    for path in targets:
        load(str(path))  # ours to get right
    yield from _seen_lines(counted, found)
    yield f"wrote {targets[0]} (with {found.model}) and {targets[1]} (a small one, to try)"


def _refuse(order: Order, targets: Sequence[Path]) -> None:
    problems = Problems()
    if not _NAME.fullmatch(order.name):
        expected = "small letters, digits, dots and dashes"
        better = re.sub(r"[^a-z0-9.]+", "-", order.name.casefold()).strip("-.") or "physics"
        problems.add([Problem("NAME", f"`{order.name}`", expected, f"NAME={better}")])
    if not order.files:
        problems.add([Problem("FROM", "no files", "at least one table", 'FROM="my.csv"')])
    for path in targets:
        if path.exists() and not order.force:
            problems.add([Problem(str(path), "is there already", "a new name", "or FORCE=1")])
    if problems:
        raise UserError(problems.listed())


def _guesses(files: Sequence[Path]) -> list[Guess]:
    problems = Problems()
    found: list[Guess] = []
    for path in files:
        try:
            seen = look(path)
            one = guess(seen)
        except UserError as error:
            problems.add(error.problems)
            continue
        if one:
            found.append(one)
        else:
            problems.add([_unrecognised(seen)])
    if problems:
        raise UserError(problems.listed())
    return found


def _unrecognised(seen: Seen) -> Problem:
    expected = "question and answer; question, choices and answer; or question, chosen, rejected"
    hint = (
        "rename them in the header line, which must be the file's first, or write the source "
        "`table` with `columns` by hand (docs/data-sources.md)"
    )
    if sum(bool(_UNNAMED.match(name)) for name in seen.columns) * 2 > len(seen.columns):
        hint = "the first line is a title: delete all lines above the header line"
    elif len(seen.columns) == 1 and (sign := next((s for s in "^:~" if s in seen.columns[0]), "")):
        hint = f"save it with commas, semicolons or tabs between the cells, not `{sign}`"
    if {"role", "content"} <= set(seen.columns):
        hint = "a conversation a line: JSON Lines with its turns as a list under `messages`"
    shown = [
        name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}…" for name in seen.columns
    ]
    return Problem(str(seen.path), f"columns {', '.join(shown)}", expected, hint)


def _count(one: Guess) -> Counted:
    values: dict[str, Any] = {"source": "table", "path": one.seen.path.name}
    if one.columns:
        values |= {"columns": dict(one.columns)}
    if one.kind == "mcq":
        values |= {"answer_is": one.answer_is}
    if one.seen.is_csv:
        form = one.seen.form
        values |= {"delimiter": form.delimiter, "encoding": form.encoding}
        values |= {"header": list(form.columns)}
    source = SOURCES["table"]
    options = source.options.model_validate(values)
    context = SourceContext(one.kind, one.seen.path.parent, 42, (), lambda _text: None)
    kept = longest = 0
    dropped: Counter[str] = Counter()
    questions: set[str] = set()
    for item in source.read(options, context):
        if isinstance(item, Drop):
            dropped[item.reason] += 1
        else:
            kept += 1
            if len(questions) <= LARGE:
                questions.add(question_key(item.question))
            content = {name: item.row[name] for name in item.row if name != "meta"}
            longest = max(longest, sum(map(len, texts_in(content))))
    return Counted(one, kept, frozenset(questions), dropped, longest)


def _enough(kind: Kind, counted: Sequence[Counted]) -> tuple[int, set[str], list[Problem]]:
    """The rows of a set, the keys of its questions, and what is wrong where there are too few."""
    mine = [one for one in counted if one.guess.kind == kind]
    rows = sum(one.kept for one in mine)
    questions = set().union(*(one.questions for one in mine))
    if len(questions) >= FEWEST_ROWS:
        return rows, questions, []
    lost = [f"{why} ({number})" for one in mine for why, number in one.dropped.items()]
    found = f"{rows} usable rows, {len(questions)} different questions"
    hint = f"not usable: {'; '.join(lost)}" if lost else ""
    return rows, questions, [Problem(f"the {WHAT[kind]}", found, f"at least {FEWEST_ROWS}", hint)]


def _found(order: Order, counted: Sequence[Counted], documents: Sequence[Path]) -> Found:
    sets = {kind: _enough(kind, counted) for kind in dict.fromkeys(o.guess.kind for o in counted)}
    if problems := [problem for _, _, few in sets.values() for problem in few]:
        raise UserError(problems)
    amounts = {kind: fitted(rows) for kind, (rows, _, _) in sets.items()}
    like = load(order.like)
    inside = [one.guess.seen.path for one in counted]
    root = Path(os.path.commonpath([path.parent.absolute() for path in [*inside, *documents]]))
    needed = max(one.longest_characters for one in counted) // CHARACTERS_A_TOKEN
    return Found(
        name=order.name,
        root=_shown(root),
        like=order.like,
        model=str(like.base_model),
        revision=like.base_revision,
        template=like.chat_template,
        language=language_of(
            str(cell) for one in counted for row in one.guess.seen.rows for cell in row.values()
        ),
        sequence_tokens=next((n for n in SEQUENCE_TOKENS if n >= needed), SEQUENCE_TOKENS[-1]),
        guesses=[one.guess for one in counted],
        paths={
            str(one.guess.seen.path): one.guess.seen.path.absolute().relative_to(root).as_posix()
            for one in counted
        },
        amounts=amounts,
        seed=fair_seed([(sets[kind][1], amounts[kind]) for kind in sets]),
        documents=[path.absolute().relative_to(root).as_posix() for path in documents],
        longest_fits=needed <= SEQUENCE_TOKENS[-1],
    )


def _shown(root: Path) -> str:
    here = Path.cwd()
    return root.relative_to(here).as_posix() if root.is_relative_to(here) else str(root)


def _odd_lines(seen: Seen) -> Iterator[str]:
    cells = [value for name in seen.columns for value in seen.values(name)]
    for what, pattern in ODD.items():
        if odd := [cell for cell in cells if pattern.search(cell)]:
            example = " ".join(odd[0].split())[:LONGEST_NAME]
            yield f"  {'look at':<12} {len(odd)} cells with {what}, read as they stand: {example}"


def _seen_lines(counted: Sequence[Counted], found: Found) -> Iterator[str]:
    for one in counted:
        seen = one.guess.seen
        form = f"{seen.form.encoding}, cells between {seen.form.delimiter!r}" if seen.is_csv else ""
        read = f" ({form})" if form else ""
        yield f"{seen.path}{read}: {one.kept} {WHAT[one.guess.kind]}"
        for name, column in one.guess.columns.items():
            yield f"  {name:<12} {column if isinstance(column, str) else ', '.join(column)}"
        if unused := [name for name in one.guess.unused if seen.values(name)]:
            yield f"  {'not used':<12} {', '.join(unused)}"
        for reason, count in one.dropped.items():
            yield f"  {count} rows not usable: {reason}"
        yield from _odd_lines(seen)
    for path in found.documents:
        yield f"{path}: documents to search (`rag`)"
    yield f"language: {found.language}"
