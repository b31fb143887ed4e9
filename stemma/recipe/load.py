"""Loader of recipes: finds the file, checks everything, reports every problem with file and line.

The border is strict: what this module lets through is a valid `Recipe`, and everything behind it
trusts the types.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from stemma import ROOT
from stemma.errors import Problem, UserError, brief, nearest
from stemma.plain_files import not_plain
from stemma.reading.tables import CsvForm, read_table
from stemma.recipe import check
from stemma.recipe.axolotl_keys import axolotl_fields
from stemma.recipe.data import SourceOptions
from stemma.recipe.document import Document, override, read, shown
from stemma.recipe.eval_tasks import TASK_OPTIONS, TaskOptions
from stemma.recipe.folders import is_possible
from stemma.recipe.lm_eval_tasks import look_up, place_of
from stemma.recipe.models import Recipe
from stemma.recipe.places import make_whole, place
from stemma.recipe.plain_yaml import readable
from stemma.recipe.prompts import PROMPTS, PromptFiles
from stemma.recipe.rag_sources import PASSAGE_SOURCES, PassageSource
from stemma.recipe.safety import hidden, with_safety
from stemma.recipe.splits import split_problems

RECIPES = ROOT / "recipes"
GIVEN = ("path", "overrides")
"""Fields of `Recipe` that the loader fills in; in a recipe they are unknown keys."""


def load(name_or_path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """The checked recipe, with `overrides` as `key=value`. Raises UserError with all problems."""
    try:
        document = read(find(str(name_or_path)))
    except UserError as error:
        raise UserError(hidden(error.problems)) from None
    place(document, RECIPES)
    for text in overrides:
        override(document, text)
    make_whole(document, RECIPES)
    recipe, problems = _validate(document, overrides)
    problems = [
        *document.problems,
        *problems,
        *check.problems(document.values, document.where, document.path.parent),
    ]
    problems = with_safety(document, recipe, problems)
    if recipe is None or problems:
        raise UserError(sorted(dict.fromkeys(problems), key=_place))
    return recipe


def find(name_or_path: str) -> Path:
    """The file of a recipe, given by its name in `recipes/` or by its path.

    A path starts here or, where nothing is, at the checkout; `tiny.yml` alone may lie in `recipes/`
    too. Raises UserError naming the nearest that is there.
    """
    is_path = name_or_path.endswith((".yml", ".yaml")) or os.sep in name_or_path
    if is_path and not is_possible(name_or_path):
        raise UserError(Problem(readable(name_or_path), "no path that a file can have"))
    path = Path(name_or_path) if is_path else RECIPES / f"{name_or_path}.yml"
    elsewhere = [RECIPES.parent / path, RECIPES / path] if is_path else []
    path = next((one for one in [path, *elsewhere] if one.exists()), path)
    lacks = not_plain(path)
    if not lacks:
        return path
    known = [str(other) for other in sorted(path.parent.glob("*.yml"))] if is_path else []
    known = known or names()
    unknown = f"unknown recipe `{readable(name_or_path)}`"
    found = unknown if lacks == "no such file" else lacks
    expected = f"one of: {', '.join(known) or 'none'}"
    hint = nearest(name_or_path, known) or nearest(path.stem, known)
    raise UserError(Problem(readable(shown(path)), found, expected, hint))


def called(path: Path) -> str:
    """What a command names a recipe's file by: its name in `recipes/`, or else where it lies."""
    inside = RECIPES / f"{path.stem}.yml"
    is_inside = inside.is_file() and path.is_file() and path.samefile(inside)
    return path.stem if is_inside else str(path.absolute())


def names() -> list[str]:
    """Every recipe in `recipes/`."""
    return sorted(path.stem for path in RECIPES.glob("*.yml"))


