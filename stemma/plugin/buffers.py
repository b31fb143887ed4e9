"""Keeps float32 buffers what they are where DeepSpeed casts a model: rotary frequencies must not be rounded.

For `bf16` (and `fp16`) its engine casts the whole module. Weights are meant; buffers go along. A frequency in bfloat16
is off by up to 0.4 %: at the 300th token an angle by more than a tenth of a radian. transformers and llama.cpp, which
use the trained model, keep frequencies in float32.
"""

from __future__ import annotations

from typing import Any

import torch


def keep_float32_buffers(engine: Any) -> None:
    """Have `engine`, DeepSpeed's class, put them back behind its cast."""
    configure = engine._configure_distributed_model

    def configured(self: Any, model: torch.nn.Module) -> None:
        kept = [
            (module, name, buffer)
            for module in model.modules()
            for name, buffer in module.named_buffers(recurse=False)
            if buffer.dtype == torch.float32
        ]
        configure(self, model)
        for module, name, buffer in kept:
            setattr(module, name, buffer.to(getattr(module, name).device))

    engine._configure_distributed_model = configured
