from __future__ import annotations

from pathlib import Path

import pytest

from report.gates import facts, gates, limit_words
from report.run import gather
from stemma import ROOT
from tests.factories.run_to_report import AGREEMENT, LORA, REFERENCE, make_work


def test_gates_of_training_and_export_in_chain_order(tmp_path: Path) -> None:
    rows = gates(gather(make_work(tmp_path))).rows
    assert [row[0] for row in rows] == ["base"] + 8 * ["sft"] + 11 * ["dpo"] + 8 * ["mcq"] + 3 * ["export"]
    assert rows[0] == ["base", "", "tensors with NaN or infinity", 0, "0", 30, True]
    weights = "trained weights, by the trainer and by the model's shapes"
    assert rows[1] == ["sft", "", weights, 15_360, "15,360", 1_815_360, True]
    assert rows[-2] == ["export", "gguf-Q4_K_M", "mean KL to merged", 0.0123, "≤ 0.200", 640, True]


def test_the_stated_reference_is_compared_in_nats(tmp_path: Path) -> None:
    rows = {row[2]: row[3:6] for row in gates(gather(make_work(tmp_path))).rows if row[0] == "dpo"}
    assert rows["first-step reward margin"] == [0.0, "0", None]
    measured, limit, _ = rows["first-step log p of chosen: trainer minus stated reference"]
    assert (measured, limit) == (pytest.approx(-0.004), "within 0.01 nats + 0.01%")
    assert rows["merged against adapter on base: mean KL"] == [3e-9, "the adapter's own effect: 0.35", 900]


def test_a_check_that_could_not_be_made_says_why(tmp_path: Path) -> None:
    evidence = gather(make_work(tmp_path))
    reason = "packed: rows cannot be told apart, so they are not compared"
    evidence.manifests["mcq"].facts["first_batch"] = reason
    row = ["mcq", "", "sequences of the first batch exactly as written", reason, None, None, None]
    assert row in gates(evidence).rows


@pytest.mark.parametrize(
    ("measured", "limit", "passed", "text"),
    [(0.01, 0.2, True, "≤ 0.200"), (0.97, 0.9, True, "≥ 0.900"), (0.3, 0.2, False, "≤ 0.200"), (0, 0, True, "0")],
)
def test_the_side_of_a_limit_follows_from_the_verdict(measured: float, limit: float, passed: bool, text: str) -> None:
    assert limit_words(measured, limit, passed) == text


def test_every_other_fact_is_listed(tmp_path: Path) -> None:
    rows = facts(gather(make_work(tmp_path))).rows
    assert ["base", "parameters", "1,800,000"] in rows
    assert {name for stage, name, _ in rows if stage == "sft"} == {"start", "deepspeed"}
    assert [row for row in rows if row[0] == "export"] == [["export", "from", "mcq"]]
    assert any(stage == "eval" and "stage `sft`" in str(value) for stage, _, value in rows)


def test_the_facts_read_here_are_those_the_gates_record() -> None:
    source = "".join(Path(ROOT, "stemma/training", name).read_text(encoding="utf-8") for name in ("gates.py", "run.py"))
    names = [
        *LORA,
        *LORA["adapter"],
        *LORA["first_batch"],
        *LORA["counted"],
        "first_margin",
        "tolerance",
        "stated reference",
    ]
    assert [name for name in names if f'"{name}"' not in source] == []
    assert [name for name in AGREEMENT if f"{name}:" not in source] == []
    assert len(REFERENCE) == 4