def _validate(document: Document, overrides: Sequence[str]) -> tuple[Recipe | None, list[Problem]]:
    problems = [_unknown(document, (key,), Recipe) for key in GIVEN if key in document.values]
    if document.values.get("name", document.path.stem) != document.path.stem:
        found = f"`name: {readable(str(document.values['name']))}` in the file {document.path.name}"
        expected = f"`name: {document.path.stem}`, like the file"
        problems.append(Problem(document.where(["name"]), found, expected))
    try:
        given = {"path": document.path, "overrides": list(overrides)}
        recipe = Recipe.model_validate(document.values | given)
    except ValidationError as error:
        return None, [*problems, *_explain(error, document)]
    problems += [*_data_problems(document, recipe), *_prompt_problems(document, recipe)]
    problems += split_problems(recipe, document.where)
    return recipe, [*problems, *_benchmark_problems(document, recipe)]


def _data_problems(document: Document, recipe: Recipe) -> Iterator[Problem]:
    from data_builders import find_problems

    for problem in find_problems(recipe.data):
        place = document.where(re.split(r"\.|\[|\]", problem.where.removesuffix("]")))
        yield Problem(place, f"`{problem.where}`: {problem.found}", problem.expected, problem.hint)


def _prompt_problems(document: Document, recipe: Recipe) -> Iterator[Problem]:
    """The judges' prompts that are not there."""
    prompts = PromptFiles(recipe.path.parent)
    for number, judging in enumerate([] if recipe.is_data_only else recipe.eval.judge):
        if not (path := prompts.path(judging.prompt)).is_file():
            here = f"neither beside the recipe nor in {PROMPTS}"
            found = f"no such prompt: prompts/{path.name}, {here}"
            known = sorted(one.stem for folder in prompts.folders for one in folder.glob("*.jinja"))
            where = document.where(["eval", "judge", str(number), "prompt"])
            expected = "a prompt like recipes/prompts/judge.jinja"
            yield Problem(where, found, expected, nearest(judging.prompt, known))


def _benchmark_problems(document: Document, recipe: Recipe) -> list[Problem]:
    """What is wrong with the benchmarks, their data files included."""
    if recipe.is_data_only or recipe.eval.benchmarks is None:
        return []
    where = document.where(["eval", "benchmarks", "tasks"])
    found = look_up(recipe.eval.benchmarks, place_of(recipe), where)
    # Where the data are not there either (no `DATA=`), stage `data` says so first.
    has_data = all(path.is_file() for path in recipe.data.files(recipe.path.parent).values())
    return [one for one in found.problems if has_data or one not in found.absent]


def _explain(error: ValidationError, document: Document) -> Iterator[Problem]:
    for item in error.errors(include_url=False):
        keys = _without_kind(item["loc"])
        if item["type"].startswith("union_tag_"):
            yield _no_kind(document, keys, item["input"])
        elif item["type"] == "extra_forbidden":
            yield _unknown(document, keys, section_model(document.values, keys[:-1]))
        else:
            yield _wrong_value(document, keys, item)


KINDS: dict[tuple[Any, ...], tuple[str, Collection[str]]] = {
    ("eval", "tasks"): ("task", TASK_OPTIONS),
    ("rag", "sources"): ("source", PASSAGE_SOURCES),
}
"""Lists whose entries are of several kinds: the key that names an entry's, and the kinds."""


def _without_kind(keys: tuple[Any, ...]) -> tuple[Any, ...]:
    """A place without the name of an entry's kind, which pydantic puts behind its number."""
    return keys[:3] + keys[4:] if keys[:2] in KINDS else keys


def _no_kind(document: Document, keys: tuple[Any, ...], given: Any) -> Problem:
    """The problem of an entry whose kind is none there is, or missing."""
    key, kinds = KINDS[keys[:2]]
    keys = (*keys, key)
    name = ".".join(map(str, keys))
    if not isinstance(given, dict) or key not in given:
        return Problem(document.where(keys), f"missing key `{name}`")
    expected = f"one of: {', '.join(kinds)}"
    hint = nearest(str(given[key]), list(kinds))
    return Problem(document.where(keys), f"`{name}` is {brief(given[key])}", expected, hint)


