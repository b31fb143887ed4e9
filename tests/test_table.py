"""Tables as text."""

from __future__ import annotations

from stemma.table import aligned, markdown

HEADS, ROWS = ["stage", "rows", "from"], [["sft", "1,000", "data"], ["preference", "–", "a | b"]]


def test_figures_stand_to_the_right_and_words_to_the_left() -> None:
    assert aligned(HEADS, ROWS) == [
        "stage        rows  from",
        "sft         1,000  data",
        "preference      –  a | b",
    ]


def test_markdown_escapes_its_own_bars() -> None:
    assert markdown(HEADS, ROWS[1:])[2] == r"| preference | – | a \| b |"
    assert markdown(HEADS, [])[1] == "| --- | --- | --- |"
