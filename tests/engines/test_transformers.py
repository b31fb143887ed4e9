"""Traps of transformers, TRL and bitsandbytes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stemma.training.precision import cpu_has_bfloat16
from tests.engines.bare import trap


def trainer_of(folder: Path, loss: float = 1.0, **settings: Any) -> Any:
    """transformers' trainer of one weight, on two rows.

    Its loss is so many times the weight.
    """
    import torch
    from transformers import Trainer, TrainingArguments

    class Model(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(1))

        def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"loss": (self.weight * x * loss).mean()}

    args = TrainingArguments(
        output_dir=str(folder),
        use_cpu=True,
        report_to=[],
        logging_steps=1,
        disable_tqdm=True,
        per_device_train_batch_size=1,
        max_steps=2,
        **settings,
    )
    return Trainer(Model(), args, train_dataset=[{"x": torch.ones(1)}] * 2)


@trap("stemma/plugin/evidence.py (stop_at_non_finite_loss)")
def test_nan_is_logged_as_0(folder: Path) -> bool:
    """And the training ends as if all were well."""
    trainer = trainer_of(folder, float("nan"), save_strategy="no")
    trainer.train()
    losses = [row["loss"] for row in trainer.state.log_history if "loss" in row]
    assert trainer.state.global_step == 2
    return losses == [0, 0]


@trap("stemma/plugin/sealing.py (SealCheckpoints)")
def test_the_last_checkpoint_goes_before_the_next_is_told_of(folder: Path) -> bool:
    """A kill between both leaves none that a callback has seen whole."""
    from transformers import TrainerCallback

    seen = []

    class Look(TrainerCallback):
        def on_save(self, *args: Any, **kwargs: Any) -> None:
            seen.append(sorted(path.name for path in folder.glob("checkpoint-*")))

    trainer = trainer_of(folder, save_strategy="steps", save_steps=1, save_total_limit=1)
    trainer.add_callback(Look())
    trainer.train()
    assert seen[0] == ["checkpoint-1"]
    return seen[1] == ["checkpoint-2"]


@trap("stemma/plugin/cpu.py (let_bfloat16_train_on_cpu)")
def test_bf16_asks_for_a_gpu(folder: Path) -> bool:
    import torch
    from transformers import TrainingArguments

    torch.cuda.is_available = lambda: False
    try:
        TrainingArguments(output_dir=str(folder), bf16=True)
    except ValueError as error:
        return "bf16/gpu" in str(error)
    return False


@trap("stemma/plugin/dpo_on_trl.py")
def test_floats_of_a_batch_are_cast_to_deepspeeds_dtype(folder: Path) -> bool:
    """A precomputed log-probability of -105.3 becomes -105.5."""
    from types import SimpleNamespace

    import torch
    from transformers import Trainer

    plugin = SimpleNamespace(hf_ds_config=SimpleNamespace(dtype=lambda: torch.bfloat16))
    accelerator = SimpleNamespace(state=SimpleNamespace(deepspeed_plugin=plugin))
    trainer: Any = SimpleNamespace(
        args=SimpleNamespace(device="cpu"), is_deepspeed_enabled=True, accelerator=accelerator
    )
    return float(Trainer._prepare_input(trainer, torch.tensor(-105.3))) == -105.5


@trap("stemma/training/merge.py (tokenizer files)")
def test_a_saved_tokenizer_lacks_what_the_converter_needs(folder: Path) -> bool:
    """`tokenizer.model`, and `added_tokens_decoder` in its config."""
    from transformers import AutoTokenizer

    from stemma.jsonl import read_json
    from tests.factories.models import tiny_model

    AutoTokenizer.from_pretrained(tiny_model()).save_pretrained(folder)
    config = read_json(folder / "tokenizer_config.json")
    return not (folder / "tokenizer.model").exists() and "added_tokens_decoder" not in config


@trap("stemma/weights.py (attention_of)")
def test_sdpa_leaves_out_gemma_2s_cap_on_attention(folder: Path) -> bool:
    import torch
    from transformers import Gemma2Config, Gemma2ForCausalLM

    config = Gemma2Config(
        vocab_size=32,
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        initializer_range=2.0,
        attn_logit_softcapping=5.0,
        query_pre_attn_scalar=8,
    )
    torch.manual_seed(0)
    Gemma2ForCausalLM(config).save_pretrained(folder)
    said = []
    for attention in ("sdpa", "eager"):
        model = Gemma2ForCausalLM.from_pretrained(folder, attn_implementation=attention).eval()
        with torch.no_grad():
            said.append(model(torch.arange(16)[None]).logits)
    return bool((said[0] - said[1]).abs().max() > 1e-2)


@trap("stemma/base_model/folder.py")
def test_weights_that_a_file_lacks_are_random(folder: Path) -> bool:
    """And no error, with a key under another name beside it."""
    import torch
    from safetensors.torch import load_file, save_file
    from transformers import AutoModelForCausalLM

    from tests.factories.models import make_gemma

    make_gemma(folder, hidden=32)
    name = "model.layers.1.mlp.up_proj.weight"
    path = folder / "model.safetensors"
    tensors = load_file(path)
    kept = tensors.pop(name)
    save_file(tensors | {f"module.{name}": kept}, path, {"format": "pt"})
    loaded = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).state_dict()[name]
    return not torch.equal(loaded, kept)


@trap("export/bnb.py (quantise_folder: nf4)")
def test_the_default_4_bit_type_is_fp4(folder: Path) -> bool:
    from transformers import BitsAndBytesConfig

    config = BitsAndBytesConfig(load_in_4bit=True)
    return bool(config.bnb_4bit_quant_type == "fp4" and not config.bnb_4bit_use_double_quant)


@pytest.mark.skipif(not cpu_has_bfloat16(), reason="seen on CPUs that compute in bfloat16")
@trap("export/bnb.py (no forward pass before saving)")
def test_4_bit_weights_saved_after_a_forward_pass_are_others(folder: Path) -> bool:
    """The scales of its blocks are saved in another order."""
    import bitsandbytes
    import torch

    torch.manual_seed(0)
    kind: Any = {"quant_type": "nf4", "compress_statistics": False}
    layer = bitsandbytes.nn.Linear4bit(256, 256, bias=False, **kind)
    layer.weight = bitsandbytes.nn.Params4bit(torch.randn(256, 256), requires_grad=False, **kind)
    layer = layer.to("cpu").eval()
    before = {name: value.flatten().clone() for name, value in layer.state_dict().items()}
    with torch.no_grad():
        layer(torch.randn(1, 256, dtype=torch.bfloat16))
    return any(
        not torch.equal(before[name], value.flatten()) for name, value in layer.state_dict().items()
    )