def section_model(values: Any, keys: Sequence[Any]) -> type[BaseModel]:
    """The model of the section at `keys` of a recipe's `values`; a source's own for a source."""
    model: type[BaseModel] = Recipe
    for key in keys:
        # A part of the place may name a type, where one of several was meant.
        with suppress(LookupError, TypeError):
            values = values[key]
        for name, info in model.model_fields.items():
            if (info.alias or name) == key:
                model = _model_in(info.annotation) or model
        if model is SourceOptions and isinstance(values, dict):
            model = _source_options(values)
        if issubclass(model, TaskOptions) and isinstance(values, dict):
            model = TASK_OPTIONS[values["task"]]
        if issubclass(model, PassageSource) and isinstance(values, dict):
            model = PASSAGE_SOURCES[values["source"]]
    return model


def _source_options(value: Any) -> type[BaseModel]:
    from data_builders import SOURCES

    options: type[BaseModel] = SOURCES[value["source"]].options
    return options


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for inner in get_args(annotation) if (found := _model_in(inner))), None)


def _unknown(document: Document, keys: tuple[Any, ...], model: type[BaseModel]) -> Problem:
    given = GIVEN if model is Recipe else ()
    known = sorted(
        (info.alias or name) for name, info in model.model_fields.items() if name not in given
    )
    key = str(keys[-1])
    section = ".".join(map(str, keys[:-1])) or "the recipe"
    hint = nearest(key, known)
    if not hint and len(keys) == 1 and key in axolotl_fields():
        hint = f"`{key}` is an Axolotl key: it belongs into `train`, `base`, `sft`, `dpo` or `mcq`"
    found = f"unknown key `{key}` in {section}"
    if keys[-2:-1] == ("columns",) and (columns := _columns_of(document.values, keys[:-2])):
        hint = f"{hint or 'a key says what a column is'}; the file has {', '.join(columns)}"
    return Problem(document.where(keys), found, f"one of: {', '.join(known)}", hint)


def _columns_of(values: Any, keys: Sequence[Any]) -> list[str]:
    """What the columns of a source's file are called; none where it cannot be read yet."""
    with suppress(UserError, LookupError, TypeError):
        root = values["data"].get("root", ".")
        for key in keys:
            values = values[key]
        form = CsvForm((), values.get("delimiter", ","), values.get("encoding", "utf-8"))
        for _, row in read_table(Path(root, values["path"]), form):
            return [] if isinstance(row, Problem) else list(row)
    return []


def _wrong_value(document: Document, keys: tuple[Any, ...], item: ErrorDetails) -> Problem:
    name = ".".join(map(str, keys))
    message = item["msg"].removeprefix("Value error, ")
    if item["type"] == "missing":
        return Problem(document.where(keys), f"missing key `{name}`")
    if not keys:  # a rule between sections; its message starts with the key it is about
        about = re.match(r"([a-z_]+(?:\.[a-z_]+)*): ", message)
        return Problem(document.where(about[1].split(".") if about else ()), message)
    if item["type"] == "value_error":
        return Problem(document.where(keys), f"`{name}`: {message}")
    sentence = message[:1].lower() + message[1:].removesuffix(".")
    expected = sentence.removeprefix("input should be ")
    given = item["input"]
    if item["type"] in ("dict_type", "model_type", "model_attributes_type"):
        expected = "a section, with keys of its own"
    hint = ""
    is_text = item["type"] == "string_type"
    if is_text and isinstance(given, dict) and given and not any(map(bool, given.values())):
        hint = f'braces begin a mapping in YAML: write "{{{", ".join(given)}}}"'
    return Problem(document.where(keys), f"`{name}` is {brief(given)}", expected, hint)


def _place(problem: Problem) -> tuple[str, int]:
    """Sort key: the file, then the line as a number."""
    file, _, line = problem.where.rpartition(":")
    return (file, int(line)) if line.isdecimal() else (problem.where, 0)
