"""The trainers that the DPO benches compare, each made on the same weights, adapter and pairs.

`stock`: Axolotl's trainer. `chunked`: the same with `dpo_use_liger_kernel: true`, by which TRL puts
the answers alone through the head, in tiles. `trl`: TRL's DPOTrainer, the one installed
(`newest_trl` has another). `ours`: Stemma's, which stands on Axolotl's, or on TRL's where Axolotl
is not installed, or is a plain loop of its parts where TRL is not either (`plain_dpo`). `plain`:
that loop with whole logits, for comparison where TRL is not installed.

Engines are imported for the trainer that needs them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from importlib.util import find_spec
from typing import Any

import torch

from bench.dpo_setting import (
    LOSS_ONLY,
    Setting,
    Switches,
    draw_pairs,
    make_adapter,
    make_model,
    make_tokenizer,
    stir,
)
from bench.plain_dpo import PlainLoop

LIGER = ("rope", "rms_norm", "geglu", "swiglu", "cross_entropy", "fused_linear_cross_entropy")

ON_AXOLOTL = "Stemma's trainer on Axolotl's, as recipes run it"
ON_TRL = "Stemma's trainer on TRL's, because Axolotl is not installed"
PLAIN = (
    "Stemma's own loss, batches and reference in a plain loop, because TRL is not installed: "
    "what a trainer costs "
    "around them is not in it"
)

NEEDS: Mapping[str, tuple[str, ...]] = {
    "stock": ("axolotl", "trl", "datasets"),
    "chunked": ("axolotl", "trl", "datasets", "liger_kernel"),
    "trl": ("trl", "datasets"),
    "ours": (),
    "plain": (),
}
"""Modules beyond torch, transformers and peft."""


def missing(kind: str) -> list[str]:
    """The modules that it needs and that are not here."""
    return [name for name in NEEDS[kind] if find_spec(name) is None]


def how_ours() -> str:
    """What `ours` stands on here."""
    if all(find_spec(name) for name in (*NEEDS["stock"], "pydantic")):
        return ON_AXOLOTL
    return ON_TRL if all(find_spec(name) for name in (*NEEDS["trl"], "pydantic")) else PLAIN


def make_trainer(kind: str, setting: Setting, switches: Switches = LOSS_ONLY) -> Any:
    """One of them, ready to step."""
    torch.manual_seed(0)
    if kind == "plain" or (kind == "ours" and how_ours() == PLAIN):
        return PlainLoop(setting, switches if kind == "ours" else None)
    trainer = _on_trl(kind, setting, switches)
    stir(trainer.model, setting.device)
    trainer.current_gradient_accumulation_steps = 1
    trainer.create_optimizer()
    return trainer


def _on_trl(kind: str, setting: Setting, switches: Switches) -> Any:
    from datasets import Dataset, disable_progress_bars

    disable_progress_bars()
    trainer_class, arguments_class = _classes(kind)
    settings: dict[str, Any] = {}
    if kind == "chunked":
        # Liger's kernels, which the key also switches on, are Triton's and take part in no
        # comparison of the loss.
        settings = {"use_liger_kernel": True, "liger_kernel_config": dict.fromkeys(LIGER, False)}
    args = arguments_class(
        output_dir=tempfile.mkdtemp(prefix="stemma-bench-"),
        per_device_train_batch_size=setting.pairs,
        seed=0,
        max_length=None,
        use_cpu=setting.device == "cpu",
        bf16=setting.device != "cpu",
        report_to=[],
        remove_unused_columns=False,
        gradient_checkpointing=False,
        disable_tqdm=True,
        precompute_ref_log_probs=kind == "ours" and switches.precompute_reference,
        **settings,
    )
    given = {
        "args": args,
        "train_dataset": Dataset.from_list(draw_pairs(setting)),
        "processing_class": make_tokenizer(),
        "peft_config": make_adapter(),
    }
    if kind == "ours":
        from stemma.recipe.sections import DpoTrainer as Options

        given["options"] = Options(**asdict(switches))
    return trainer_class(make_model(setting), **given)


def _classes(kind: str) -> tuple[Any, Any]:
    """The trainer and its arguments.

    TRL's own come without Axolotl, which may not know their version.
    """
    from trl import DPOConfig, DPOTrainer

    if kind == "trl":
        return DPOTrainer, DPOConfig
    if kind == "ours" and how_ours() == ON_TRL:
        from stemma.plugin.dpo_on_trl import DpoOnTrl

        return DpoOnTrl, DPOConfig
    from axolotl.core.trainers.dpo.args import AxolotlDPOConfig

    if kind == "ours":
        from stemma.plugin.dpo import StemmaDpoTrainer

        return StemmaDpoTrainer, AxolotlDPOConfig
    from axolotl.core.trainers.dpo.trainer import AxolotlDPOTrainer

    return AxolotlDPOTrainer, AxolotlDPOConfig
