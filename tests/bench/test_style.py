"""The style table on sources small enough to count by hand."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from bench.style import Function, is_typed, measure, parse, percentile, read, repeated, rows, table

FIRST = '''\
"""What a pump is.

In two paragraphs.
"""

LIMIT = 3  # bar
"""The pressure at which it stops."""


class Pump:
    """A pump."""

    def start(self, speed: int) -> int:
        # A comment of its own.
        return speed


def _hidden(speed):
    text = """a
    b"""
    return text
'''
SECOND = '''\
"""A pump in a shed."""


class Pump: ...


class _Shed: ...


def walk() -> None: ...
'''


def test_lines_are_code_comment_or_neither() -> None:
    module = parse("pump.py", FIRST)
    assert module.code == {6, 10, 13, 15, 18, 19, 20, 21}  # a text over two lines is two of code
    assert module.comments == {6, 14}


def test_the_figures_of_two_small_modules() -> None:
    style = measure([parse("a/pump.py", FIRST), parse("b/pump.py", SECOND)])
    assert style.files == 2
    assert style.code_lines == 8 + 3
    assert style.functions_per_1000_lines == pytest.approx(1000 * 3 / 11)
    assert style.function_median == 3  # of 3 (start), 4 (_hidden) and 1 (walk)
    assert style.function_90th == 4
    assert style.comment_share == pytest.approx(2 / 12)  # one of them stands on a line of its own
    assert style.docstring_share == pytest.approx(
        3 / 5
    )  # both modules and one Pump; not the other, not walk
    assert style.typed_share == pytest.approx(2 / 3)
    assert style.what_or_which == 1
    assert style.repeated_classes == ("Pump",)
    assert style.repeated_modules == ("pump",)


def test_nodes_are_counted_without_load_and_store() -> None:
    # Module; Assign, Name, Constant; FunctionDef, arguments, Return, Name
    style = measure([parse("one.py", "LIMIT = 3\ndef limit(): return LIMIT\n")])
    assert style.nodes_per_line == 8 / 2


@pytest.mark.parametrize(
    ("source", "typed"),
    [
        ("def f(self, a: int, *b: int, c: int, **d: int) -> None: ...", True),
        ("def f(a: int): ...", False),
        ("def f(a) -> None: ...", False),
        ("def f(*b) -> None: ...", False),
        ("async def f(cls) -> None: ...", True),
    ],
)
def test_a_function_is_typed_wholly_or_not(source: str, typed: bool) -> None:
    function = ast.parse(source).body[0]
    assert isinstance(function, Function)
    assert is_typed(function) is typed


def test_the_90th_percentile_is_a_length_that_occurs() -> None:
    assert percentile(range(1, 11), 90) == 9
    assert percentile([5], 90) == 5
    assert percentile([1, 2, 3, 40], 90) == 40


def test_a_name_twice_in_one_file_is_not_repeated() -> None:
    assert repeated([("A", "x.py"), ("A", "x.py"), ("B", "x.py"), ("B", "y.py")]) == ("B",)


def test_of_a_checkout_the_product_counts_and_of_others_all_but_tests(tmp_path: Path) -> None:
    for name in ("here/stemma/a.py", "here/eval/b.py", "here/bench/c.py", "here/tests/d.py"):
        write(tmp_path / name)
    for name in (
        "other/lib/a.py",
        "other/setup.py",
        "other/tests/b.py",
        "other/.venv/c.py",
        "other/test_d.py",
    ):
        write(tmp_path / name)
    assert [one.path for one in read(tmp_path / "here")] == ["eval/b.py", "stemma/a.py"]
    assert [one.path for one in read(tmp_path / "other")] == ["lib/a.py", "setup.py"]
    with pytest.raises(SystemExit, match="no such folder"):
        read(tmp_path / "none")


def write(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(SECOND, encoding="utf-8")


def test_the_table_has_a_column_for_each_and_names_what_is_repeated() -> None:
    one = measure([parse("a/pump.py", FIRST), parse("b/pump.py", SECOND)])
    lines = table({"here": one, "there": one})
    assert lines[0] == "|  | here | there |"
    assert "| lines of code | 11 | 11 |" in lines
    assert "| lines with a comment | 16.7% | 16.7% |" in lines
    assert "here, repeated classes: Pump" in lines
    assert len(lines) == 2 + len(rows(one)) + 2 * 4
