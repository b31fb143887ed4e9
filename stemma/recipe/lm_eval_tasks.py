"""Check of the benchmarks a recipe names, before anything is measured and without importing the
harness that measures them.

Every problem is found at once: a name that nobody knows, a key that is misspelt, a data file that
is not there, code that would be fetched or run unasked, data of a hub that may change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stemma.errors import Problem, UserError, nearest
from stemma.recipe import task_files
from stemma.recipe.evaluation import Benchmarks
from stemma.recipe.task_files import Function, Index, TaskFile

if TYPE_CHECKING:
    from stemma.recipe.models import Recipe

LOCAL = ("json", "csv", "parquet", "text", "arrow")
"""Formats of files that `dataset_path` may name in place of a data set of the hub."""
OUTPUTS = ("multiple_choice", "loglikelihood", "loglikelihood_rolling", "generate_until")
OWN_KEYS = ("include", "group")
SAMPLING = {"do_sample": True, "num_beams": None, "repetition_penalty": None}


ABSENT = "no such benchmark file"


@dataclass(frozen=True)
class Place:
    """Where a recipe's benchmarks lie."""

    folder: Path
    """The recipe's own task files."""
    root: Path
    """Where data files that do not lie beside their task file are looked for (`data.root`)."""


def place_of(recipe: Recipe) -> Place:
    """Where the task files and data files of a recipe's benchmarks lie."""
    chosen = recipe.eval.benchmarks
    folder = recipe.path.parent / (chosen.include_path if chosen else "tasks")
    return Place(folder, Path(recipe.data.root))


@dataclass
class Found:
    """The benchmarks of a recipe, looked up: the files each stands on, and what is wrong."""

    files: dict[str, list[Path]] = field(default_factory=dict)
    """Task, function and data files by the name the recipe gives."""
    folders: list[Path] = field(default_factory=list)
    """Folders of the harness's own tasks that are needed."""
    problems: list[Problem] = field(default_factory=list)
    absent: list[Problem] = field(default_factory=list)
    """Those of them that are data files which are not there."""
    hub: dict[str, str] = field(default_factory=dict)
    """Data sets of the hub that are read, and their pinned revisions."""


def look_up(benchmarks: Benchmarks, place: Place, where: str) -> Found:
    """Every benchmark a recipe names, with its problems; `where` is the recipe's key."""
    found = Found()
    own = task_files.index(place.folder)
    for name in benchmarks.tasks:
        found.files[name] = []
        for path, is_own in _members(name, own, task_files.brought, found, where):
            _look_at(path, is_own, benchmarks, place, _Into(name, found, where))
    found.problems = list(dict.fromkeys(found.problems))
    return found


def own_files(benchmarks: Benchmarks, place: Place) -> dict[str, Path]:
    """The recipe's own task files and the data files they name, by what they are to the recipe.

    The harness's own are those of its version. What cannot be read is told by `look_up`.
    """
    found = Found()
    own = task_files.index(place.folder)
    for name in benchmarks.tasks:
        found.files[name] = []
        for path, _ in _members(name, own, Index, found, ""):
            _look_at(path, True, benchmarks, place, _Into(name, found, ""))
    return {
        f"benchmark {name}: {number} {path.name}": path
        for name, paths in found.files.items()
        for number, path in enumerate(paths)
    }


@dataclass(frozen=True)
class _Into:
    """Where what is found of a task goes: its name in the recipe, the collection, the recipe's
    key."""

    name: str
    found: Found
    where: str


def _members(
    name: str, own: Index, brought: Callable[[], Index], found: Found, where: str
) -> Iterator[tuple[Path, bool]]:
    """The task files behind a name, and whether each is the recipe's own."""
    waiting = [name]
    seen = set()
    while waiting:
        one = waiting.pop(0)
        if one in seen:
            continue
        seen.add(one)
        known = own if one in own.names else brought()
        if one not in known.names:
            # Without the harness (a laptop) only the recipe's own are known.
            if task_files.installed() and where:
                found.problems.append(_unknown(one, own, where))
            continue
        path = known.tasks.get(one)
        if path is None:
            waiting += known.tags[one]
            continue
        yield path, known is own
        try:
            listed = task_files.read(path).values.get("task")
        except UserError:  # told where the file is looked at
            continue
        inner = listed if isinstance(listed, list) else []
        waiting += [str(task["task"] if isinstance(task, dict) else task) for task in inner]


def _unknown(name: str, own: Index, where: str) -> Problem:
    known = [*own.names, *task_files.brought().names]
    hint = nearest(name, known)
    mine = ", ".join(own.names) or "none"
    expected = f"a task beside the recipe ({mine}), or one that lm-evaluation-harness brings"
    return Problem(where, f"unknown benchmark `{name}`", expected, hint)


def _look_at(path: Path, is_own: bool, benchmarks: Benchmarks, place: Place, into: _Into) -> None:
    found, files = into.found, into.found.files[into.name]
    try:
        task = task_files.read(path)
    except UserError as error:
        found.problems += error.problems
        return
    if not is_own and (folder := task_files.installed()):
        tasks = folder / "tasks"
        found.folders.append(tasks / path.relative_to(tasks).parts[0])
    files += [one for one in task.files if one not in files]
    found.problems += [
        Problem(task.where(""), f"no such file: {one}", "the Python file of its `!function`")
        for one in task.files
        if not one.is_file()
    ]
    if isinstance(task.values.get("task"), list):
        if is_own:
            found.problems += _key_problems(task, task_files.group_keys())
        return
    if is_own:
        found.problems += _key_problems(task, task_files.task_keys())
        found.problems += _value_problems(task)
    found.problems += _code_problems(task)
    paths, wrong = data_files(task.values, path.parent, place.root)
    files += [one for one in paths if one not in files]
    told = [Problem(task.where("dataset_kwargs"), *problem) for problem in wrong]
    found.problems += told
    found.absent += [one for one in told if one.found.startswith(ABSENT)]
    pinned = _hub_problems(task, benchmarks, found)
    # Where the harness's own task stands is of no use to whoever pins its data.
    found.problems += [one if is_own else replace(one, where=into.where) for one in pinned]


