"""The device under measurement: what the bench needs of it, its clock, its memory, and how a part says a figure."""

from __future__ import annotations

import argparse
import json
import time
from importlib.util import find_spec
from typing import Any

import torch

from bench.conditions import processor
from stemma.errors import Problem, UserError

NEEDED_GB = 70
"""Stock trainers keep all logits of a batch in fp32, several times: tens of GB for Gemma's vocabulary."""
NEEDED_PACKAGES = ("axolotl", "trl", "liger_kernel", "peft")
FIGURE = '{"part": '
"""How a line with a figure begins; between such lines the engines say what they like."""


def parse(description: str | None) -> argparse.Namespace:
    """What every part takes, and a few may ignore."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--small", action="store_true", help="a small model and a few rows, to try the script")
    parser.add_argument("--kind", help="one contestant only, where the part can tell them apart")
    return parser.parse_args()


def require(device: str, small: bool) -> None:
    """Raises UserError, all problems at once, when the bench cannot run here."""
    missing = [name for name in NEEDED_PACKAGES if find_spec(name) is None]
    problems = []
    if missing:
        found = f"{', '.join(missing)} not installed"
        problems.append(Problem("bench.gpu", found, "the environment of `make setup`", "run `make setup`"))
    if device == "cuda" and not torch.cuda.is_available():
        hint = "`--device cpu --small` tries the same code on a CPU; a CUDA build of torch comes with `make setup`"
        problems.append(Problem("bench.gpu", "no CUDA device", f"a GPU with {NEEDED_GB} GB free (H100, H200)", hint))
    elif device == "cuda" and not small and (free := torch.cuda.mem_get_info()[0] / 1e9) < NEEDED_GB:
        found, hint = f"{free:.0f} GB free on {hardware(device)}", "end other programs on it, or add `--small`"
        problems.append(Problem("bench.gpu", found, f"{NEEDED_GB} GB free", hint))
    if problems:
        raise UserError(problems)


def hardware(device: str) -> str:
    if device == "cpu":
        return processor()
    properties = torch.cuda.get_device_properties(0)
    return f"one {properties.name}, {properties.total_memory / 1e9:.0f} GB; {processor()}"


def finished(device: str) -> float:
    """The time when all that was asked of the device is done."""
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def forget_peak(device: str) -> None:
    if device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def allocated(device: str) -> int:
    return torch.cuda.memory_allocated() if device == "cuda" else 0


def peak(device: str) -> int:
    return torch.cuda.max_memory_allocated() if device == "cuda" else 0


def say(part: str, **figures: Any) -> None:
    """One line for whoever collects the figures; a part that is cut short keeps those it has said."""
    print(json.dumps({"part": part, **figures}), flush=True)


def said(output: str) -> list[dict[str, Any]]:
    """The figures among the lines of a part's output."""
    return [json.loads(line) for line in output.splitlines() if line.startswith(FIGURE) and line.endswith("}")]
