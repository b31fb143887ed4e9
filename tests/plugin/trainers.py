"""DPO trainers on tiny random models with a trained adapter.

Stock TRL's and ours are alike but for what is tested.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from axolotl.core.trainers.dpo.args import AxolotlDPOConfig
from datasets import Dataset
from peft import LoraConfig
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
from trl import DPOTrainer

from stemma.plugin.dpo import StemmaDpoTrainer
from stemma.recipe.sections import DpoTrainer as Options
from tests.factories.models import VOCABULARY, write_tokenizer

LOSS = 1e-4
GRADIENT = 1e-4
"""Tolerances to the stock trainer: of the loss, and of gradients as a share of their length. A
log-probability of -300 is rounded by 3e-5, and not on every processor alike."""

PLAIN = {"group_by_length": False, "precompute_reference": False}
PAIRS = [
    ("Question: What is 2 + 3?\n\nAnswer:", " 5", " 6, and that is an answer of some length"),
    ("Question: Which unit measures force?\n\nAnswer:", " newton, the force that moves", " joule"),
    ("Question: What is 1 + 1?\n\nAnswer:", " 2", " 3"),
    (
        "Q: 7",
        " 7 of them",
        " the speed of light in a vacuum is 299792458 m/s, and this is far too long to fit",
    ),
]


def make_small(folder: Path, kind: str, **changes: Any) -> Path:
    """A random model of another architecture."""
    values = {
        "vocab_size": VOCABULARY,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "head_dim": 8,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 512,
        "initializer_range": 0.2,
        "pad_token_id": 0,
        "eos_token_id": 1,
        "bos_token_id": 2,
    }
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(
        AutoConfig.for_model(kind, **(values | changes))
    ).save_pretrained(folder)
    write_tokenizer(folder)
    return folder


def rows(count: int = 4) -> Dataset:
    """The pairs above, over and over with other numbers."""
    keys = ("prompt", "chosen", "rejected")
    return Dataset.from_list(
        [
            {
                key: text.replace("2", str(i))
                for key, text in zip(keys, PAIRS[i % len(PAIRS)], strict=True)
            }
            for i in range(count)
        ]
    )


def make_trainer(
    start: Path, output: Path, options: dict[str, bool] | None, **settings: Any
) -> Any:
    """Ours with `options`, or TRL's own without.

    Both have the same random adapter, B unlike zero.
    """
    evaluated = settings.pop("eval_dataset", None)
    lora = settings.pop("lora", {})
    attention = settings.pop("attention", "sdpa")
    data = settings.pop("train_dataset", None) or rows()
    kept = settings.pop("kept", None)
    values = {
        "max_length": 48,
        "beta": 0.5,
        "per_device_train_batch_size": 4,
        "use_cpu": True,
        "bf16": False,
    }
    values |= {
        "report_to": [],
        "logging_steps": 1,
        "remove_unused_columns": False,
        "seed": 7,
        "save_strategy": "no",
    }
    args = AxolotlDPOConfig(output_dir=str(output), **(values | settings))
    given = {
        "args": args,
        "train_dataset": data,
        "eval_dataset": evaluated,
        "processing_class": AutoTokenizer.from_pretrained(start),
        "peft_config": LoraConfig(
            r=4, lora_alpha=8, **({"target_modules": ["q_proj", "v_proj"]} | lora)
        ),
    }
    model = AutoModelForCausalLM.from_pretrained(
        start, dtype=torch.float32, attn_implementation=attention
    )
    torch.manual_seed(0)
    if options is None:
        return _with_adapter(DPOTrainer(model, **given))
    return _with_adapter(
        StemmaDpoTrainer(model, options=Options.model_validate(options), kept=kept, **given)
    )


def _with_adapter(trainer: Any) -> Any:
    generator = torch.Generator().manual_seed(3)
    for name, weight in trainer.model.named_parameters():
        if "lora_" in name:
            weight.data = torch.randn(weight.shape, generator=generator) * 0.05
    return trainer


def batch(trainer: Any, *which: int) -> dict[str, torch.Tensor]:
    """Some rows as the trainer's own collator makes a batch of them."""
    found: dict[str, torch.Tensor] = trainer.data_collator(
        [trainer.train_dataset[i] for i in which]
    )
    return found


def adapter(trainer: Any) -> torch.Tensor:
    """All trained weights in one vector."""
    return torch.cat(
        [weight.detach().flatten() for weight in trainer.model.parameters() if weight.requires_grad]
    )


def step(
    trainer: Any, inputs: dict[str, torch.Tensor]
) -> tuple[float, torch.Tensor, dict[str, float]]:
    """Loss, the adapter's gradients in one vector, and the metrics of one batch."""
    trainer.model.train()
    trainer.model.zero_grad()
    loss = trainer.compute_loss(trainer.model, inputs)
    loss.backward()
    trained = [weight for weight in trainer.model.parameters() if weight.requires_grad]
    metrics = {name: values[-1] for name, values in trainer._metrics["train"].items()}
    return (
        loss.item(),
        torch.cat([weight.grad.flatten() for weight in trained if weight.grad is not None]),
        metrics,
    )


def both(
    start: Path, output: Path, options: dict[str, bool] = PLAIN, **settings: Any
) -> tuple[Any, Any]:
    return tuple(make_trainer(start, output, given, **settings) for given in (options, None))  # type: ignore[return-value]


def assert_alike(ours: Any, stock: Any, *which: int) -> None:
    """Loss, gradients and all metrics of one batch are the stock trainer's."""
    loss, gradient, metrics = step(ours, batch(ours, *which))
    expected, wanted, named = step(stock, batch(stock, *which))
    assert abs(loss - expected) < LOSS
    assert wanted.norm() > 1e-4
    assert (gradient - wanted).norm() / wanted.norm() < GRADIENT
    assert metrics.keys() - {"reference/apart"} == named.keys()
    for name, value in named.items():
        assert metrics[name] == pytest.approx(value, rel=1e-4, abs=1e-4), name
