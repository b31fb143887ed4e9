"""The device under measurement: its name, its clock, its memory, and how a part says a figure."""

from __future__ import annotations

import json
import time
from typing import Any

import torch

from bench.conditions import processor

FIGURE = '{"part": '
"""The beginning of a line with a figure; between such lines the engines print what they like."""


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


def print_figures(part: str, **figures: Any) -> None:
    """Print one line for whoever collects the figures.

    A part that is cut short keeps those it has printed.
    """
    print(json.dumps({"part": part, **figures}), flush=True)


def read_figures(output: str) -> list[dict[str, Any]]:
    """The figures among the lines of a part's output."""
    return [
        json.loads(line)
        for line in output.splitlines()
        if line.startswith(FIGURE) and line.endswith("}")
    ]
