"""SFT on one GPU by Axolotl's own config, data, model loader and trainer.

Run `python -m bench.gpu.sft --kind stock` or `--kind fast`.

`stock` is the recipe gemma2b-sft-dpo as it stands; `fast` packs sequences, takes Liger's kernels
and its fused linear cross-entropy, and fused AdamW. Weights are random and made on the device. One
process a kind, because Liger patches the model's classes. Tokens are counted without padding.
"""

from __future__ import annotations

import random
import tempfile
from pathlib import Path
from typing import Any

import torch
from axolotl.cli.config import load_cfg
from axolotl.common.datasets import load_datasets
from axolotl.train import setup_model_and_tokenizer
from axolotl.utils.trainer import setup_trainer
from transformers import TrainerCallback

from bench.dpo_setting import Setting
from bench.gpu.device import finished, forget_peak, peak, print_figures
from bench.gpu.needs import parse
from bench.gpu.settings import SEED, choose, model_config, model_shapes
from stemma.jsonl import write_json, write_jsonl
from stemma.plan.costs import training_flops
from stemma.plan.settings import CostSettings
from stemma.recipe.load import load
from tests.factories.models import write_tokenizer

RECIPE = "gemma2b-sft-dpo"
WARM = 5
STEPS = 30
FAST = {
    "sample_packing": True,
    "sequence_len": 2048,
    "micro_batch_size": 4,
    "optimizer": "adamw_torch_fused",
}
ON_GPU = {
    "plugins": ["axolotl.integrations.liger.LigerPlugin"],
    "tf32": True,
    **dict.fromkeys(
        (
            "liger_rope",
            "liger_rms_norm",
            "liger_glu_activation",
            "liger_fused_linear_cross_entropy",
        ),
        True,
    ),
}
"""Liger's kernels are Triton's, which a CPU has not."""


class Meter(TrainerCallback):
    """Seconds and tokens of the steps after the warm ones."""

    def __init__(self, device: str, warm: int) -> None:
        self.device, self.warm = device, warm
        self.started = self.seconds = 0.0
        self.tokens: list[torch.Tensor] = []
        self.padded = self.rows = 0

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == self.warm:
            self.started, self.tokens, self.padded = finished(self.device), [], 0

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.seconds = finished(self.device) - self.started

    def count(self, batch: dict[str, torch.Tensor]) -> None:
        # On the device, without waiting for it; 0 is the padding's id, which no text holds.
        self.tokens.append((batch["input_ids"] != 0).sum())
        self.padded += batch["input_ids"].numel()

    def counted(self) -> int:
        return sum(int(count) for count in self.tokens)


def keys(kind: str, setting: Setting, small: bool) -> dict[str, Any]:
    """Axolotl's keys for this run.

    They are the recipe's, those of `fast`, and what one process with a bounded run needs.
    """
    recipe = load(RECIPE)
    found = recipe.training_settings("sft")
    if kind == "fast":
        found |= FAST | (ON_GPU if setting.device == "cuda" else {})
        found |= {"sequence_len": 512} if small else {}
    for dropped in ("deepspeed", "save_steps"):  # one process, no launcher; nothing is kept
        found.pop(dropped, None)
    found |= {"bf16": setting.device == "cuda", "fp16": False, "gradient_checkpointing": False}
    warm, steps = (1, 4) if small else (WARM, STEPS)
    return found | {
        "max_steps": warm + steps,
        "save_strategy": "no",
        "seed": SEED,
        "reinit_weights": True,
    }


def write_rows(path: Path, setting: Setting, count: int) -> float:
    """Conversations of random digits, each a token, as long as the DPO bench's.

    Also their mean length with its <bos>.
    """
    source = random.Random(SEED)
    lengths = [
        (source.randint(*setting.prompt), source.randint(*setting.answer)) for _ in range(count)
    ]

    def digits(length: int) -> str:
        return "".join(source.choices("0123456789", k=length))

    parts = [[(False, digits(prompt)), (True, digits(answer))] for prompt, answer in lengths]
    write_jsonl(
        path,
        [{"segments": [{"label": label, "text": text} for label, text in row]} for row in parts],
    )
    return sum(map(sum, lengths)) / count + 1


