from __future__ import annotations

import pytest

from rag.documents import Part
from rag.formats.markdown import FRONT_LINES, inline, markdown_parts, title_of

PAGE = """\
---
title: "Heat and work"
tags: [a, b]
---
Before any heading,
in two lines.

# Heat #

Heat is *energy* in **transit**.[^1] See [Joule](https://e.org/a_(b) "t") and ![a stove](s.png).

## Entropy

It `never` falls &mdash; <b>ever</b>.

- one item
  that goes on
- another

| unit | name |
|------|------|
| J    | joule |

```python
# not a heading
x = a * b * c
```

Second law
----------
> A quote
> goes on.

[ref]: https://example.org
<!-- a comment
over lines --> after
***
# Empty
# Work
It is force times way.
"""


def parts(text: str) -> list[Part]:
    return list(markdown_parts(text.splitlines(keepends=True)))


def test_headings_become_places_and_marks_become_text() -> None:
    assert parts(PAGE) == [
        Part("Before any heading, in two lines."),
        Part("Heat\n\nHeat is energy in transit.[^1] See Joule and a stove.", "Heat"),
        Part(
            "Entropy\n\nIt never falls — ever.\n\n- one item that goes on\n- another\n\n"
            "| unit | name |\n| J    | joule |\n\n# not a heading\nx = a * b * c",
            "Heat › Entropy",
        ),
        Part("Second law\n\nA quote goes on.\n\nafter", "Heat › Second law"),
        Part("Work\n\nIt is force times way.", "Work"),
    ]


def test_the_title_is_the_front_matters_or_the_first_heading() -> None:
    lines = PAGE.splitlines(keepends=True)
    assert title_of(lines) == "Heat and work"
    assert title_of(lines[4:]) == "Heat"
    assert title_of(["```\n", "# no\n", "```\n", "## Yes `x`\n"]) == "Yes x"
    assert title_of(["plain\n"]) == ""


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("2 * 3 * 4 and snake_case_name", "2 * 3 * 4 and snake_case_name"),
        ("`a * b` \\*kept\\*", "a * b *kept*"),
        ("<https://e.org/x>", "https://e.org/x"),
        ("a < b and c > d", "a < b and c > d"),
        ("***both*** __bold__ _it_", "both bold it"),
        ("[![badge](b.svg)](https://ci)", "badge"),
        ("**x** is __y__", "x is y"),
        ("10<sup>23</sup> on the 1<sup>st</sup>", "10^23 on the 1st"),
        ("`&lt;` is &lt;, AT&T; a &nosuch; b &#8364;", "&lt; is <, AT&T; a &nosuch; b €"),
    ],
)
def test_a_line_without_its_marks(line: str, text: str) -> None:
    assert inline(line) == text


def test_a_fence_that_never_closes_keeps_its_lines() -> None:
    assert parts("~~~\nx\n# y\n") == [Part("x\n# y")]


def test_a_longer_fence_holds_a_shorter_one() -> None:
    assert parts("````\n```\nx\n```\n````\nafter\n") == [Part("```\nx\n```\n\nafter")]


@pytest.mark.parametrize(
    "line",
    ["*" * 100_000, "[" * 50_000, "`" * 50_001, "<!--" * 20_000, "_a" * 50_000, "[a](" * 20_000],
)
def test_lines_of_marks_alone_take_no_time(line: str) -> None:
    assert isinstance(parts(line + "\n"), list)


def test_dashes_that_nothing_ends_are_a_rule_and_no_front_matter() -> None:
    assert parts("---\n\n# Heat\n\nIt is energy.\n") == [Part("Heat\n\nIt is energy.", "Heat")]
    assert title_of(["---\n", "# Heat\n"]) == "Heat"
    longer = "---\n" + "a line\n" * FRONT_LINES + "---\nend\n"
    assert sum(part.text.count("a line") for part in parts(longer)) == FRONT_LINES


def test_footnotes_and_sentences_behind_brackets_are_text() -> None:
    assert parts("[^1]: The note says so.\n") == [Part("[^1]: The note says so.")]
    assert parts("[note]: this is a sentence\n") == [Part("[note]: this is a sentence")]
    assert parts("x\n\n[1]: https://e.org 'A title'\n[2]: <https://e.org>\n") == [Part("x")]


def test_a_comments_mark_in_code_opens_no_comment() -> None:
    assert parts("Write `<!--` first.\n\nThen more.\n") == [Part("Write <!-- first.\n\nThen more.")]
