"""A table of the source's style: sizes, density, comments, types and repeated names.

`python -m bench.style [FOLDER ...]` prints one column for this checkout and one for each folder
given: another checkout of this project, of which the same folders are counted, or any other
project, of which all Python files outside tests are. The text is only parsed, never run.
"""

from __future__ import annotations

import ast
import io
import sys
import tokenize
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from stemma import ROOT
from stemma.table import markdown

PRODUCT = ("stemma", "data_builders", "export", "eval", "rag", "report", "serve")
"""The folders that make the product; those that a checkout has are counted."""
SKIPPED = {"tests", "test", "testing", "build", "dist", "node_modules", "site-packages"}
REPEATABLE = {"__init__", "__main__"}
"""Names of modules that Python itself gives a meaning."""
INVISIBLE = {
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
    tokenize.ENCODING,
    tokenize.COMMENT,
}
"""Tokens that do not make a line one of code."""

Function = ast.FunctionDef | ast.AsyncFunctionDef
Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Module:
    """One parsed file: its path, its tree, and the numbers of its lines of code and of comment."""

    path: str
    tree: ast.Module
    code: frozenset[int]
    comments: frozenset[int]

    @property
    def name(self) -> str:
        return Path(self.path).stem

    def functions(self) -> list[Function]:
        return [node for node in ast.walk(self.tree) if isinstance(node, Function)]


@dataclass(frozen=True)
class Style:
    """The figures of one code base. Shares lie between 0 and 1; lengths are in lines."""

    files: int
    code_lines: int
    functions_per_1000_lines: float
    function_median: float
    function_90th: float
    nodes_per_line: float
    comment_share: float
    docstring_share: float
    typed_share: float
    what_or_which: int
    repeated_classes: tuple[str, ...]
    repeated_modules: tuple[str, ...]


def parse(path: str, text: str) -> Module:
    """Read one file's text. Raises SyntaxError where it is not Python."""
    tree = ast.parse(text, path)
    tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
    visible = [token for token in tokens if token.type not in INVISIBLE]
    code = {line for token in visible for line in range(token.start[0], token.end[0] + 1)}
    comments = {token.start[0] for token in tokens if token.type == tokenize.COMMENT}
    return Module(path, tree, frozenset(code - set(_docstring_lines(tree))), frozenset(comments))


def _docstring_lines(tree: ast.Module) -> Iterator[int]:
    """Lines of docstrings, and of strings below a constant that describe it."""
    expressions = [node for node in ast.walk(tree) if isinstance(node, ast.Expr)]
    for node in expressions:
        if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield from range(node.lineno, (node.end_lineno or node.lineno) + 1)


def measure(modules: Sequence[Module]) -> Style:
    """The figures of these modules, which must hold at least one function."""
    functions = [function for module in modules for function in module.functions()]
    lengths = sorted((node.end_lineno or node.lineno) - node.lineno + 1 for node in functions)
    lines = sum(len(module.code) for module in modules)
    comments = sum(len(module.comments) for module in modules)
    nodes = sum(_nodes(module.tree) for module in modules)
    comment_only = sum(len(module.comments - module.code) for module in modules)
    described = [ast.get_docstring(node) is not None for node in _public(modules)]
    return Style(
        files=len(modules),
        code_lines=lines,
        functions_per_1000_lines=1000 * len(functions) / lines,
        function_median=median(lengths),
        function_90th=percentile(lengths, 90),
        nodes_per_line=nodes / lines,
        comment_share=comments / (lines + comment_only),
        docstring_share=sum(described) / len(described),
        typed_share=sum(map(is_typed, functions)) / len(functions),
        what_or_which=sum(map(_opens_with_what, modules)),
        repeated_classes=repeated(_public_classes(modules)),
        repeated_modules=repeated(
            (one.name, one.path) for one in modules if one.name not in REPEATABLE
        ),
    )


def _nodes(tree: ast.Module) -> int:
    """Nodes of the tree, without Load, Store and Del: they stand beside every name."""
    return sum(1 for node in ast.walk(tree) if not isinstance(node, ast.expr_context))


