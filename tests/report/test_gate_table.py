from __future__ import annotations

from pathlib import Path

import pytest

from report.gate_table import by_stage, facts, gates, limit_words
from report.page import HTML, MARKDOWN, render
from report.run import gather
from stemma.gate import Gate, HandOver, recorded
from stemma.training.gates import facts_of, packed_batch
from tests.factories.manifests import change_manifest
from tests.factories.run_to_report import make_work

HAND_OVER = HandOver("gguf-F16", "converting")


def test_gates_of_training_and_export_in_chain_order(tmp_path: Path) -> None:
    rows = gates(gather(make_work(tmp_path))).rows
    assert [row[0] for row in rows] == [
        "base",
        *2 * ["sft"],
        *4 * ["dpo"],
        *2 * ["mcq"],
        *3 * ["export"],
    ]
    assert rows[0] == ["base", "weights", "tensors with NaN or infinity", 0, "≤ 0", 30, True]
    assert rows[1] == ["sft", "adapter", "trained weights", 15_360, "= 15,360", 1_815_360, True]
    assert rows[5] == ["dpo", "reference", "first-step log p of chosen", 0.004, "≤ 0.0121", 8, True]
    assert rows[-2] == ["export", "gguf-Q4_K_M", "mean KL to merged", 0.0123, "≤ 0.200", 640, True]


def test_the_encoders_gate_stands_behind_those_of_export(tmp_path: Path) -> None:
    evidence = gather(make_work(tmp_path))
    gate = HandOver("encoder", "GGUF").at_least("smallest cosine to the original", 1.0, 0.999, 100)
    found = evidence.manifests["export"].model_copy(update={"facts": {"gates": recorded([gate])}})
    evidence.manifests["rag"] = found
    name = "smallest cosine to the original"
    assert gates(evidence).rows[-1] == ["rag", "encoder", name, 1.0, "≥ 0.999", 100, True]
    assert not [row for row in facts(evidence).rows if row[0] == "rag"]


def test_a_check_that_could_not_be_made_says_why(tmp_path: Path) -> None:
    evidence = gather(make_work(tmp_path))
    evidence.manifests["mcq"].facts.update(facts_of([packed_batch()]))
    reason = "packed: rows cannot be told apart, so they are not compared"
    name = "sequences of the first batch exactly as written"
    assert ["mcq", "first batch", name, reason, None, None, None] in gates(evidence).rows


@pytest.mark.parametrize(
    ("gate", "text"),
    [
        (HAND_OVER.at_most("KL", 0.01, 0.2, 1), "≤ 0.200"),
        (HAND_OVER.at_most("KL", 0.3, 0.2, 1), "≤ 0.200"),
        (HAND_OVER.at_least("top-1", 0.9, 0.9, 1), "≥ 0.900"),
        (HAND_OVER.exactly("weights", 5, 1234, 1), "= 1,234"),
    ],
)
def test_a_limit_says_on_which_side_of_it_to_lie(gate: Gate, text: str) -> None:
    assert limit_words(gate) == text


def test_gates_of_an_earlier_version_are_told_in_one_line(tmp_path: Path) -> None:
    evidence = gather(make_work(tmp_path))
    del evidence.manifests["sft"].facts["gates"]
    evidence.manifests["sft"].facts["adapter"] = {"lora_pairs": 6, "zero_b": 0}
    evidence.manifests["export"].facts["gates"] = ["merged: top-1: 1 (limit 0.98, n = 9) passed"]
    told = "not listed: an earlier Stemma recorded them with the facts below"
    first, *others = gates(evidence).rows
    assert first == ["sft, export", "", told, None, None, None, None]
    assert {row[0] for row in others} == {"base", "dpo", "mcq"}
    recorded = facts(evidence).rows
    assert ["sft", "adapter", "lora pairs 6, zero b 0"] in recorded
    assert ["export", "gates", "merged: top-1: 1 (limit 0.98, n = 9) passed"] in recorded
    assert told in render(evidence, MARKDOWN)
    assert f"All {len(others)} gates passed" in render(evidence, HTML)
    for manifest in evidence.manifests.values():
        manifest.facts.pop("gates", None)
    assert "gates passed" not in render(evidence, HTML)


def test_every_other_fact_is_listed(tmp_path: Path) -> None:
    rows = facts(gather(make_work(tmp_path))).rows
    assert ["base", "parameters", "1,800,000"] in rows
    assert {name for stage, name, _ in rows if stage == "sft"} == {"start", "deepspeed"}
    assert [row for row in rows if row[0] == "export"] == [["export", "from", "mcq"]]
    assert any(stage == "eval" and "stage `sft`" in str(value) for stage, _, value in rows)


def test_each_stage_says_how_many_passed_and_which_gate_is_nearest_its_limit(
    tmp_path: Path,
) -> None:
    found = by_stage(gather(make_work(tmp_path)))
    assert [(one.stage, one.measured, one.failed) for one in found] == [
        ("base", 1, 0),
        ("sft", 2, 0),
        ("dpo", 4, 0),
        ("mcq", 2, 0),
        ("export", 3, 0),
    ]
    assert [one.nearest for one in found] == [
        "",
        "merged, share of the adapter's effect lost 1e-8, limit ≤ 0.0500 (0% of what is allowed)",
        # 0.004 of 0.0121
        "reference, first-step log p of chosen 0.00400, limit ≤ 0.0121 (33% of what is allowed)",
        found[1].nearest,
        # It may fall by 0.1 and fell by 0.03; the KL uses 6 % of its limit.
        "gguf-Q4_K_M, top-1 agreement 0.970, limit ≥ 0.900 (30% of what is allowed)",
    ]


def test_a_page_unfolds_the_stage_whose_gate_failed(tmp_path: Path) -> None:
    work = make_work(tmp_path)
    bad = HAND_OVER.at_most("something", 3, 1, 5)
    change_manifest(work.run, "export", facts={"gates": recorded([bad])})
    page = render(gather(work), HTML)
    assert "<details open><summary>export: 0 of 1 passed" in page
    assert "<details><summary>dpo: 4 of 4 passed" in page
    assert "✗ 1 of 10 gates failed." in page
