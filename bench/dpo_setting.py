"""The common setting of the DPO benches: a random Gemma, pairs of random digits, steps.

`dpo_trainers` compares on it.

Needs torch, transformers and peft.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import torch
from peft import LoraConfig
from tokenizers import Regex, Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Split
from tokenizers.processors import TemplateProcessing
from transformers import (
    GemmaConfig,
    GemmaForCausalLM,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)

SPECIAL = ("<pad>", "<eos>", "<bos>", "<unk>")
PAD = 0
EOS = 1
BOS = 2
DIGIT = len(SPECIAL)
"""Gemma's ids, and the id of the digit 0."""

Pair = dict[str, str]


@dataclass(frozen=True)
class Switches:
    """The recipe's `dpo.trainer`, as far as it is compared."""

    group_by_length: bool = True
    precompute_reference: bool = True
    shared_prompts: bool = False


LOSS_ONLY = Switches(group_by_length=False, precompute_reference=False)


@dataclass(frozen=True)
class Setting:
    """A model's shape and a data set's.

    Tokens of prompts and answers are drawn between the two figures.
    """

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
    hidden=2048,
    layers=18,
    heads=8,
    intermediate=16_384,
    rows=256,
    prompt=(60, 260),
    answer=(30, 400),
    device="cuda",
)
"""Gemma 2B, and pairs about as long as the course's (350 tokens a side on average)."""


def make_model(setting: Setting) -> GemmaForCausalLM:
    config = GemmaConfig(
        vocab_size=setting.vocabulary,
        hidden_size=setting.hidden,
        intermediate_size=setting.intermediate,
        num_hidden_layers=setting.layers,
        num_attention_heads=setting.heads,
        num_key_value_heads=1,
        head_dim=max(setting.hidden // setting.heads, 8),
        max_position_embeddings=2048,
        pad_token_id=0,
        eos_token_id=1,
        bos_token_id=2,
    )
    torch.manual_seed(0)
    with torch.device(setting.device):
        return GemmaForCausalLM(config).to(setting.dtype)


def make_adapter() -> LoraConfig:
    return LoraConfig(r=8, lora_alpha=16, target_modules=["q_proj", "v_proj"])


def stir(model: Any, device: str) -> None:
    """Give every trainer the same adapter.

    LoRA's B is zero at first, which would make every first loss log 2, and its A is drawn behind
    whatever else a trainer has drawn.
    """
    generator = torch.Generator(device).manual_seed(0)
    for name, weight in model.named_parameters():
        if "lora_" in name:
            weight.data.normal_(0, 0.02, generator=generator)


def make_tokenizer() -> PreTrainedTokenizerBase:
    """Every character is a token."""
    made = Tokenizer(
        WordLevel(
            {token: number for number, token in enumerate((*SPECIAL, *"0123456789"))}, "<unk>"
        )
    )
    made.pre_tokenizer = Split(Regex("."), "isolated")
    made.post_processor = TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", BOS)])
    names = dict(zip(("pad_token", "eos_token", "bos_token", "unk_token"), SPECIAL, strict=True))
    return PreTrainedTokenizerFast(tokenizer_object=made, **names)


def draw_pairs(setting: Setting) -> list[Pair]:
    """Pairs of random digits."""
    source = random.Random(0)

    def digits(bounds: tuple[int, int]) -> str:
        return "".join(source.choices("0123456789", k=source.randint(*bounds)))

    names = {"prompt": setting.prompt, "chosen": setting.answer, "rejected": setting.answer}
    return [{name: digits(bounds) for name, bounds in names.items()} for _ in range(setting.rows)]


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
