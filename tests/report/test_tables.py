from __future__ import annotations

from pathlib import Path

import pytest

from report.evidence import Evidence
from report.run import gather
from report.tables import (
    COLUMNS,
    Cell,
    Column,
    TrainedRow,
    other_scores,
    scored_rows,
    set_rows,
    source_rows,
    time_rows,
    trained_rows,
    variant_rows,
)
from stemma import ROOT
from tests.report.run_folder import VARIANTS, make_work


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    return gather(make_work(tmp_path_factory.mktemp("runs")))


def cell(evidence: Evidence, variant: str, title: str) -> Cell:
    row = next(row for row in variant_rows(evidence) if row.name == variant)
    return next(cell for cell in row.cells if cell.title == title)


def test_one_row_per_variant_and_one_ships(evidence: Evidence) -> None:
    rows = variant_rows(evidence)
    assert [row.name for row in rows] == VARIANTS
    assert [row.name for row in rows if row.shipped] == ["gguf-Q4_K_M"]
    assert rows[2].made == "LoRA on sft, merged"


def test_a_share_shows_interval_n_and_the_difference_to_merged(evidence: Evidence) -> None:
    found = cell(evidence, "gguf-Q4_K_M", "MCQ accuracy")
    assert (found.text, found.note) == ("0.61", "[0.55–0.67] n = 240")
    assert (found.difference, found.verdict) == ("−0.110 [−0.160 to −0.060]", "worse")
    assert found.bar is not None


def test_a_difference_whose_interval_holds_zero_is_no_verdict(evidence: Evidence) -> None:
    assert cell(evidence, "bnb-nf4", "MCQ accuracy").verdict == ""
    assert cell(evidence, "merged", "MCQ accuracy").difference == ""


def test_what_was_not_measured_is_a_dash_and_never_zero(evidence: Evidence) -> None:
    found = cell(evidence, "bnb-nf4", "Reward accuracy")
    assert (found.text, found.note, found.bar) == ("–", "", None)


def test_the_reference_has_no_reward_of_its_own(evidence: Evidence) -> None:
    assert cell(evidence, "sft", "Reward accuracy") == Cell("Reward accuracy", note="is the reference")


def test_sizes_and_speeds_are_plain_figures(evidence: Evidence) -> None:
    assert cell(evidence, "gguf-Q8_0", "Size").text == "236 kB"
    assert cell(evidence, "gguf-Q8_0", "Decode tok/s").text == "812"


def test_read_is_kept_plus_dropped(evidence: Evidence) -> None:
    corpus, mcq = source_rows(evidence)
    assert (corpus.source, corpus.read, corpus.kept) == ("corpus: stem_exercises", 1200, 1100)
    assert corpus.dropped == [("duplicate", 40), ("in the evaluation", 60)]
    assert corpus.balanced
    assert mcq.balanced


def test_set_sizes_and_times(evidence: Evidence) -> None:
    assert [row.parts for row in set_rows(evidence)] == [{"train": 1100}, {"train": 300, "validation": 40, "test": 60}]
    assert [row.stage for row in time_rows(evidence)] == ["data", "base", "sft", "dpo", "mcq", "export", "eval"]
    assert {row.took for row in time_rows(evidence)} == {"48 s"}


def test_what_trained_and_what_was_scored(evidence: Evidence) -> None:
    assert trained_rows(evidence)[1] == TrainedRow("sft", "train", 300, 2, 9000, 1200)
    assert scored_rows(evidence) == [("mcq", 240, 0), ("generation", 150, 7)]


def test_no_score_is_left_out(evidence: Evidence) -> None:
    assert len(other_scores(evidence)) == len(evidence.scores)


@pytest.mark.parametrize("column", COLUMNS, ids=lambda column: column.title)
def test_every_column_names_a_metric_its_task_measures(column: Column) -> None:
    source = Path(ROOT, "eval", "tasks", f"{column.task}.py").read_text(encoding="utf-8")
    assert f'"{column.metric}"' in source
