"""The precision of a training on a CPU where the recipe leaves it open (`bf16: auto`, the default).

Axolotl asks only whether there is a GPU: on any CPU `auto` becomes float16, which DeepSpeed refuses
there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

DECIDED = ("fp16", "float16", "bfloat16")
"""Keys that leave nothing open."""
NATIVE = ("avx512_bf16", "amx_bf16", "bf16")
"""torch's names of bfloat16 in hardware: Intel and AMD, Intel's AMX, ARM.

Each kind of CPU lists its own.
"""


def settle(config: Mapping[str, Any], gpu: bool, bfloat16: bool) -> dict[str, Any]:
    """The keys that say what `auto` comes to: bfloat16 where the CPU computes in it, else float32.

    None with a GPU or under Ray, where Axolotl decides on the worker, and none where the config has
    decided.
    """
    is_auto = config.get("bf16", "auto") in ("auto", None)
    is_decided = any(config.get(key) for key in DECIDED)
    if gpu or config.get("use_ray") or not is_auto or is_decided:
        return {}
    return {"bf16": bfloat16, "fp16": False}


def cpu_has_bfloat16() -> bool:
    """Whether this CPU multiplies bfloat16 itself: otherwise float32 is faster."""
    import torch

    has = torch.cpu.get_capabilities()
    return any(bool(has.get(name)) for name in NATIVE)
