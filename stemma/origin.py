"""The software and the machine that made a manifest's outputs: packages, commit, hardware."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version

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
    """The processor's kind, the system, and the number of cores."""
    return {
        "machine": platform.machine(),
        "system": platform.system(),
        "cores": os.cpu_count() or 0,
    }