def percentile(ordered: Sequence[int], share: int) -> int:
    """The smallest value that at least `share` percent of the ordered values do not exceed."""
    rank = -(-len(ordered) * share // 100)  # rounded up
    return ordered[max(rank, 1) - 1]


def is_typed(function: Function) -> bool:
    """Whether the result and every parameter but `self` and `cls` are annotated."""
    given = function.args
    named = [*given.posonlyargs, *given.args, *given.kwonlyargs]
    starred = [one for one in (given.vararg, given.kwarg) if one is not None]
    wanted = [one for one in (*named, *starred) if one.arg not in ("self", "cls")]
    return function.returns is not None and all(one.annotation is not None for one in wanted)


def repeated(named: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """Names that stand in several places, of (name, path) pairs."""
    places: dict[str, set[str]] = defaultdict(set)
    for name, path in named:
        places[name].add(path)
    return tuple(sorted(name for name, found in places.items() if len(found) > 1))


def _public(modules: Sequence[Module]) -> Iterator[Documented]:
    """Modules, and their public classes and functions at the top level."""
    for module in modules:
        yield module.tree
        for node in module.tree.body:
            if isinstance(node, ast.ClassDef | Function) and not node.name.startswith("_"):
                yield node


def _public_classes(modules: Sequence[Module]) -> Iterator[tuple[str, str]]:
    for module in modules:
        for node in module.tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                yield node.name, module.path


def _opens_with_what(module: Module) -> bool:
    return (ast.get_docstring(module.tree) or "").startswith(("What", "Which"))


def read(folder: Path) -> list[Module]:
    """The modules of a checkout of this project, or of any other folder outside its tests."""
    folder = folder.resolve()
    if not folder.is_dir():
        raise SystemExit(f"{folder}: no such folder")
    if (folder / "stemma").is_dir():
        paths = [path for name in PRODUCT for path in (folder / name).rglob("*.py")]
    else:
        paths = [path for path in folder.rglob("*.py") if not _is_skipped(path.relative_to(folder))]
    return [
        parse(str(path.relative_to(folder)), path.read_text(encoding="utf-8"))
        for path in sorted(paths)
    ]


def _is_skipped(path: Path) -> bool:
    parts = path.parts[:-1]
    hidden = any(part.startswith(".") for part in parts)
    return hidden or bool(SKIPPED & set(parts)) or path.name.startswith("test_")


def rows(style: Style) -> list[tuple[str, str]]:
    """The table's lines for one code base."""
    return [
        ("files", f"{style.files:,}"),
        ("lines of code", f"{style.code_lines:,}"),
        ("functions per 1,000 lines of code", f"{style.functions_per_1000_lines:.0f}"),
        ("function length in lines, median", f"{style.function_median:g}"),
        ("function length in lines, 90th percentile", f"{style.function_90th}"),
        ("AST nodes a line of code", f"{style.nodes_per_line:.1f}"),
        ("lines with a comment", f"{style.comment_share:.1%}"),
        ("modules, public classes and functions with a docstring", f"{style.docstring_share:.1%}"),
        ("functions fully typed", f"{style.typed_share:.1%}"),
        ("modules that open with What or Which", f"{style.what_or_which}"),
        ("public class names in several modules", f"{len(style.repeated_classes)}"),
        ("module names in several folders", f"{len(style.repeated_modules)}"),
    ]


def table(styles: Mapping[str, Style]) -> list[str]:
    """Markdown: one column a code base, then the repeated names."""
    columns = {name: dict(rows(style)) for name, style in styles.items()}
    first = next(iter(columns.values()))
    body = [(label, *(column[label] for column in columns.values())) for label in first]
    lines = markdown(("", *styles), body)
    for name, style in styles.items():
        for kind, found in (
            ("classes", style.repeated_classes),
            ("modules", style.repeated_modules),
        ):
            lines += ["", f"{name}, repeated {kind}: {', '.join(found) or 'none'}"]
    return lines


def main(folders: Sequence[str]) -> None:
    """Print the table of this checkout and of `folders`."""
    measured = {"here": measure(read(ROOT))}
    for folder in folders:
        measured[folder] = measure(read(Path(folder)))
    print("\n".join(table(measured)))


if __name__ == "__main__":
    main(sys.argv[1:])
