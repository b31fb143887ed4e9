from __future__ import annotations

import pytest

from stemma.retrieval.citations import Citations, citations, listed
from stemma.retrieval.passages import Hit, Passage


@pytest.mark.parametrize(
    ("answer", "known", "unknown"),
    [
        ("Newton [2], as it accelerates mass [1][2].", [2, 1], []),
        ("Newton [1, 3].", [1, 3], []),
        ("Newton [4].", [], [4]),
        ("Newton [0].", [], [0]),
        ("x lies in [0, 1].", [], []),
        ("Newton.", [], []),
        ("Newton [ 1 ] (1) a[i] [1a]", [], []),
        ("[99999999999999999999]", [], []),
        ("", [], []),
    ],
)
def test_numbers_in_brackets_are_citations(
    answer: str, known: list[int], unknown: list[int]
) -> None:
    assert citations(answer, 3) == Citations(known, unknown)


def test_without_passages_nothing_is_cited() -> None:
    assert citations("Newton [1].", 0) == Citations([], [1])


def test_passages_are_listed_with_title_id_and_place() -> None:
    one = Passage("heat:notes.pdf#3", "Entropy\nand heat", "…", "heat", "page 12")
    other = Passage("wiki:2", "", "…", "wiki", "")
    hits = [Hit(passage, 1.0, None, None) for passage in (one, other)]
    assert listed(hits, cited=[2]) == [
        "[1]  Entropy and heat (heat:notes.pdf#3, page 12)",
        "[2]* wiki:2",
    ]


def test_a_listed_passage_steers_no_terminal() -> None:
    steering = "\x1b]0;x\x07\x1b[2J\u202e"
    hit = Hit(
        Passage(f"i{steering}", f"A{steering}", "t", "notes", f"page 3{steering}"), 1.0, None, None
    )
    assert listed([hit]) == ["[1]  A]0;x[2J (i]0;x[2J, page 3]0;x[2J)"]
