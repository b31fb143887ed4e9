"""Each gate passes what is right and stops what is wrong, with its figures."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from stemma.errors import GateFailed
from stemma.templates import Template
from stemma.training import gates, merge_gate
from stemma.training.merge import merge_adapter
from stemma.training.rows import TokenSequence
from tests.factories.adapters import make_adapter
from tests.factories.models import TEMPLATE, make_gemma
from tests.held import Held

PROMPT, CHOSEN, REJECTED = [2, 120, 121], [130, 1], [140, 141, 1]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_gemma(tmp_path_factory.mktemp("gates") / "model", hidden=32)


@pytest.fixture
def batch(tmp_path: Path) -> Path:
    """One pair as TRL collates it: chosen, then rejected, padded on the right."""
    path = tmp_path / "first_step.rank0.safetensors"
    tensors = {
        "input_ids": torch.tensor([[*PROMPT, *CHOSEN, 0], [*PROMPT, *REJECTED]]),
        "attention_mask": torch.tensor([[1, 1, 1, 1, 1, 0], [1] * 6]),
        "completion_mask": torch.tensor([[0, 0, 0, 1, 1, 0], [0, 0, 0, 1, 1, 1]]),
    }
    save_file(tensors, path)
    return path


def own_logps(model: Path) -> dict[str, float]:
    """Log-probabilities of the two answers, by hand."""
    from transformers import AutoModelForCausalLM

    network = AutoModelForCausalLM.from_pretrained(model)
    found = {}
    for side, answer in (("chosen", CHOSEN), ("rejected", REJECTED)):
        with torch.no_grad():
            scores = network(torch.tensor([[*PROMPT, *answer]])).logits[0].log_softmax(-1)
        found[f"logps/{side}"] = sum(
            scores[len(PROMPT) - 1 + i, token].item() for i, token in enumerate(answer)
        )
    return {**found, "rewards/margins": 0.0}


def test_a_trained_adapter_passes(model: Path, tmp_path: Path) -> None:
    figures = gates.adapter_gate(model, make_adapter(model, tmp_path / "adapter"))
    assert figures.facts["adapter"] == {
        "lora_pairs": 4,
        "expected_pairs": 4,
        "not_finite": 0,
        "zero_b": 0,
    }


def test_an_untrained_adapter_is_stopped(model: Path, tmp_path: Path) -> None:
    with pytest.raises(
        GateFailed, match=r"broken adapter(.|\n)*left at zero: 4 \(at most 0, n = 4\) FAILED"
    ):
        gates.adapter_gate(model, make_adapter(model, tmp_path / "adapter", scale=0))


@pytest.mark.parametrize(
    ("fault", "said"),
    [("nan", "NaN or infinity: 1 "), ("lost", "pairs: 3 .exactly 4, n = 4. FAILED")],
)
def test_a_damaged_adapter_is_stopped(fault: str, said: str, model: Path, tmp_path: Path) -> None:
    path = make_adapter(model, tmp_path / "adapter") / "adapter_model.safetensors"
    tensors = load_file(path)
    name = next(name for name in tensors if "lora_B" in name)
    if fault == "nan":
        tensors[name][0, 0] = float("nan")
    else:
        del tensors[name]
    save_file(tensors, path)
    with pytest.raises(GateFailed, match=said):
        gates.adapter_gate(model, path.parent)


def test_the_first_batch_must_be_rows_we_wrote(batch: Path) -> None:
    ours = {TokenSequence((*PROMPT, *CHOSEN), 3), TokenSequence((*PROMPT, *REJECTED), 3)}
    found = gates.batch_gate([batch], ours)
    assert found.facts == {"first_batch": {"first_batch_sequences": 2, "as_written": 2}}
    assert [(gate.value, gate.limit, gate.n) for gate in found.gates] == [(2, 2, 2)]
    moved = {TokenSequence((*PROMPT, *CHOSEN), 3), TokenSequence((*PROMPT, *REJECTED), 2)}
    with pytest.raises(
        GateFailed,
        match=r"1 of the 2 sequences in the first batch were never written; the first: .*from 3",
    ):
        gates.batch_gate([batch], moved)


def test_a_run_without_a_first_batch_is_stopped() -> None:
    with pytest.raises(GateFailed, match="0 of the 0 sequences"):
        gates.batch_gate([], set())


def test_sft_batches_mark_the_answer_in_labels(tmp_path: Path) -> None:
    path = tmp_path / "first_step.rank0.safetensors"
    ids = torch.tensor([[*PROMPT, *CHOSEN]])
    labels = torch.tensor([[-100, -100, -100, *CHOSEN]])
    save_file({"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": labels}, path)
    assert gates.batch_gate([path], {TokenSequence((*PROMPT, *CHOSEN), 3)}).gates[0].value == 1


def test_the_stated_reference_is_the_one_it_started_at(model: Path, batch: Path) -> None:
    said = own_logps(model)
    figures = gates.reference_gate(model, [batch], said, "float32").facts["reference"]
    assert figures["logps/chosen"]["stated reference"] == pytest.approx(
        said["logps/chosen"], abs=1e-3
    )


def test_tolerance_is_that_of_the_dtype_the_trainer_computed_in(model: Path, batch: Path) -> None:
    said = own_logps(model)  # of weights stored in float32
    coarse = said | {"logps/chosen": said["logps/chosen"] + 0.5}
    found = gates.reference_gate(model, [batch], coarse, "bfloat16")
    assert found.facts["reference"]["tolerance"] == "1.0 nats + 2.00%"
    with pytest.raises(
        GateFailed, match=r"log p of chosen: .* FAILED\n.* log p of rejected: .* passed"
    ):
        gates.reference_gate(model, [batch], coarse, "float32")


def test_a_lost_sft_is_noticed_although_the_margin_is_zero(
    model: Path, batch: Path, tmp_path: Path
) -> None:
    said = own_logps(make_gemma(tmp_path / "other", hidden=32, seed=1))
    with pytest.raises(
        GateFailed,
        match=r"at its stated reference (.|\n)*of chosen: .* FAILED\n.*of rejected: .* FAILED",
    ):
        gates.reference_gate(model, [batch], said, "float32")


def test_a_first_margin_is_noticed(model: Path, batch: Path) -> None:
    with pytest.raises(GateFailed, match=r"first-step reward margin, either way: 0\.01 .* FAILED"):
        gates.reference_gate(
            model, [batch], own_logps(model) | {"rewards/margins": 0.01}, "float32"
        )


def test_a_precomputed_reference_is_compared_with_the_first_batch(model: Path, batch: Path) -> None:
    said = own_logps(model)
    found = gates.reference_gate(model, [batch], said | {"reference/apart": 1e-5}, "float32")
    assert found.facts["reference"]["precomputed_apart"] == 1e-5
    with pytest.raises(
        GateFailed,
        match=r"did not start at its stated reference (.|\n)*precomputed .*: 0\.5 .* FAILED",
    ):
        gates.reference_gate(model, [batch], said | {"reference/apart": 0.5}, "float32")


def test_an_unmerged_model_is_stopped(model: Path, tmp_path: Path) -> None:
    adapter = make_adapter(model, tmp_path / "adapter")
    with pytest.raises(GateFailed, match="merging broke the model"):
        merge_gate.merge_gate(model, adapter, model, [[*PROMPT, *CHOSEN]])


@pytest.fixture
def merged(model: Path, tmp_path: Path) -> tuple[Path, Path]:
    """An adapter on `model`, and both in one."""
    adapter = make_adapter(model, tmp_path / "adapter")
    merge_adapter(model, adapter, tmp_path / "merged", Template.read(TEMPLATE))
    return adapter, tmp_path / "merged"


@pytest.mark.parametrize("name", ["input_layernorm.weight", "self_attn.q_proj.weight"])
def test_a_lost_tensor_is_found(name: str, model: Path, merged: tuple[Path, Path]) -> None:
    """transformers would start it anew: a norm as it was here, so no logit shows it."""
    adapter, folder = merged
    tensors = load_file(folder / "model.safetensors")
    sizes = list(tensors.pop(f"model.layers.0.{name}").shape)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(GateFailed) as caught:
        merge_gate.merge_gate(model, adapter, folder, [[*PROMPT, *CHOSEN]])
    assert str(caught.value) == (
        f"merging broke the model ({folder}): 1 tensors are not as in {model}, "
        f"e.g. model.layers.0.{name} is missing instead of {sizes}"
    )


@pytest.mark.parametrize("name", ["model.norm.weight", "model.layers.1.self_attn.v_proj.weight"])
def test_a_tensor_of_another_shape_is_one_clear_error(
    name: str, model: Path, merged: tuple[Path, Path]
) -> None:
    """Adapted or not: loading such a file is a traceback."""
    adapter, folder = merged
    tensors = load_file(folder / "model.safetensors")
    were = list(tensors[name].shape)
    tensors[name] = tensors[name][:-1].clone()
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(GateFailed, match="1 tensors are not as in") as caught:
        merge_gate.merge_gate(model, adapter, folder, [[*PROMPT, *CHOSEN]])
    assert f"{name} is {[were[0] - 1, *were[1:]]} instead of {were}" in str(caught.value)


def test_the_rest_of_the_model_is_compared_file_to_file(
    model: Path, merged: tuple[Path, Path]
) -> None:
    adapter, folder = merged
    figures = merge_gate.merge_gate(model, adapter, folder, [[*PROMPT, *CHOSEN]]).facts
    # Two layers of 9 tensors, the embedding and the last norm, less 4 adapted ones.
    assert (figures["merge"]["others_equal"], figures["merge"]["others_changed"]) == (16, 0)
    path = folder / "model.safetensors"
    tensors = load_file(path)
    tensors["model.embed_tokens.weight"][400, 3] += (
        1e-3  # of a piece that no text holds: no logit shows it
    )
    save_file(tensors, path, metadata={"format": "pt"})
    with pytest.raises(
        GateFailed,
        match=r"merging broke the model(.|\n)*and that changed: 1 \(at most 0, n = 20\) FAILED",
    ):
        merge_gate.merge_gate(model, adapter, folder, [[*PROMPT, *CHOSEN]])


def test_an_adapter_that_rounding_swallows_is_told_so(tmp_path: Path) -> None:
    """In bfloat16 a hardly trained adapter moves the model no further than the rounding of its
    weights."""
    start = make_gemma(tmp_path / "start", hidden=32, dtype="bfloat16")
    adapter = make_adapter(start, tmp_path / "adapter", scale=1e-3)
    merge_adapter(start, adapter, tmp_path / "merged", Template.read(TEMPLATE))
    with pytest.raises(
        GateFailed,
        match=r"% of what the adapter did is lost by rounding: it hardly moved the model",
    ):
        merge_gate.merge_gate(start, adapter, tmp_path / "merged", [[*PROMPT, *CHOSEN]])


def test_rounding_of_large_logits_is_told_from_a_wrong_weight(
    model: Path, merged: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A real model's logits differ by more than any fixed figure where nothing is wrong: then the
    KL decides."""
    adapter, folder = merged
    monkeypatch.setattr(merge_gate, "MAX_LOGIT_DIFFERENCE", -1.0)
    kl, *_ = merge_gate.merge_gate(model, adapter, folder, [[*PROMPT, *CHOSEN]]).gates
    assert (kl.name, kl.limit) == ("mean KL to adapter-on-start, nats per token", 1e-9)
    path = folder / "model.safetensors"
    tensors = load_file(path)
    tensors["model.layers.0.self_attn.q_proj.weight"] += 1e-2
    save_file(tensors, path, metadata={"format": "pt"})
    with pytest.raises(GateFailed, match="merging broke the model"):
        merge_gate.merge_gate(model, adapter, folder, [[*PROMPT, *CHOSEN]])


