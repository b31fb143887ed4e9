"""The Axolotl plugin: it runs inside the training processes. One concern a file:

`cpu` (DeepSpeed without an accelerator) · `evidence` (what the gates read; the stop at a non-finite loss) · `ranks`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from axolotl.integrations.base import BasePlugin
from transformers import set_seed

from stemma.child import die_with_stemma
from stemma.plugin.cpu import let_deepspeed_run_on_cpu
from stemma.plugin.evidence import Record, record_first_step, stop_at_non_finite_loss
from stemma.plugin.ranks import rank


class StemmaPlugin(BasePlugin):
    """Registered by `plugins:` in every rendered Axolotl file."""

    def __init__(self) -> None:
        super().__init__()
        self.record = Record()

    def register(self, cfg: dict[str, Any]) -> None:
        die_with_stemma()
        if not torch.cuda.is_available():
            let_deepspeed_run_on_cpu(cfg)

    def pre_lora_load(self, cfg: Any, model: Any) -> None:
        set_seed(cfg.seed)

    def post_model_load(self, cfg: Any, model: Any) -> None:
        # DPO makes its LoRA weights after this hook, SFT before it: both need the seed (Axolotl sets it for neither).
        set_seed(cfg.seed)

    def post_trainer_create(self, cfg: Any, trainer: Any) -> None:
        output = Path(cfg.output_dir)
        trainer.add_callback(self.record)
        stop_at_non_finite_loss(trainer, output)
        record_first_step(trainer, output)

    def post_train_unload(self, cfg: Any) -> None:
        if rank() == 0:
            self.record.mark_completed(Path(cfg.output_dir))
