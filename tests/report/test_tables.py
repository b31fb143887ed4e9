from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from report import tables
from report.figures import task_figures
from report.run import gather
from report.run_data import RunData
from report.tables import COLUMNS, Column, Figure, variant_rows
from stemma import ROOT
from tests.factories.run_to_report import VARIANTS, make_work, score


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> RunData:
    return gather(make_work(tmp_path_factory.mktemp("runs")))


def figure(evidence: RunData, variant: str, title: str) -> Figure:
    row = next(row for row in variant_rows(evidence) if row.name == variant)
    return next(found for found in row.figures if found.title == title)


def test_one_row_per_variant_and_one_ships(evidence: RunData) -> None:
    rows = variant_rows(evidence)
    assert [row.name for row in rows] == VARIANTS
    assert [row.name for row in rows if row.shipped] == ["gguf-Q4_K_M"]
    assert rows[2].made == "LoRA on sft; reference: sft"


def test_a_share_shows_interval_n_and_the_difference_to_merged(evidence: RunData) -> None:
    found = figure(evidence, "gguf-Q4_K_M", "MCQ accuracy")
    assert (found.text, found.note) == ("0.61", "[0.55–0.67] n = 240")
    assert (found.difference, found.verdict) == ("−0.110 [−0.160 to −0.060]", "worse")
    assert (found.share is not None, found.chance) == (True, 0.25)


def test_generated_answers_that_nobody_can_judge_are_told_beside_the_right_ones(
    evidence: RunData,
) -> None:
    found = figure(evidence, "gguf-Q4_K_M", "Generated answers right")
    assert (found.text, found.note) == ("0.51", "[0.43–0.59] n = 150, undecided 0.04")


def test_empty_answers_are_told_beside_the_right_ones_where_there_are_any(
    evidence: RunData,
) -> None:
    shown = {}
    for count in (0, 3):
        empty = score("gguf-Q4_K_M", "generation", "empty", count, 150)
        counted = replace(evidence, scores=[*evidence.scores, empty])
        shown[count] = figure(counted, "gguf-Q4_K_M", "Generated answers right").note
        rows = [row for task in task_figures(counted) for row in task.rows if row.metric == "empty"]
        assert len(rows) == bool(count)
    assert shown[0] == "[0.43–0.59] n = 150, undecided 0.04"
    assert shown[3] == "[0.43–0.59] n = 150, undecided 0.04, 3 of 150 empty"
    [row] = rows
    assert [cell.text for cell in row.cells if cell.text] == ["3"]
    assert row.meaning == "answers without a character that can be seen, of n"


def test_a_difference_whose_interval_holds_zero_is_no_verdict(evidence: RunData) -> None:
    assert figure(evidence, "bnb-nf4", "MCQ accuracy").verdict == ""
    assert figure(evidence, "merged", "MCQ accuracy").difference == ""


def test_what_was_not_measured_is_a_dash_and_never_zero(evidence: RunData) -> None:
    found = figure(evidence, "bnb-nf4", "Reward accuracy")
    assert (found.text, found.note, found.share) == ("–", "", None)


def test_the_reference_has_no_reward_of_its_own(evidence: RunData) -> None:
    assert figure(evidence, "sft", "Reward accuracy") == Figure(
        "Reward accuracy", note="is the reference"
    )


def test_sizes_and_speeds_are_plain_figures(evidence: RunData) -> None:
    assert figure(evidence, "gguf-Q8_0", "Size").text == "236 kB"
    assert figure(evidence, "gguf-Q8_0", "Decode tok/s").text == "812"
    assert figure(evidence, "gguf-Q8_0", "Decode tok/s").note == "792–832, n = 5"
    assert figure(evidence, "gguf-Q8_0", "Size").note == ""


def test_read_is_kept_plus_dropped(evidence: RunData) -> None:
    assert tables.sources(evidence).rows == [
        ["corpus: stem_exercises", 1200, 1100, 100, 3, "40 duplicate, 60 in the evaluation"],
        ["mcq: stem_exercises", 400, 400, 0, 0, ""],
    ]


def test_set_sizes_and_times(evidence: RunData) -> None:
    assert tables.sets(evidence).rows == [["corpus", 1100, None, None], ["mcq", 300, 40, 60]]
    rows = tables.times(evidence).rows
    assert [row[0] for row in rows] == ["data", "base", "sft", "dpo", "mcq", "export", "eval"]
    assert {row[1] for row in rows} == {"0:00:48"}


def test_what_trained_and_what_was_scored(evidence: RunData) -> None:
    assert tables.trained(evidence).rows[1] == ["sft", "train", 300, 2, 9000, 1200]
    assert tables.scored(evidence).rows == [["mcq", 240, 0], ["generation", 150, 7]]


def test_the_variants_as_cells_say_what_the_page_says(evidence: RunData) -> None:
    table = tables.variants(evidence)
    [row] = [row for row in table.rows if row[0] == "gguf-Q4_K_M"]
    said = dict(zip(table.heads, row, strict=True))
    assert said["MCQ accuracy"] == "0.61 [0.55–0.67] n = 240; Δ −0.110 [−0.160 to −0.060]"
    assert said["Ships"] is True


@pytest.mark.parametrize("column", COLUMNS, ids=lambda column: column.title)
def test_every_column_names_a_metric_its_task_measures(column: Column) -> None:
    source = Path(ROOT, "eval", "tasks", f"{column.task}.py").read_text(encoding="utf-8")
    assert f'"{column.metric}"' in source
