"""The software and the machine that made a manifest's outputs: packages, commit, hardware."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from stemma import ROOT

ENGINES = (
    "axolotl",
    "torch",
    "transformers",
    "peft",
    "trl",
    "deepspeed",
    "bitsandbytes",
    "datasets",
    "llama-cpp-python",
)
"""Packages whose version can change what a stage makes."""


def versions() -> dict[str, str]:
    """Python's version and those of the installed engines."""
    found = {"python": platform.python_version()}
    for name in ENGINES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def git_commit() -> str:
    """The checkout's commit, or `unknown`."""
    command = ["git", "-C", str(ROOT), "rev-parse", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:  # a laptop without git
        return "unknown"
    return done.stdout.strip() or "unknown"


def hardware() -> dict[str, str | int]:
    """The processor, the system, the number of cores, memory, and the GPUs where there are any."""
    found: dict[str, str | int] = {
        "machine": platform.machine(),
        "system": platform.system(),
        "cores": os.cpu_count() or 0,
    }
    if name := processor():
        found["processor"] = name
    if memory := memory_bytes():
        found["memory_bytes"] = memory
    if names := gpus():
        found["gpus"] = names
    return found


def processor(path: Path = Path("/proc/cpuinfo")) -> str:
    """The processor's name, as Linux tells it; empty where it tells none."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "")


def memory_bytes() -> int:
    """The machine's memory; 0 where the system does not tell it."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return 0


def gpus() -> str:
    """The GPUs' names and memory, as NVIDIA's driver tells them; empty where there is none."""
    command = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return "; ".join(done.stdout.split("\n")).strip("; ") if done.returncode == 0 else ""
