"""The page and the files read back, by other means than they were written, and held against
results.json."""

from __future__ import annotations

import csv
import json
from html.parser import HTMLParser
from pathlib import Path

import pytest

from report.figures import bounds_of, task_figures, text_of
from report.reported import lacked, reported
from report.run import gather, run
from stemma.stages import Work
from tests.factories.run_to_report import make_work, score
from tests.factories.samples_to_report import add_samples


class Tables(HTMLParser):
    """The cells of every table with this class, row by row, notes apart by a blank."""

    def __init__(self, css: str) -> None:
        super().__init__()
        self.css = css
        self.tables: list[list[list[str]]] = []
        self.inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "table":
            self.inside = dict(attrs).get("class") == self.css
            if self.inside:
                self.tables.append([])
        if self.inside and tag == "tr":
            self.tables[-1].append([])
        if self.inside and tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_data(self, data: str) -> None:
        if self.inside and self.tables[-1] and self.tables[-1][-1] and data.strip():
            self.tables[-1][-1][-1] += f"\n{data.strip()}"

    def handle_endtag(self, tag: str) -> None:
        if tag == "table":
            self.inside = False


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Work:
    made = make_work(tmp_path_factory.mktemp("runs"))
    add_samples(made)
    run(made)
    return made


def test_no_score_is_left_out_of_the_page(work: Work) -> None:
    reader = Tables("cards figures")
    reader.feed((work.folder / "index.html").read_text(encoding="utf-8"))
    names = [figures.task for figures in task_figures(gather(work))]
    printed = {}
    for task, table in zip(names, reader.tables, strict=True):
        heads = [name.strip() for name in table[0][2:]]
        for row in table[1:]:
            metric = row[0].strip().split("\n")[0]
            for variant, cell in zip(heads, row[2:], strict=True):
                printed[task, metric, variant] = (row[1].strip(), cell.strip().split("\n")[0])
    results = json.loads((work.run.folder("eval") / "results.json").read_text(encoding="utf-8"))
    assert len(results) > 200
    for one in results:
        n, text = printed[one["task"], one["metric"].replace("_", " "), one["variant"]]
        assert n == str(one["n"])
        value = float(text.replace("−", "-").replace(",", ""))
        assert value == pytest.approx(one["value"], abs=5.1e-4, rel=5e-3)


def test_the_file_of_scores_is_results_json_again(work: Work) -> None:
    results = json.loads((work.run.folder("eval") / "results.json").read_text(encoding="utf-8"))
    expected = {
        (one["task"], one["metric"], one["variant"]): (
            one["value"],
            one["low"],
            one["high"],
            one["n"],
        )
        for one in results
    }
    with (work.folder / "tables" / "scores.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    found = {
        (row["Task"], row["Metric"], row["Variant"]): (
            float(row["Value"]),
            float(row["Low"]) if row["Low"] else None,
            float(row["High"]) if row["High"] else None,
            int(row["n"]),
        )
        for row in rows
    }
    assert found == expected
    listed = json.loads((work.folder / "tables" / "scores.json").read_text(encoding="utf-8"))
    assert [row["Value"] for row in listed] == [float(row["Value"]) for row in rows]


@pytest.mark.parametrize(
    ("metric", "value", "text", "bounds"),
    [
        ("accuracy", 0.25, "0.250", "[0.150–0.350]"),
        ("accuracy_minus_merged", 0.25, "+0.250", "[+0.150 to +0.350]"),
        ("accuracy_minus_merged_p", 0.00001234, "1.2e-5", "[−0.100 to 0.100]"),
        ("accuracy_minus_merged_p_holm", 0.0312, "0.0312", "[−0.0688 to 0.131]"),
        ("size_bytes", 145e6, "145 MB", "[145 MB to 145 MB]"),
        ("peak_memory_bytes_spread", 1.5e6, "1.50 MB", "[1.50 MB to 1.50 MB]"),
        ("load_seconds_spread", 0.012, "0.0120", "[−0.0880 to 0.112]"),
        ("decode_tokens_per_second", 31.6, "31.6", "[31.5 to 31.7]"),
        ("reward_margin", -1.5, "−1.500", "[−1.600 to −1.400]"),
        ("accuracy", float("nan"), "not finite", "[not finite to not finite]"),
    ],
)
def test_each_figure_has_its_unit(metric: str, value: float, text: str, bounds: str) -> None:
    found = score("merged", "mcq", metric, value, 10, 0.1)
    assert text_of(found) == text
    if not metric.endswith("_p"):
        assert bounds_of(found) == bounds


def test_counts_that_differ_are_told_in_each_cell(tmp_path: Path) -> None:
    scores = [score("base", "mcq", "accuracy", 0.5, 10), score("merged", "mcq", "accuracy", 0.5, 9)]
    [figures] = task_figures(gather(make_work(tmp_path, scores=scores)))
    assert figures.variants == ["base", "merged"]
    assert (figures.rows[0].n, [cell.n for cell in figures.rows[0].cells]) == (None, [10, 9])


def test_the_reports_figures_stand_beside_ours_with_their_controls(tmp_path: Path) -> None:
    table = reported(gather(make_work(tmp_path)))
    rows = [dict(zip(table.heads, row, strict=True)) for row in table.rows]
    [shipped] = [
        row
        for row in rows
        if (row["Measure"], row["Variant"]) == ("Reward accuracy", "gguf-Q4_K_M")
    ]
    assert shipped["Reference report"] == "0.94 / 0.64"
    assert (shipped["This run"], shipped["n"]) == ("0.860", 200)
    assert shipped["95% interval"] == "[0.810–0.910]"
    assert "always the longer answer 0.550" in str(shipped["Controls"])


def test_what_was_not_measured_keeps_its_line(tmp_path: Path) -> None:
    table = reported(gather(make_work(tmp_path, scores=[score("base", "mcq", "accuracy", 0.5, 9)])))
    assert [row[0] for row in table.rows] == [
        "Reward accuracy",
        "Reward margin",
        "Win rate",
        "Entity graph",
    ]
    assert all(row[3] is None and "not measured" in str(row[6]) for row in table.rows)


def test_what_the_reports_pairs_are_is_said_and_nothing_invented() -> None:
    heads, rows = lacked().heads, {str(row[0]): row for row in lacked().rows}
    meaning = heads.index("What the two figures are")
    assert rows["Reward accuracy"][1] == "0.94 / 0.64"
    assert "what sets the two apart is not known here" in str(rows["Reward accuracy"][meaning])
    assert "each divided by the pairs without a tie" in str(rows["Win rate"][meaning])
    assert all(str(row[meaning]) for row in rows.values())
