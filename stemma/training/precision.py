"""What a training computes in where the recipe leaves it open (`bf16: auto`, Axolotl's default), on a CPU.

Axolotl asks only whether there is a GPU: on any CPU `auto` becomes float16, which DeepSpeed refuses there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

DECIDED = ("fp16", "float16", "bfloat16")
"""Keys that leave nothing open."""
NATIVE = ("avx512_bf16", "amx_bf16", "bf16")
"""torch's names for it: Intel and AMD, Intel's AMX, ARM. Each kind of CPU lists its own."""


def settle(config: Mapping[str, Any], gpu: bool, bfloat16: bool) -> dict[str, Any]:
    """The keys that say what `auto` comes to on this machine: bfloat16 where the CPU computes in it, else float32.

    None with a GPU or under Ray, where Axolotl decides on the worker, and none where the config has decided.
    """
    is_open = config.get("bf16", "auto") in ("auto", None) and not any(config.get(key) for key in DECIDED)
    if gpu or config.get("use_ray") or not is_open:
        return {}
    return {"bf16": bfloat16, "fp16": False}


def cpu_has_bfloat16() -> bool:
    """Whether this CPU multiplies bfloat16 itself; one that does not is slower in it than in float32."""
    import torch

    has = torch.cpu.get_capabilities()
    return any(bool(has.get(name)) for name in NATIVE)