def _key_problems(task: TaskFile, known: list[str]) -> Iterator[Problem]:
    if not known:  # the harness is not installed: a laptop
        return
    for key in task.values:
        if str(key) not in (*known, *OWN_KEYS):
            expected = f"one of: {', '.join(sorted(known))}"
            found = f"unknown key `{key}` in a task"
            yield Problem(task.where(str(key)), found, expected, nearest(str(key), known))


def _value_problems(task: TaskFile) -> Iterator[Problem]:
    output = task.values.get("output_type", "generate_until")
    if output not in OUTPUTS:
        hint = nearest(str(output), OUTPUTS)
        found = f"`output_type: {output}`"
        yield Problem(task.where("output_type"), found, f"one of: {', '.join(OUTPUTS)}", hint)
    if not (task.values.get("test_split") or task.values.get("validation_split")):
        found = "neither `test_split` nor `validation_split`"
        yield Problem(task.where("task"), found, "the split whose rows are asked")
    settings = task.values.get("generation_kwargs") or {}
    for key, harmless in SAMPLING.items():
        if isinstance(settings, dict) and settings.get(key) not in (None, False, 1, 1.0, harmless):
            yield _samples(task, key, settings[key])
    if isinstance(settings, dict):
        warm = float(settings.get("temperature") or 0)
        if settings.get("do_sample") is True or (warm and settings.get("do_sample") is not False):
            yield _samples(task, "temperature", settings.get("temperature"))


def _samples(task: TaskFile, key: str, value: Any) -> Problem:
    hint = "answers are written greedily, so that a figure repeats: delete it"
    found = f"`generation_kwargs.{key}: {value}`"
    return Problem(task.where("generation_kwargs"), found, "greedy decoding", hint)


def _code_problems(task: TaskFile) -> Iterator[Problem]:
    """Code that would be run unasked, or fetched."""
    if task.values.get("unsafe_code"):
        found = "`unsafe_code: true`: the task runs what the model writes"
        yield Problem(task.where("unsafe_code"), found, "a task that only reads answers")
    known = task_files.metric_names()
    computes = task.values.get("process_results") is not None
    for metric in task.values.get("metric_list") or []:
        name = metric.get("metric") if isinstance(metric, dict) else metric
        if isinstance(name, Function) or (computes and not metric.get("hf_evaluate")):
            continue
        if not known or (name in known and not metric.get("hf_evaluate")):
            continue
        found = f"metric `{name}` would be fetched as code from the hub (`evaluate`)"
        expected = f"one that the harness computes: {', '.join(known)}"
        yield Problem(task.where("metric_list"), found, expected, nearest(str(name), known))


def _hub_problems(task: TaskFile, benchmarks: Benchmarks, found: Found) -> Iterator[Problem]:
    """Data of the hub that is not pinned to a revision."""
    name = task.values.get("dataset_path")
    if name is None or name in LOCAL or isinstance(task.values.get("custom_dataset"), Function):
        return
    settings = task.values.get("dataset_kwargs") or {}
    revision = settings.get("revision") or benchmarks.revisions.get(name)
    if revision:
        found.hub[name] = str(revision)
        return
    hint = f"`eval.benchmarks.revisions: {{{name}: <commit>}}`, or a task that reads local files"
    problem = f"data set `{name}` of the hub is not pinned"
    yield Problem(task.where("dataset_path"), problem, "a commit", hint)


def data_files(
    values: dict[str, Any], beside: Path, root: Path
) -> tuple[list[Path], list[tuple[str, str, str]]]:
    """The local files a task reads, and (found, expected, hint) of each that is not there."""
    if values.get("dataset_path") not in LOCAL:
        return [], []
    settings = values.get("dataset_kwargs") or {}
    paths: list[Path] = []
    problems = []
    for name in _named(settings.get("data_files")):
        matched = _matches(name, beside, root)
        paths += matched
        if not matched:
            hint = "`DATA=` sets the folder: data.root"
            expected = f"a file beside {beside.name} or below {root}"
            problems.append((f"{ABSENT}: {name}", expected, hint))
    if not paths and not problems:
        problems.append(("no `dataset_kwargs.data_files`", "the files of each split", ""))
    return paths, problems


def resolved(value: Any, beside: Path, root: Path) -> Any:
    """`data_files` of a task with whole paths in place of names."""
    if isinstance(value, dict):
        return {split: resolved(inner, beside, root) for split, inner in value.items()}
    return [str(path) for name in _named(value) for path in _matches(name, beside, root)]


def _named(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for one in inner:
        yield from _named(one)


def _matches(name: str, beside: Path, root: Path) -> list[Path]:
    """The files of a name or pattern: beside the task file, or else below `root`."""
    for folder in (beside, root):
        if Path(name).is_absolute():
            return [Path(name)] if Path(name).is_file() else []
        found = sorted(folder.glob(name)) if "*" in name else [folder / name]
        if found and all(path.is_file() for path in found):
            return found
    return []
