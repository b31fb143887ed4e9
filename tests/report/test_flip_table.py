from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from report.flip_table import METRICS, flip_table, metric_of, verdict_table
from report.formats_table import formats
from report.page import HTML, MARKDOWN, render
from report.run import gather
from report.run_data import RunData
from report.subjects import subjects
from tests.factories.run_to_report import make_work
from tests.factories.samples_to_report import add_samples


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> RunData:
    made = make_work(tmp_path_factory.mktemp("runs"))
    add_samples(made)
    return gather(made)


def test_each_row_says_what_the_counts_show(evidence: RunData) -> None:
    table = flip_table(evidence)
    assert evidence.verdicts is not None
    for row in table.rows:
        said = dict(zip(table.heads, row, strict=True))
        task, variant = str(said["Task"]), str(said["Variant"])
        found = evidence.comparison(variant, task, METRICS[task])
        assert found is not None
        assert (said["Lost"], said["Gained"]) == (found.lost, found.gained)
        assert (said["Holm's p"], said["Verdict"]) == (found.p_holm, found.verdict)


def test_a_verdict_a_file_with_its_reason(evidence: RunData) -> None:
    table = verdict_table(evidence)
    assert [row[0] for row in table.rows] == [
        name for name in evidence.recipe.eval.variants if name != "merged"
    ]
    assert all(row[1] in ("non-inferior", "not shown", "worse", "inferior") for row in table.rows)
    for template in (HTML, MARKDOWN):
        page = render(evidence, template)
        assert "not shown" in page
        assert "2 points" in page


def test_differences_within_the_noise_are_marked(evidence: RunData) -> None:
    assert evidence.verdicts is not None
    noisy = [one.model_copy(update={"spread": 1.0}) for one in evidence.verdicts.comparisons]
    verdicts = evidence.verdicts.model_copy(update={"comparisons": noisy})
    marked = replace(evidence, verdicts=verdicts)
    assert all(str(row[-1]).endswith("noise of measuring twice") for row in flip_table(marked).rows)
    assert "within the noise" in render(marked, HTML)
    assert "within the noise" not in render(evidence, HTML)


def test_an_earlier_evaluation_has_flips_without_verdicts(evidence: RunData) -> None:
    earlier = replace(evidence, verdicts=None)
    assert len(flip_table(earlier).heads) == 10
    assert verdict_table(earlier).rows == []
    assert "A verdict on each file" not in render(earlier, HTML)


def test_accuracy_by_subject_and_letter(evidence: RunData) -> None:
    rows = subjects(evidence).rows
    assert [row[:3] for row in rows] == [
        ["subject", "algebra", 12],
        ["subject", "physics", 12],
        ["right letter", "A", 24],
    ]


def test_a_run_without_these_facts_has_no_such_table(tmp_path: Path) -> None:
    assert subjects(gather(make_work(tmp_path))).rows == []


def test_a_benchmarks_flips_go_by_what_was_compared(evidence: RunData) -> None:
    assert evidence.verdicts is not None
    one = evidence.verdicts.comparisons[0].model_copy(
        update={"task": "lm_eval/arc", "metric": "acc_norm"}
    )
    verdicts = evidence.verdicts.model_copy(update={"comparisons": [one]})
    assert metric_of(replace(evidence, verdicts=verdicts), "lm_eval/arc") == "acc_norm"
    assert metric_of(evidence, "mcq") == "accuracy"


def test_the_formats_stand_side_by_side_with_their_verdict(evidence: RunData) -> None:
    table = formats(evidence)
    assert [row[0] for row in table.rows] == evidence.recipe.exported()
    [row] = [row for row in table.rows if row[0] == "gguf-Q4_K_M"]
    said = dict(zip(table.heads, row, strict=True))
    assert said["Size"] == "160 kB"
    assert str(said["MCQ accuracy"]).endswith("n = 24")
    assert said["Verdict"] in ("non-inferior", "not shown", "worse", "inferior")
    assert "KL to merged" not in said


def test_what_a_format_costs_is_told_with_its_spread(tmp_path: Path) -> None:
    table = formats(gather(make_work(tmp_path)))
    row = dict(zip(table.heads, table.rows[0], strict=True))
    assert row["Decode tok/s"] == "812 [792 to 832] n = 5"
    assert row["Peak memory"] == "61.2 MB"
    assert "Verdict" not in row
