"""The house rules that a machine can check: who may import whom, sizes, docstrings, names."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

from stemma import ROOT

STAGE_FOLDERS = ("data_builders", "export", "rag", "eval", "report", "serve")
FOLDERS = ("stemma", *STAGE_FOLDERS)
SOURCES = sorted(
    path.relative_to(ROOT) for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")
)
ROOMS = (
    "recipe",
    "base_model",
    "training",
    "plan",
    "generator",
    "rehearsal",
    "from_gguf",
    "plugin",
    "answers",
    "reading",
    "retrieval",
)
"""Folders of `stemma`. What lies beside them serves several."""
LIGHT = {
    *("files", "workplace", "processes", "chain", "freshness", "adoption", "digests", "origin"),
    *("show", "doctor", "cli", "table", "visible"),
    *(
        "errors",
        "jsonl",
        "rows",
        "runs",
        "stages",
        "keys",
        "identity",
        "templates",
        "weights",
        "shapes",
        "targets",
    ),
    *("recipe/*", "plan/*", "base_model/files", "base_model/tokenizer"),
    *("training/completion", "facts"),
    *(
        "training/axolotl",
        "training/checkpoints",
        "training/sweep_results",
        "training/trained_weights",
    ),
}
ENGINES = {
    "torch",
    "transformers",
    "peft",
    "trl",
    "accelerate",
    "deepspeed",
    "bitsandbytes",
    "datasets",
    "llama_cpp",
}
FORBIDDEN_NAMES = {"utils", "util", "common", "helpers", "helper", "manager", "misc"}
MAX_LINES = 300
MAX_FUNCTION_LINES = 40
MAX_PARAMETERS = 5


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse((ROOT / path).read_text(encoding="utf-8"), str(path))


def imported(nodes: Iterable[ast.AST]) -> set[str]:
    """The top-level names of all modules that these nodes import."""
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            found.add(node.module or "")
    return {name.split(".")[0] for name in found}


def anywhere(path: Path) -> set[str]:
    return imported(ast.walk(tree(path)))


def when_imported(path: Path) -> set[str]:
    """What is imported together with the module: not inside functions, not behind TYPE_CHECKING."""
    return imported(_run_at_import(tree(path)))


def _run_at_import(module: ast.AST) -> Iterator[ast.AST]:
    for node in ast.iter_child_nodes(module):
        is_typing = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        if not is_typing and not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node
            yield from _run_at_import(node)


def functions() -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for path in SOURCES:
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{path}:{node.lineno} {node.name}", node


def parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    given = (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs)
    return [argument.arg for argument in given if argument.arg not in ("self", "cls")]


def test_the_sources_are_found() -> None:
    assert {path.parts[0] for path in SOURCES} == set(FOLDERS)


def test_modules_say_what_they_are_for() -> None:
    assert [str(path) for path in SOURCES if not ast.get_docstring(tree(path))] == []


def test_files_are_short() -> None:
    lines = {
        str(path): len((ROOT / path).read_text(encoding="utf-8").splitlines()) for path in SOURCES
    }
    assert {name: count for name, count in lines.items() if count >= MAX_LINES} == {}


def test_functions_are_short() -> None:
    lines = {name: (node.end_lineno or 0) - node.lineno + 1 for name, node in functions()}
    assert {name: count for name, count in lines.items() if count > MAX_FUNCTION_LINES} == {}


def test_functions_take_few_parameters() -> None:
    counts = {name: len(parameters(node)) for name, node in functions()}
    many = {name.split(" ")[1] for name, count in counts.items() if count > MAX_PARAMETERS}
    assert many == {"eval_", "chat"}, (
        "verbs of the command line: their options are their parameters"
    )


def test_names_say_something() -> None:
    assert [str(path) for path in SOURCES if FORBIDDEN_NAMES & {path.stem, *path.parts[:-1]}] == []


def test_no_file_is_named_like_the_package_it_uses() -> None:
    # The command line runs as `python -m stemma`; a script's own folder comes first on its path and would shadow.
    assert [str(path) for path in SOURCES if path.stem in anywhere(path) - {*FOLDERS, "chat"}] == []


def modules_of(path: Path) -> set[str]:
    """The modules of `stemma` that are imported together with this one."""
    found = [node for node in _run_at_import(tree(path)) if isinstance(node, ast.ImportFrom)]
    names = {f"{node.module}.{alias.name}" for node in found for alias in node.names}
    return {name for name in names if name.startswith("stemma.")}


def room_of(parts: Sequence[str]) -> str:
    return parts[1] if len(parts) > 2 and parts[1] in ROOMS else ""


def test_the_rooms_are_the_folders() -> None:
    assert set(ROOMS) == {path.parent.name for path in (ROOT / "stemma").glob("*/__init__.py")}


def test_rooms_do_not_import_in_a_circle() -> None:
    core = [path for path in SOURCES if path.parts[0] == "stemma"]
    found: dict[str, set[str]] = {room: set() for room in ROOMS}
    for path in core:
        if room := room_of(path.parts):
            found[room] |= {room_of(name.split(".")) for name in modules_of(path)} - {"", room}
    assert list(TopologicalSorter(found).static_order())  # raises CycleError


def test_stages_never_import_each_other() -> None:
    stages = [path for path in SOURCES if path.parts[0] != "stemma"]
    found = {str(path): anywhere(path) & set(STAGE_FOLDERS) - {path.parts[0]} for path in stages}
    assert {name: others for name, others in found.items() if others} == {}


def test_the_core_imports_stages_only_where_it_asks_their_registries() -> None:
    core = [path for path in SOURCES if path.parts[0] == "stemma"]
    found = {"/".join(path.parts[1:]): anywhere(path) & set(STAGE_FOLDERS) for path in core}
    assert {name: others for name, others in found.items() if others} == {
        "cli.py": {
            "serve",
            "data_builders",
            "report",
        },  # asks the demo's questions, shows rows, draws a comparison
        "cli_new.py": {"data_builders"},  # looks at files as the sources read them
        "cli_chat.py": {"serve"},  # starts the laptop side
        "cli_search.py": {"serve"},  # shows what the laptop side finds
        "cli_judge.py": {"eval"},  # a person as judge
        "cli_course.py": {"eval"},  # grades by the tasks and engines of the evaluation
        "stages.py": {"data_builders", "export", "rag", "eval", "report"},  # the stages' modules
        "recipe/load.py": {"data_builders"},  # the sources' options
        "recipe/data.py": {"data_builders"},
        "recipe/schema.py": {"data_builders"},
        "run_stages.py": {"eval"},  # measures some cells alone
        "rehearsal/run.py": {"serve"},  # its last step asks the shipped model
    }
    assert [str(path) for path in core if when_imported(path) & set(STAGE_FOLDERS)] == []


def test_axolotl_is_a_process_not_an_import() -> None:
    found = [str(path) for path in SOURCES if "axolotl" in anywhere(path)]
    assert [name for name in found if not name.startswith("stemma/plugin")] == []
    assert found, "the plugin is the one place that imports it"


def test_the_light_core_imports_no_engine() -> None:
    paths = [
        path.relative_to(ROOT) for name in LIGHT for path in (ROOT / "stemma").glob(f"{name}.py")
    ]
    assert len(paths) > len(LIGHT)
    assert {
        str(path): when_imported(path) & (ENGINES | {"axolotl", "numpy"}) for path in paths
    } == {str(path): set() for path in paths}


def test_patterns_are_such_as_python_3_10_reads() -> None:
    """Chat runs on it, and loads recipes, whose sources load most of the rest."""
    newer = ("POSSESSIVE_REPEAT", "ATOMIC_GROUP")
    found = []
    for path in SOURCES:
        calls = (node for node in ast.walk(tree(path)) if isinstance(node, ast.Call))
        patterns = (call.args[0] for call in calls if ast.unparse(call.func) == "re.compile")
        for node in patterns:
            if isinstance(node, ast.Constant):
                parsed = str(re._parser.parse(node.value))  # type: ignore[attr-defined]
                found += [f"{path}:{node.lineno}" for name in newer if name in parsed]
    assert found == []


def test_the_laptop_side_needs_no_training_engine() -> None:
    paths = [
        path
        for path in SOURCES
        if path.parts[0] == "serve" or path.parts[:2] == ("stemma", "retrieval")
    ]
    assert [str(path) for path in paths if anywhere(path) & (ENGINES - {"llama_cpp"})] == []


def test_searching_needs_no_training_engine() -> None:
    paths = [path for path in SOURCES if path.parts[:2] == ("stemma", "retrieval")]
    assert paths
    assert [str(path) for path in paths if anywhere(path) & (ENGINES - {"llama_cpp"})] == []


def test_the_data_registry_imports_no_engine() -> None:
    paths = [path for path in SOURCES if path.parts[:2] == ("data_builders", "sources")]
    assert [
        str(path) for path in paths if when_imported(path) & (ENGINES | {"openai", "httpx"})
    ] == []


def test_processes_are_started_by_argument_lists() -> None:
    calls = [
        (path, node)
        for path in SOURCES
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call)
    ]
    assert [
        str(path)
        for path, call in calls
        if any(keyword.arg == "shell" for keyword in call.keywords)
    ] == []


def test_the_registry_of_sources_is_the_disk() -> None:
    from data_builders import SOURCES as REGISTRY

    on_disk = {path.stem for path in (ROOT / "data_builders" / "sources").glob("*.py")} - {
        "__init__"
    }
    assert set(REGISTRY) == on_disk
    assert on_disk


def test_test_modules_never_import_test_modules() -> None:
    # What several of them need stands in tests/factories, or in a file beside them that holds no tests.
    found = {}
    for path in sorted((ROOT / "tests").rglob("*.py")):
        nodes = [node for node in ast.walk(tree(path)) if isinstance(node, ast.ImportFrom)]
        names = {f"{node.module}.{alias.name}" for node in nodes for alias in node.names}
        parts = {part for name in names if name.startswith("tests.") for part in name.split(".")}
        if others := {part for part in parts if part.startswith("test_")}:
            found[str(path.relative_to(ROOT))] = others
    assert found == {}


LAYERS = (
    ("core",),
    ("stages", "adoption", "keys", "chain", "changes", "freshness", "remembered", "recipe"),
    ("models", "tensors", "weights", "hub", "base_model", "generator", "answers", "retrieval"),
    ("training",),
    ("plan", "from_gguf", "plugin"),
    ("rehearsal",),
    STAGE_FOLDERS,
    (
        "cli",
        "cli_options",
        "cli_help",
        "cli_look",
        "cli_completion",
        "cli_models",
        "cli_judge",
        "cli_search",
        "cli_chat",
        "cli_stages",
        "cli_course",
        "cli_new",
        "cli_plan",
        "cli_reference",
        "run_stages",
        "results",
        "show",
        "doctor",
        "__main__",
    ),
)
"""ARCHITECTURE.md's lines, from the lowest: rooms, stage folders, and files of `stemma`; its other files are `core`."""


def layer_of(parts: Sequence[str]) -> int:
    """The number of the line that a module or folder stands in."""
    name = parts[0] if parts[0] != "stemma" else parts[1] if len(parts) > 1 else "core"
    return next((number for number, names in enumerate(LAYERS) if name in names), 0)


def test_modules_import_from_their_own_line_and_below() -> None:
    found = {
        str(path): {
            name
            for name in modules_of(path)
            if layer_of(name.split(".")) > layer_of(path.with_suffix("").parts)
        }
        for path in SOURCES
    }
    assert {name: above for name, above in found.items() if above} == {}
