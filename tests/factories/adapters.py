"""A LoRA adapter on a tiny model, as training leaves it: its B is not zero."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def make_adapter(start: Path, folder: Path, scale: float = 0.05, **settings: Any) -> Path:
    """Write an adapter on q_proj and v_proj of the model in `start`.

    `scale` is the standard deviation of B: with 0 it never trained. `settings` are PEFT's.
    """
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(1)
    plain = {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "v_proj"]}
    lora = LoraConfig(**(plain | settings), task_type="CAUSAL_LM")
    model: Any = get_peft_model(AutoModelForCausalLM.from_pretrained(start), lora)
    for name, weight in model.named_parameters():
        if "lora_B" in name or "lora_embedding_A" in name or ".modules_to_save." in name:
            weight.data = torch.randn_like(weight) * scale
    model.save_pretrained(folder)
    return folder
