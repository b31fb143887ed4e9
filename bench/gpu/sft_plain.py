"""SFT in a plain loop, where Axolotl is not installed: torch, transformers and peft.

`python -m bench.gpu.sft_plain`.

`plain` is what one writes in ten minutes: batches at random, transformers' own loss over all
logits. `plain, own head` takes Stemma's: batches of like length, and the log-probabilities of the
answers' tokens by `stemma/plugin/logps.py`. The adapter, the rows and the optimizer are those of
`bench.gpu.sft`. Tokens and FLOPs are counted without padding; where the head is computed for
answers only, only those products count.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from itertools import cycle, islice
from typing import Any

import torch
from peft import get_peft_model
from torch import Tensor

from bench.dpo_setting import BOS, DIGIT, EOS, PAD, Setting, draw_pairs, make_adapter, make_model
from bench.gpu.device import finished, forget_peak, peak, print_figures
from bench.gpu.needs import parse
from bench.gpu.settings import SEED, choose, model_shapes
from bench.plain_dpo import padded
from stemma.plan.costs import CostSettings, training_flops
from stemma.plugin.batches import LengthGrouped
from stemma.plugin.head import backbone, frozen_head
from stemma.plugin.logps import Head, score_tokens

OWN = "plain, own head"
KINDS = {"plain": 8, OWN: 16}
"""Rows a step: the recipe's, and what fits without all logits."""
WARM = 5
STEPS = 30
IGNORED = -100
LEARNING_RATE = 2e-4

Row = tuple[list[int], list[int]]
"""A prompt and its answer."""
Batch = dict[str, Tensor]


def draw_rows(setting: Setting) -> list[Row]:
    """The prompts and chosen answers of the DPO bench's pairs."""

    def ids(text: str) -> list[int]:
        return [DIGIT + int(digit) for digit in text]

    return [
        ([BOS, *ids(pair["prompt"])], [*ids(pair["chosen"]), EOS]) for pair in draw_pairs(setting)
    ]


def batches(rows: list[Row], size: int, grouped: bool) -> list[Batch]:
    lengths = [len(prompt) + len(answer) for prompt, answer in rows]
    order = list(LengthGrouped(lengths, size, SEED)) if grouped else list(range(len(rows)))
    parts = [
        [rows[row] for row in order[start : start + size]] for start in range(0, len(order), size)
    ]
    return [collate(part) for part in parts]


def collate(rows: list[Row]) -> Batch:
    return {
        "input_ids": padded([prompt + answer for prompt, answer in rows], PAD),
        "attention_mask": padded([[1] * len(prompt + answer) for prompt, answer in rows], 0),
        "labels": padded([[IGNORED] * len(prompt) + answer for prompt, answer in rows], IGNORED),
    }


def loss_of(model: Any, batch: Batch, head: Head | None) -> Tensor:
    """The mean over the batch's answer tokens, by transformers, or through Stemma's head."""
    if head is None:
        return model(**batch, use_cache=False).loss
    labels = batch["labels"][:, 1:]
    answers = labels != IGNORED
    given = {name: batch[name] for name in ("input_ids", "attention_mask")}
    hidden = backbone(model)(**given, use_cache=False).last_hidden_state[:, :-1]
    return -score_tokens(hidden[answers], labels[answers], head, measure=False).logps.mean()


def measure(kind: str, setting: Setting, small: bool) -> dict[str, Any]:
    warm, steps = (1, 4) if small else (WARM, STEPS)
    forget_peak(setting.device)
    torch.manual_seed(SEED)
    model = get_peft_model(make_model(setting), make_adapter())
    head = frozen_head(model) if kind == OWN else None
    if isinstance(head, str):
        raise TypeError(f"the bench's model has no frozen head: {head}")
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=LEARNING_RATE, fused=setting.device == "cuda")
    made = batches(draw_rows(setting), KINDS[kind], grouped=kind == OWN)
    model.train()
    taken: list[Batch] = []
    started = finished(setting.device)
    for number, batch in enumerate(rounds(made, warm + steps, setting.device)):
        if number == warm:
            started = finished(setting.device)
            taken = []
        with torch.autocast(setting.device, dtype=torch.bfloat16, enabled=setting.device == "cuda"):
            loss = loss_of(model, batch, head)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        taken.append(batch)
    seconds = finished(setting.device) - started
    return figures(kind, setting, taken, seconds) | {
        "trainable": sum(weight.numel() for weight in trained),
        "loss": float(loss.detach()),
        "peak_gb": peak(setting.device) / 1e9 or None,
    }


def rounds(made: list[Batch], steps: int, device: str) -> Iterator[Batch]:
    for batch in islice(cycle(made), steps):
        yield {name: values.to(device) for name, values in batch.items()}


def figures(kind: str, setting: Setting, taken: list[Batch], seconds: float) -> dict[str, Any]:
    """Counted behind the clock, of the batches that it timed."""
    tokens = sum(int(batch["attention_mask"].sum()) for batch in taken)
    answers = sum(int((batch["labels"] != IGNORED).sum()) for batch in taken)
    every = sum(batch["input_ids"].numel() for batch in taken)
    length = tokens / sum(len(batch["input_ids"]) for batch in taken)
    flops = training_flops(training(setting, kind), tokens, 1, length)
    if (
        kind == OWN
    ):  # forward and the hidden states' gradient, 2 each, of the tokens that pass the head by
        flops -= 4 * setting.hidden * setting.vocabulary * (tokens - answers)
    return {
        "name": kind,
        "steps": len(taken),
        "tokens": tokens,
        "tokens_per_second": tokens / seconds,
        "tokens_a_row": length,
        "padding": 1 - tokens / every,
        "tflops": flops / seconds / 1e12,
        "dtype": str(setting.dtype).removeprefix("torch."),
    }


def training(setting: Setting, kind: str) -> CostSettings:
    """The FLOPs that `stemma.plan.costs` counts.

    For LoRA that is 4 x weights x tokens, and attention (see `training_flops`).
    """
    return CostSettings(
        shapes=model_shapes(setting),
        rank=8,
        targets=("q_proj", "v_proj"),
        preference=False,
        precomputed=False,
        checkpointing=False,
        logits="stemma" if kind == OWN else "all",
        length=1024,
        sequences=KINDS[kind],
        bytes=setting.dtype.itemsize,
        quantised=None,
        moments=8,
        zero=0,
        gpus=1,
    )


def main() -> None:
    arguments = parse(__doc__)
    setting = choose(arguments.device, arguments.small)
    for kind in [arguments.kind] if arguments.kind else KINDS:
        print_figures("sft", **measure(kind, setting, arguments.small))
        gc.collect()


if __name__ == "__main__":
    main()