def make_trainer(folder: Path, given: dict[str, Any], setting: Setting) -> Any:
    """As `axolotl train` makes it, but that the weights are made on the device."""
    data = {
        "path": str(folder / "rows.jsonl"),
        "ds_type": "json",
        "split": "train",
        "type": "input_output",
    }
    paths = {
        "base_model": str(folder),
        "datasets": [data],
        "dataset_prepared_path": str(folder / "prepared"),
    }
    write_json(folder / "axolotl.yml", given | paths | {"output_dir": str(folder / "training")})
    cfg = load_cfg(str(folder / "axolotl.yml"))
    meta = load_datasets(cfg=cfg)
    with torch.device(setting.device):
        model, tokenizer, peft_config, processor = setup_model_and_tokenizer(cfg)
    return setup_trainer(
        cfg,
        meta.train_dataset,
        None,
        model,
        tokenizer,
        processor,
        meta.total_num_steps,
        peft_config=peft_config,
    )


def measure(kind: str, setting: Setting, small: bool) -> dict[str, Any]:
    folder = Path(tempfile.mkdtemp(prefix="stemma-bench-"))
    given = keys(kind, setting, small)
    write_json(folder / "config.json", model_config(setting))
    write_tokenizer(folder)
    length = write_rows(folder / "rows.jsonl", setting, 64 if small else 800)
    forget_peak(setting.device)
    trainer = make_trainer(folder, given, setting)
    steps = given["max_steps"]
    meter = Meter(setting.device, 1 if small else WARM)
    trainer.add_callback(meter)
    whole_step = trainer.training_step

    def counted_step(model: Any, batch: dict[str, torch.Tensor], *rest: Any, **named: Any) -> Any:
        meter.count(batch)
        return whole_step(model, batch, *rest, **named)

    trainer.training_step = counted_step
    trainer.train()
    tokens = meter.counted()
    rate = training_flops(training(setting, given), tokens, 1, length) / meter.seconds
    trainable = sum(p.numel() for p in trainer.model.parameters() if p.requires_grad)
    return {
        "name": kind,
        "steps": steps - meter.warm,
        "tokens": tokens,
        "tokens_per_second": tokens / meter.seconds,
        "tokens_a_row": length,
        "padding": 1 - tokens / meter.padded,
        "tflops": rate / 1e12,
        "peak_gb": peak(setting.device) / 1e9 or None,
        "trainable": trainable,
        "loss": trainer.state.log_history[-1]["train_loss"],
        "dtype": str(setting.dtype).removeprefix("torch."),
        "keys": {name: given[name] for name in sorted({*FAST, *ON_GPU} & given.keys())},
    }


def training(setting: Setting, given: dict[str, Any]) -> CostSettings:
    """The FLOPs that `stemma.plan.costs` counts.

    For LoRA that is 4 x weights x tokens, and attention (see `training_flops`).
    """
    return CostSettings(
        shapes=model_shapes(setting),
        rank=given["lora_r"],
        targets=tuple(given["lora_target_modules"]),
        preference=False,
        precomputed=False,
        checkpointing=False,
        logits="liger" if "liger_fused_linear_cross_entropy" in given else "all",
        length=given["sequence_len"],
        sequences=given["micro_batch_size"],
        bytes=setting.dtype.itemsize,
        quantised=None,
        moments=8,
        zero=0,
        gpus=1,
    )


def main() -> None:
    arguments = parse(__doc__)
    setting = choose(arguments.device, arguments.small)
    for kind in [arguments.kind] if arguments.kind else ("stock", "fast"):
        print_figures("sft", **measure(kind, setting, arguments.small))


if __name__ == "__main__":
    main()
