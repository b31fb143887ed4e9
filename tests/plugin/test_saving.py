"""The tensors that a save copies. With DeepSpeed's real engine: tests/training/test_run.py and
tests/training/test_resume.py."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from deepspeed.checkpoint.utils import clone_tensors_for_torch_save
from peft import LoraConfig, get_peft_model
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM

from stemma.plugin.saving import copy_trained_weights_only

SIZES = {
    "vocab_size": 32,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "tie_word_embeddings": True,
}
LORA = LoraConfig(
    r=2, target_modules=["q_proj"], init_lora_weights=False, modules_to_save=["v_proj"]
)


def accelerator(stage: int) -> Any:
    """accelerate's part: the whole model's state, cloned as it is under DeepSpeed."""

    def get_state_dict(model: nn.Module, unwrap: bool = True) -> dict[str, Tensor]:
        cloned: dict[str, Tensor] = clone_tensors_for_torch_save(model.state_dict())
        return cloned

    config = {"zero_optimization": {"stage": stage}}
    return SimpleNamespace(
        get_state_dict=get_state_dict, unwrap_model=lambda model: model, deepspeed_config=config
    )


def copied(model: nn.Module, stage: int = 1) -> set[str]:
    """Names of what the state holds a second time."""
    accelerate = accelerator(stage)
    copy_trained_weights_only(accelerate)
    own = model.state_dict()
    found = accelerate.get_state_dict(model)
    assert list(found) == list(own)
    return {name for name, value in found.items() if value.data_ptr() != own[name].data_ptr()}


def test_of_an_adapter_only_what_is_trained_is_copied() -> None:
    model = get_peft_model(LlamaForCausalLM(LlamaConfig(**SIZES)), LORA)
    trained = {name for name, weight in model.named_parameters() if weight.requires_grad}
    assert len(trained) == 3, "A and B of the one adapter, and the module that is trained whole"
    assert copied(model) == trained
    everything = set(model.state_dict())
    assert copied(model, stage=3) == everything, "the weights would have to be gathered"
    whole = LlamaForCausalLM(LlamaConfig(**SIZES))
    assert copied(whole) == set(whole.state_dict()), "all are trained"


@pytest.mark.parametrize("targets", [["q_proj"], ["embed_tokens"]])
def test_the_saved_adapter_is_the_same_file(targets: list[str], tmp_path: Path) -> None:
    """One on the embedding is saved with the frozen embedding beside it."""
    lora = LoraConfig(r=2, target_modules=targets, init_lora_weights=False)
    model = get_peft_model(LlamaForCausalLM(LlamaConfig(**SIZES)), lora)
    bare, ours = accelerator(1), accelerator(1)
    copy_trained_weights_only(ours)
    for name, accelerate in (("bare", bare), ("ours", ours)):
        model.save_pretrained(tmp_path / name, state_dict=accelerate.get_state_dict(model))
    written = [
        (tmp_path / name / "adapter_model.safetensors").read_bytes() for name in ("bare", "ours")
    ]
    assert written[0] == written[1]