def test_a_merged_model_with_nan_is_stopped(model: Path, merged: tuple[Path, Path]) -> None:
    adapter, folder = merged
    path = folder / "model.safetensors"
    tensors = load_file(path)
    tensors["model.layers.1.self_attn.v_proj.weight"][0, 0] = float("nan")
    save_file(tensors, path, metadata={"format": "pt"})
    with pytest.raises(
        GateFailed, match=r"merging broke the model(.|\n)*mean KL .*: nan \(.* FAILED"
    ):
        merge_gate.merge_gate(model, adapter, folder, [[*PROMPT, *CHOSEN]])


def test_an_adapter_on_the_head_is_compared_through_its_own_head(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    start = make_gemma(tmp_path / "start", hidden=32)
    AutoModelForCausalLM.from_pretrained(start, tie_word_embeddings=False).save_pretrained(start)
    adapter = make_adapter(start, tmp_path / "adapter", target_modules=["q_proj", "lm_head"])
    merge_adapter(start, adapter, tmp_path / "merged", Template.read(TEMPLATE))
    figures = merge_gate.merge_gate(start, adapter, tmp_path / "merged", [[*PROMPT, *CHOSEN]]).facts
    assert figures["merge"]["max_difference"] < 1e-4 < figures["adapter_effect"]["max_difference"]
    with pytest.raises(GateFailed, match="merging broke the model"):
        merge_gate.merge_gate(start, adapter, start, [[*PROMPT, *CHOSEN]])


def test_the_merge_gate_holds_no_more_for_more_texts(
    model: Path, merged: tuple[Path, Path]
) -> None:
    adapter, folder = merged
    texts = [[2, *range(100 + i, 227)] for i in range(12)]
    found = []
    for count in (4, 12):
        with Held() as held:
            merge_gate.merge_gate(model, adapter, folder, texts[:count])
        found.append(held.most)
    # Kept of a position: its hidden state of 32 values and two figures; its logits would be 448
    # values, thrice.
    positions = sum(map(len, texts[4:]))
    assert found[1] - found[0] < positions * (32 * 4 + 64)


def test_broken_weights_are_stopped(tmp_path: Path) -> None:
    save_file({"a": torch.tensor([1.0, float("inf")])}, tmp_path / "model.safetensors")
    with pytest.raises(GateFailed, match=r"with NaN or infinity: 1 \(at most 0, n = 1\) FAILED"):
        gates.finite_gate(tmp_path)


def test_weights_are_counted_against_the_plan() -> None:
    counted = (921_600, 2_507_094_016)
    found = gates.count_gate("dpo", (921_600, 2_507_094_016), counted)
    assert found.facts == {"counted": {"trained": 921_600, "planned": 921_600, "of": 2_507_094_016}}
    assert [gate.value for gate in found.gates] == [921_600, 2_507_094_016]
    unknown = gates.count_gate("dpo", "architecture `mamba`", counted)
    assert unknown.facts == {"weights_not_counted": "architecture `mamba`"}
    assert (unknown.gates[0].value, unknown.gates[0].reason) == (None, "architecture `mamba`")
    with pytest.raises(GateFailed) as caught:
        gates.count_gate("dpo", (9_805_824, 2_515_978_240), counted)
    assert str(caught.value) == (
        "dpo: the trainer trained other weights than the recipe names\n"
        "  adapter: trained weights, by the trainer and by the model's shapes: "
        "921,600 (exactly 9,805,824, n = 2,507,094,016) FAILED\n"
        "  adapter: weights in all, by both: "
        "2,507,094,016 (exactly 2,515,978,240, n = 2,507,094,016) FAILED"
    )


def test_what_was_checked_becomes_facts() -> None:
    found = gates.facts_of([gates.packed_batch(), gates.count_gate("sft", "no shapes", (0, 0))])
    assert found["first_batch"] == "packed: rows cannot be told apart, so they are not compared"
    assert found["weights_not_counted"] == "no shapes"
    assert [gate["subject"] for gate in found["gates"]] == ["first batch", "adapter"]
