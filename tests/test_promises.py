"""What docs/reliability.md and SECURITY.md promise is shown by tests that are there."""

import re

import pytest

from stemma import ROOT
from tests.faults.page import PAGE, read, render
from tests.faults.rows import ROWS

SECURITY = ROOT / "SECURITY.md"
NAMED = re.compile(r"`(tests/[\w/]+\.py)(?:::(test_\w+))?`")


def assert_there(path: str, test: str) -> None:
    file = ROOT / path
    assert file.is_file(), path
    if test:
        assert f"\ndef {test}(" in file.read_text(encoding="utf-8"), f"{path}::{test}"


def test_each_row_has_one_name_and_one_test() -> None:
    assert len({row.name for row in ROWS}) == len({row.test for row in ROWS}) == len(ROWS)
    for row in ROWS:
        path, _, test = row.test.partition("[")[0].partition("::")
        assert_there(path, test)


def test_the_page_is_the_rows_with_what_was_seen() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert render(read(text)) == text, "`make faults` writes it"


def test_what_was_seen_is_read_back() -> None:
    seen = {ROWS[0].name: "2026-11-29, abc: stopped", ROWS[-1].name: "passed"}
    assert read(render(seen)) == seen


@pytest.mark.parametrize("heading", ["What is promised", "What is not promised", "How to report"])
def test_the_security_page_has_its_parts(heading: str) -> None:
    assert f"\n## {heading}\n" in SECURITY.read_text(encoding="utf-8")


def test_every_promise_of_security_names_tests_that_are_there() -> None:
    text = SECURITY.read_text(encoding="utf-8")
    promised = text.partition("\n## What is promised\n")[2].partition("\n## ")[0]
    rows = [line for line in promised.splitlines() if line.startswith(("- ", "| "))]
    promises = [row for row in rows if not row.startswith(("| --", "|--", "| from"))]
    assert len(promises) > 20
    assert [row for row in promises if not NAMED.search(row)] == []
    for path, test in NAMED.findall(text):
        assert_there(path, test)


def test_no_address_is_made_up() -> None:
    assert re.findall(r"\S+@\S+\.\w+", SECURITY.read_text(encoding="utf-8")) == []
