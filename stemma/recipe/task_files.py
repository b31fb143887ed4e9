"""Task files of lm-evaluation-harness, read without importing it: the recipe's own, and those it
brings.

A task file is YAML with the harness's own tag `!function file.name`, and may include others. A name
stands for one task, for a group with its members, or for a tag that several tasks carry.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, ScalarNode

from stemma.errors import Problem, UserError
from stemma.recipe.document import shown
from stemma.recipe.task_forms import form_problems

NAMED = re.compile(r'^"?(task|group|tag)"?:[ \t]*(.*)$', re.M)
ITEM = re.compile(r'[ \t]*-[ \t]*"?([^"\n]+?)"?[ \t]*\n')


@dataclass(frozen=True)
class Function:
    """A name in a Python file beside the task file: `!function utils.process_docs`."""

    name: str

    @property
    def file(self) -> str:
        """The Python file, by its name."""
        return f"{self.name.rpartition('.')[0]}.py"


@dataclass
class TaskFile:
    """One task file with what it includes: values, the place of every key, and all files read."""

    path: Path
    values: dict[str, Any]
    lines: dict[str, str]
    files: list[Path] = field(default_factory=list)

    def where(self, key: str) -> str:
        """`file:line` of a key, or the file."""
        return self.lines.get(key, shown(self.path))


def read(path: Path, seen: tuple[Path, ...] = ()) -> TaskFile:
    """The task file at `path` over those it includes. Raises UserError where one cannot be read."""
    if path in seen:
        raise UserError(Problem(shown(path), "it includes itself", "a chain of files that ends"))
    own = _parse(path)
    if problems := list(form_problems(own.values, own.where)):
        raise UserError(problems)
    included = own.values.pop("include", None) or []
    found = TaskFile(path, {}, {}, [])
    for name in [included] if isinstance(included, str) else included:
        other = Path(name) if Path(name).is_file() else path.parent / str(name)
        if not other.is_file():
            problem = f"`include: {name}`: no such file"
            raise UserError(Problem(own.where("include"), problem, "a task file beside it"))
        inner = read(other, (*seen, path))
        # The first of several is the last word, as the harness has it.
        found.values = inner.values | found.values
        found.lines = inner.lines | found.lines
        found.files += inner.files
    found.values |= own.values
    found.lines |= own.lines
    found.files += [path, *own.files]
    return found


def _parse(path: Path) -> TaskFile:
    yaml = YAML(typ="safe", pure=True)
    yaml.version = "1.1"  # the harness's own reader: `no` is false, `1e-3` a text
    yaml.constructor.add_constructor("!function", _function)
    try:
        node = yaml.compose(path.read_text(encoding="utf-8"))
        values = yaml.constructor.construct_document(node) if node is not None else None
        functions = sorted({one.file for one in _functions(values)})
    except RecursionError:
        told = "it is nested without end, or too deep"
        raise UserError(Problem(shown(path), told, "a task of lm-evaluation-harness")) from None
    except (YAMLError, UnicodeDecodeError, OSError, ValueError) as error:
        mark = error.problem_mark if isinstance(error, MarkedYAMLError) else None
        where = f"{shown(path)}:{mark.line + 1}" if mark else shown(path)
        text = error.problem if isinstance(error, MarkedYAMLError) else str(error)
        hint = "check indentation, quotes and colons around it"
        raise UserError(Problem(where, f"not valid YAML: {text}", "YAML", hint)) from None
    if not isinstance(node, MappingNode) or not isinstance(values, dict):
        raise UserError(
            Problem(shown(path), "no mapping of keys", "a task of lm-evaluation-harness")
        )
    lines = {str(key.value): f"{shown(path)}:{key.start_mark.line + 1}" for key, _ in node.value}
    return TaskFile(path, values, lines, [path.parent / name for name in functions])


def _function(_loader: Any, node: ScalarNode) -> Function:
    return Function(str(node.value))


def _functions(value: Any) -> Iterator[Function]:
    if isinstance(value, Function):
        yield value
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for one in inner:
        yield from _functions(one)


@dataclass
class Index:
    """The names that task files of some folder define, and the file of each."""

    tasks: dict[str, Path] = field(default_factory=dict)
    """Tasks and groups."""
    tags: dict[str, list[str]] = field(default_factory=dict)
    """The tasks that carry a tag."""

    @property
    def names(self) -> list[str]:
        """Every name a recipe may give."""
        return sorted({*self.tasks, *self.tags})


def index(folder: Path) -> Index:
    """The names defined below `folder`. Lines are looked at, files are not parsed: the harness
    brings 13,000 of them."""
    found = Index()
    for path in sorted(folder.rglob("*.yaml")):
        text = path.read_text(encoding="utf-8", errors="replace")
        named = {match[1]: _names(text, match) for match in NAMED.finditer(text)}
        group, task = named.get("group", []), named.get("task", [])
        for name in group[:1] or task[:1]:
            found.tasks.setdefault(name, path)
            if not group:
                for tag in named.get("tag", []):
                    found.tags.setdefault(tag, []).append(name)
    return found


def _names(text: str, match: re.Match[str]) -> list[str]:
    """The value of a key that holds a name or a list of names."""
    value = match[2].split(" #")[0].strip()
    if value:
        return [name.strip().strip("\"'") for name in value.strip("[]").split(",")]
    found = []
    place = match.end() + 1
    while item := ITEM.match(text + "\n", place):
        found.append(item[1])
        place = item.end()
    return found


@cache
def installed() -> Path | None:
    """The folder of the installed lm-evaluation-harness; None where there is none."""
    spec = find_spec("lm_eval")
    places = list(spec.submodule_search_locations or []) if spec else []
    return Path(places[0]) if places else None


@cache
def brought() -> Index:
    """The names of the tasks that the harness brings (a second; asked for only where needed)."""
    folder = installed()
    return index(folder / "tasks") if folder else Index()


@cache
def task_keys() -> list[str]:
    """The keys of a task, as the installed harness has them."""
    return _fields("config/task.py", "TaskConfig")


@cache
def group_keys() -> list[str]:
    """The keys of a group, as the installed harness has them."""
    return _fields("api/group.py", "GroupConfig")


@cache
def metric_names() -> list[str]:
    """The metrics the installed harness computes itself, without fetching code."""
    text = _source("api/metrics.py")
    return sorted(set(re.findall(r'metric="(\w+)"', text)))


def _fields(file: str, name: str) -> list[str]:
    body = _source(file).partition(f"class {name}(")[2].partition("\n\n\n")[0]
    return re.findall(r"^    ([a-z_]+):", body, re.M)


def _source(file: str) -> str:
    folder = installed()
    return (folder / file).read_text(encoding="utf-8") if folder else ""
