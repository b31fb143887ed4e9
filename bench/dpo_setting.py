"""What the DPO benches have in common: a random Gemma, pairs of random digits, and the four trainers to compare.

`trl`: TRL's DPOTrainer. `liger`: the same with Liger's fused loss. `stock`: Axolotl's trainer. `ours`: Stemma's.
"""

from __future__ import annotations

import random
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from axolotl.core.trainers.dpo.args import AxolotlDPOConfig
from axolotl.core.trainers.dpo.trainer import AxolotlDPOTrainer
from datasets import Dataset, disable_progress_bars
from peft import LoraConfig
from transformers import AutoTokenizer, GemmaConfig, GemmaForCausalLM, PreTrainedTokenizerBase
from trl import DPOTrainer

from stemma.dpo_section import DpoTrainer as Options
from stemma.plugin.dpo import DpoTrainer
from tests.models import write_tokenizer

LIGER = ("rope", "rms_norm", "geglu", "swiglu", "cross_entropy", "fused_linear_cross_entropy")
LOSS_ONLY = Options(group_by_length=False, precompute_reference=False)


@dataclass(frozen=True)
class Setting:
    """A model's shape and a data set's: tokens of prompts and answers are drawn between the two figures."""

    hidden: int = 256
    layers: int = 2
    heads: int = 4
    intermediate: int = 512
    vocabulary: int = 256_000
    pairs: int = 4
    rows: int = 32
    prompt: tuple[int, int] = (16, 64)
    answer: tuple[int, int] = (16, 96)
    device: str = "cpu"

    @property
    def dtype(self) -> torch.dtype:
        return torch.float32 if self.device == "cpu" else torch.bfloat16


GEMMA_2B = Setting(
    hidden=2048, layers=18, heads=8, intermediate=16_384, rows=256, prompt=(60, 260), answer=(30, 400), device="cuda"
)
"""Gemma 2B, and pairs about as long as the course's (350 tokens a side on average)."""


def make_model(setting: Setting) -> GemmaForCausalLM:
    config = GemmaConfig(
        vocab_size=setting.vocabulary, hidden_size=setting.hidden, intermediate_size=setting.intermediate,
        num_hidden_layers=setting.layers, num_attention_heads=setting.heads, num_key_value_heads=1,
        head_dim=max(setting.hidden // setting.heads, 8), max_position_embeddings=2048,
        pad_token_id=0, eos_token_id=1, bos_token_id=2,
    )  # fmt: skip
    torch.manual_seed(0)
    with torch.device(setting.device):
        return GemmaForCausalLM(config).to(setting.dtype)


def make_tokenizer() -> PreTrainedTokenizerBase:
    folder = Path(tempfile.mkdtemp(prefix="stemma-bench-"))
    (folder / "config.json").write_text('{"model_type": "gemma"}', encoding="utf-8")
    write_tokenizer(folder)
    return AutoTokenizer.from_pretrained(folder)


def make_rows(setting: Setting) -> Dataset:
    """Pairs whose every character is one token."""
    source = random.Random(0)

    def digits(bounds: tuple[int, int]) -> str:
        return "".join(source.choices("0123456789", k=source.randint(*bounds)))

    names = {"prompt": setting.prompt, "chosen": setting.answer, "rejected": setting.answer}
    return Dataset.from_list([{name: digits(bounds) for name, bounds in names.items()} for _ in range(setting.rows)])


def make_trainer(kind: str, setting: Setting, options: Options = LOSS_ONLY) -> Any:
    """One of the four, ready to step, all with the same weights, adapter and rows."""
    disable_progress_bars()
    settings: dict[str, Any] = {}
    if kind == "liger":
        # Its other kernels are Triton's and take part in no comparison of the loss.
        settings = {"use_liger_kernel": True, "liger_kernel_config": dict.fromkeys(LIGER, False)}
    args = AxolotlDPOConfig(
        output_dir=tempfile.mkdtemp(prefix="stemma-bench-"), per_device_train_batch_size=setting.pairs, seed=0,
        max_length=None, use_cpu=setting.device == "cpu", bf16=setting.device != "cpu", report_to=[],
        remove_unused_columns=False, gradient_checkpointing=False, disable_tqdm=True,
        precompute_ref_log_probs=kind == "ours" and options.precompute_reference, **settings,
    )  # fmt: skip
    given = {
        "args": args,
        "train_dataset": make_rows(setting),
        "processing_class": make_tokenizer(),
        "peft_config": LoraConfig(r=8, lora_alpha=16, target_modules=["q_proj", "v_proj"]),
    }
    torch.manual_seed(0)
    model = make_model(setting)
    if kind == "ours":
        trainer: Any = DpoTrainer(model, options=options, **given)
    else:
        trainer = (AxolotlDPOTrainer if kind == "stock" else DPOTrainer)(model, **given)
    generator = torch.Generator(setting.device).manual_seed(0)
    for name, weight in trainer.model.named_parameters():
        if "lora_B" in name:  # zero at first, which would make every first loss log 2
            weight.data.normal_(0, 0.02, generator=generator)
    trainer.current_gradient_accumulation_steps = 1
    trainer.create_optimizer()
    return trainer


def train_step(trainer: Any, batch: dict[str, torch.Tensor]) -> float:
    """One whole optimizer step as the trainer does it; returns the loss."""
    loss = trainer.training_step(trainer.model, dict(batch))
    trainer.optimizer.step()
    trainer.optimizer.zero_grad()
    return float(loss.detach())


def loss_step(trainer: Any, batch: dict[str, torch.Tensor]) -> float:
    """Loss and gradients only."""
    trainer.model.train()
    loss = trainer.compute_loss(trainer.model, dict(batch))
    loss.backward()
    trainer.model.zero_grad()
    return float(loss.detach())


def padding_share(batches: list[dict[str, torch.Tensor]]) -> float:
    masks = [batch["attention_mask"] for batch in batches]
    return 1 - sum(int(mask.sum()) for mask in masks) / sum(mask.numel() for mask in masks)
