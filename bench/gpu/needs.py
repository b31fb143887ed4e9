"""What the GPU bench is told and what it needs: asked before any engine is imported, so that a missing one is an error
to read and no traceback."""

from __future__ import annotations

import argparse
from importlib.util import find_spec

from stemma.errors import Problem, UserError

GPU_GB = 70
"""Stock trainers keep all logits of a batch, several times over: tens of GB for Gemma's vocabulary."""
PACKAGES = ("torch", "axolotl", "trl", "liger_kernel", "peft")


def parse(description: str | None) -> argparse.Namespace:
    """What every part takes, and a few may ignore."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--small", action="store_true", help="a small model and a few rows, to try the script")
    parser.add_argument("--kind", help="one contestant only, where the part can tell them apart")
    return parser.parse_args()


def require(device: str, small: bool) -> None:
    """Raises UserError when the bench cannot run here."""
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        found = f"{', '.join(missing)} not installed"
        raise UserError(Problem("bench.gpu", found, "the environment of `make setup`", "run `make setup`"))
    if device == "cuda":
        _require_gpu(0 if small else GPU_GB)


def _require_gpu(gigabytes: int) -> None:
    import torch

    if not torch.cuda.is_available():
        hint = "`--device cpu --small` tries the same code on a CPU; a CUDA build of torch comes with `make setup`"
        raise UserError(Problem("bench.gpu", "no CUDA device", f"a GPU with {GPU_GB} GB free (H100, H200)", hint))
    free = torch.cuda.mem_get_info()[0] / 1e9
    if free < gigabytes:
        found = f"{free:.0f} GB free on {torch.cuda.get_device_name()}"
        raise UserError(
            Problem("bench.gpu", found, f"{gigabytes} GB free", "end other programs on it, or add `--small`")
        )
