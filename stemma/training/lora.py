"""An adapter read as plain products: which tensors of its base it changes, and by what.

W' = W + s * (B @ A) in float32, s = alpha / rank, or alpha / sqrt(rank) with rank-stabilised LoRA
(arXiv:2106.09685, 2312.03732). What else PEFT can put into an adapter (DoRA, trained biases, whole
layers) is left to PEFT.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import Tensor

from stemma.jsonl import read_json

PREFIX = "base_model.model."
FIGURES = {"r", "lora_alpha", "rank_pattern", "alpha_pattern", "use_rslora"}
"""Keys of the adapter's config that the products are made from."""
NO_MATTER = {
    *(
        "peft_type",
        "peft_version",
        "task_type",
        "base_model_name_or_path",
        "revision",
        "auto_mapping",
    ),
    *("inference_mode", "lora_dropout", "target_modules", "exclude_modules", "layers_to_transform"),
    *("layers_pattern", "megatron_core", "qalora_group_size", "bias", "init_lora_weights"),
}
"""Keys that only training reads. Every other key, also one that is not known here, must be off."""
PLAIN_STARTS = (True, False, "gaussian")
"""First values of A and B that leave the base as it is: others subtract from it (PiSSA, OLoRA,
LoftQ)."""


class Lora:
    """The matrices of an adapter, and what they add to its base."""

    def __init__(self, adapter: Path) -> None:
        self._config = read_json(adapter / "adapter_config.json")
        self._tensors = load_file(adapter / "adapter_model.safetensors")

    def touched(self) -> set[str]:
        """The base's tensors that differ once this adapter is merged."""
        found = set()
        for key in self._tensors:
            module = key.removeprefix(PREFIX)
            for mark in (".lora_", ".modules_to_save."):
                module = module.split(mark)[0]
            found |= {module, module.removesuffix(".weight") + ".weight", f"{module}.bias"}
        return found

    def beyond(self, names: Iterable[str]) -> str | None:
        """The reason why this adapter is no sum of plain products for a base with these tensors.

        None where it is one.
        """
        config = self._config
        more = [key for key, value in config.items() if key not in FIGURES | NO_MATTER and value]
        if more:
            return f"it has {', '.join(sorted(more))}"
        if config["peft_type"] != "LORA" or config["bias"] != "none":
            return f"it is {config['peft_type']} with bias {config['bias']}"
        if config["init_lora_weights"] not in PLAIN_STARTS:
            return f"it started from {config['init_lora_weights']}"
        pairs = {f"{PREFIX}{name}.lora_{side}.weight" for name in self._modules() for side in "AB"}
        strange = (pairs ^ set(self._tensors)) | (
            {f"{name}.weight" for name in self._modules()} - set(names)
        )
        return f"{min(strange)} has no counterpart" if strange else None

    def added_to(self, name: str) -> Tensor | None:
        """The float32 values that merging adds to the tensor `name`; None where it adds nothing."""
        module = name.removesuffix(".weight")
        if module not in self._modules():
            return None
        a, b = (self._tensors[f"{PREFIX}{module}.lora_{side}.weight"].float() for side in "AB")
        return (b @ a) * self._scale(module)

    def _modules(self) -> dict[str, None]:
        mark = ".lora_A.weight"
        keys = [key for key in self._tensors if key.endswith(mark)]
        return dict.fromkeys(key.removeprefix(PREFIX).removesuffix(mark) for key in keys)

    def _scale(self, module: str) -> float:
        from peft.utils.other import get_pattern_key

        config: dict[str, Any] = self._config
        ranks, alphas = config["rank_pattern"], config["alpha_pattern"]
        rank = ranks.get(get_pattern_key(ranks.keys(), module), config["r"])
        alpha = alphas.get(get_pattern_key(alphas.keys(), module), config["lora_alpha"])
        return float(alpha / math.sqrt(rank) if config["use_rslora"] else alpha / rank)
