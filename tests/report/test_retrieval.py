"""Retrieval on the page."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

from report.page import HTML, MARKDOWN, render
from report.retrieval import arm_differences, arms, search_alone, threshold_curves
from report.run import gather
from report.run_data import RunData
from stemma.comparisons import ArmComparison, Share, SharedRows
from stemma.jsonl import write_jsonl
from tests.factories.run_to_report import make_scores, make_work, score
from tests.factories.samples_to_report import finish_again


def share(value: float) -> Share:
    return Share(value=value, low=value - 0.1, high=value + 0.1)


def evidence_of(tmp_path: Path) -> RunData:
    found = [
        score("bm25", "retrieval", "recall_at_1", 0.858, 400, 0.03),
        score("dense", "retrieval", "recall_at_1", 0.67, 400, 0.04),
        score("dense", "retrieval", "recall_at_1_minus_bm25", -0.188, 400, 0.05),
    ]
    made = make_work(tmp_path, scores=[*make_scores(), *found])
    folder = made.run.folder("eval")
    values = {"": share(0.425), "random": share(0.4), "retrieved": share(0.675), "gold": share(0.7)}
    shared = SharedRows(weights="dpo", task="mcq", metric="accuracy", n=80, values=values)
    compared = ArmComparison(
        variant="dpo+retrieved",
        against="dpo",
        task="mcq",
        metric="accuracy",
        n=80,
        questions=80,
        value=0.675,
        value_against=0.425,
        lost=0,
        gained=20,
        difference=0.25,
        low=0.15,
        high=0.36,
        p=1.9e-6,
        p_holm=3.8e-6,
    )
    write_jsonl(folder / "arm_table.jsonl", [shared])
    write_jsonl(folder / "arms.jsonl", [compared])
    risk = {"variant": "search: bm25", "task": "retrieval"}
    points = [risk | {"coverage": at / 4, "risk": at / 10} for at in range(1, 5)]
    write_jsonl(
        folder / "retrieval_risk.jsonl", [*points, risk | {"coverage": 1, "risk": None}][:4]
    )
    names = ("arms", "arm_table", "retrieval_risk")
    finish_again(made.run, "eval", {name: f"{name}.jsonl" for name in names})
    return gather(made)


def test_every_arm_stands_beside_closed_book(tmp_path: Path) -> None:
    evidence = evidence_of(tmp_path)
    table = arms(evidence)
    assert table.heads[4:] == ("closed-book", "retrieved", "random", "gold")
    [row] = table.rows
    assert row[:4] == ["dpo", "mcq", "accuracy", 80]
    assert [str(cell).partition(" ")[0] for cell in row[4:]] == ["0.425", "0.675", "0.400", "0.700"]
    [pair] = arm_differences(evidence).rows
    assert pair[:7] == ["dpo+retrieved", "dpo (closed-book)", "mcq", "accuracy", 80, 20, 0]
    assert pair[7] == "+0.250"


def test_the_search_alone_has_a_line_for_each_arm(tmp_path: Path) -> None:
    evidence = evidence_of(tmp_path)
    rows = search_alone(evidence).rows
    assert [row[:2] for row in rows] == [["bm25", 400], ["dense", 400]]
    assert str(rows[0][2]).startswith("0.858 ")
    assert rows[0][3] is None


def test_the_page_has_a_section_where_there_are_arms(tmp_path: Path) -> None:
    evidence = evidence_of(tmp_path)
    [curve] = threshold_curves(evidence)
    assert curve.lines["search: bm25 · retrieval"][-1] == (1.0, 0.4)
    ElementTree.fromstring(curve.svg)
    page = render(evidence, HTML)
    assert '<section id="retrieval">' in page
    assert '<a href="#retrieval">' in page
    assert "less that of the search by BM25" in page
    assert "## Retrieval" in render(evidence, MARKDOWN)
    without = replace(evidence, arms=None)
    assert 'id="retrieval"' not in render(without, HTML)
    assert "## Retrieval" not in render(without, MARKDOWN)
