"""The plugin itself: what it does at each of Axolotl's hooks."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Any

import torch
from axolotl.integrations.base import BasePlugin, PluginManager
from transformers import set_seed

from stemma.plugin.cpu import (
    let_bfloat16_train_on_cpu,
    let_deepspeed_run_on_cpu,
    look_for_no_gpus,
    refuse_ranks_apart,
)
from stemma.plugin.evidence import EvidenceRecorder, record_first_step, stop_at_non_finite_loss
from stemma.plugin.on_ray import count_all_workers, take_gloo
from stemma.plugin.ranks import rank
from stemma.plugin.saving import copy_trained_weights_only
from stemma.plugin.sealing import given, guard_checkpoints
from stemma.plugin.step_mean import average_over_the_step
from stemma.plugin.steps import StepsTaken
from stemma.plugin.telling import StepsTold, begin, tell
from stemma.processes import die_with_stemma
from stemma.recipe.sections import DpoTrainer as Options
from stemma.training.foreign_plugins import foreign


class StemmaPlugin(BasePlugin):
    """The plugin that every rendered Axolotl file names under `plugins:`."""

    def __init__(self) -> None:
        super().__init__()
        self.record = EvidenceRecorder()
        self.model: Any = None
        self.given: dict[str, Any] = {}

    def get_input_args(self) -> str:
        return "stemma.plugin.args.StemmaArgs"

    def register(self, cfg: dict[str, Any]) -> None:
        die_with_stemma()
        if found := foreign():
            raise RuntimeError("; ".join(map(str, found)))
        self.given = given(cfg)
        if cfg.get("output_dir"):  # Axolotl asks plugins for their keys alone, too
            begin(Path(cfg["output_dir"]))
        tell("reading the rows")
        if cfg.get("use_ray"):
            count_all_workers(cfg)
        if not torch.cuda.is_available():
            if cfg.get("use_ray"):
                take_gloo()
            refuse_ranks_apart(cfg)
            look_for_no_gpus()
            let_deepspeed_run_on_cpu(cfg)
            let_bfloat16_train_on_cpu(cfg)

    def load_datasets(self, cfg: Any, preprocess: bool = False) -> None:
        # Axolotl seeds when it loads the model, but counts a packed training's steps before, on
        # orders it draws: their number, and with it the rates, would be others in each attempt.
        set_seed(cfg.seed)

    def pre_model_load(self, cfg: Any) -> None:
        tell("loading the model")

    def post_model_load(self, cfg: Any, model: Any) -> None:
        tell("preparing the trainer")
        self.model = model

    def get_trainer_cls(self, cfg: Any) -> Any:
        if not cfg.stemma_dpo:
            return None
        from stemma.plugin.dpo import StemmaDpoTrainer

        options = Options.model_validate(dict(cfg.stemma_dpo))
        kept = Path(cfg.stemma_references) if cfg.stemma_references else None
        # Axolotl gives its own trainer the model as first argument, a plugin's none.
        return partial(StemmaDpoTrainer, self.model, options=options, kept=kept)

    def get_training_args(self, cfg: Any) -> dict[str, Any]:
        precomputes = cfg.stemma_dpo and cfg.stemma_dpo.precompute_reference
        return {"precompute_ref_log_probs": True} if precomputes else {}

    def post_trainer_create(self, cfg: Any, trainer: Any) -> None:
        output = Path(cfg.output_dir)
        trainer.add_callback(self.record)
        trainer.add_callback(StepsTold())
        self.record.describe = getattr(trainer, "describe", dict)
        self.record.plugins = sorted(PluginManager.get_instance().plugins)
        self.record.callbacks = trainer.callback_handler.callbacks
        steps = StepsTaken(trainer, output)
        trainer.add_callback(steps)
        self.record.skipped = steps.count
        self.record.binding = guard_checkpoints(trainer, output, self.given)
        if cfg.deepspeed:
            copy_trained_weights_only(trainer.accelerator)
        if cfg.stemma_loss_average == "step":
            average_over_the_step(trainer)
        stop_at_non_finite_loss(trainer, output)
        record_first_step(trainer, output)

    def post_train_unload(self, cfg: Any) -> None:
        # Axolotl 0.21 comes here by a `finally`, after a failure too: that must neither be passed
        # over nor covered.
        has_failed = sys.exc_info()[0] is not None
        if rank() == 0 and not has_failed:
            self.record.conclude(Path(cfg.output_dir), adapter=bool(cfg.adapter))
