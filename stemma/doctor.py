"""Examination of the machine: each finding with what to do about it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

from stemma import ROOT
from stemma.origin import ENGINES
from stemma.processes import child_environment, run_program

PROBE = """
import torch
count = torch.accelerator.device_count() if torch.accelerator.is_available() else 0
if torch.cuda.is_available():
    name = torch.cuda.get_device_name()
else:
    name = torch.accelerator.current_accelerator()
print(f"{count} x {name}" if count else "none: everything runs on the CPU")
"""
PROBE_SECONDS = 120
FREE_GIB = 10
"""What the tiny recipe needs with its caches; a 2B model needs ten times that."""


@dataclass(frozen=True)
class Finding:
    """One fact about the machine, and whether it is as it must be."""

    mark: Literal["ok", "note", "FAIL"]
    what: str
    found: str
    hint: str = ""


def examine(runs: Path) -> Iterator[Finding]:
    """Every finding as soon as it is known."""
    found = ".".join(map(str, sys.version_info[:3]))
    is_wanted = sys.version_info[:2] == (3, 12)
    yield _required("python", found, is_wanted, "use Python 3.12 (`make setup`)")
    for name in (*ENGINES, "openai"):
        yield _package(name)
    yield _accelerator()
    yield _converter()
    compiler = shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")
    hint = "only `make setup` needs it, for llama-cpp-python"
    yield _optional("C++ compiler", compiler or "none", bool(compiler), hint)
    yield _disk(runs)
    key = "OPENAI_API_KEY" in os.environ
    hint = "only recipes whose generator is `openai` need it"
    yield _optional("OPENAI_API_KEY", "set" if key else "not set", key, hint)
    yield from _hub_token()


def _required(what: str, found: str, right: bool, hint: str) -> Finding:
    return Finding("ok", what, found) if right else Finding("FAIL", what, found, hint)


def _optional(what: str, found: str, there: bool, hint: str) -> Finding:
    return Finding("ok", what, found) if there else Finding("note", what, found, hint)


def _package(name: str) -> Finding:
    try:
        return Finding("ok", name, version(name))
    except PackageNotFoundError:
        return Finding("FAIL", name, "not installed", "run `make setup`")


def _accelerator() -> Finding:
    """The accelerator, by torch in a process of its own: a broken driver may hang or crash it."""
    command = [sys.executable, "-c", PROBE]
    try:
        done = run_program(command, child_environment(), timeout_seconds=PROBE_SECONDS)
    except subprocess.TimeoutExpired:
        found = f"torch did not answer in {PROBE_SECONDS} s"
        return Finding("FAIL", "accelerator", found, "check the driver (nvidia-smi)")
    said = (done.stderr if done.returncode else done.stdout).strip().splitlines()
    text = said[-1] if said else "torch ended"
    return _required("accelerator", text, done.returncode == 0, "run `make setup`")


def _converter() -> Finding:
    scripts = (ROOT / ".cache").glob("*/vendor/llama.cpp/convert_hf_to_gguf.py")
    found = ", ".join(str(path.relative_to(ROOT)) for path in scripts)
    text = found or "not in .cache"
    return _required("llama.cpp converter", text, bool(found), "run `make setup`")


def _hub_token() -> Iterator[Finding]:
    """The token for the hub; nothing where the hub's client is not installed."""
    try:
        from huggingface_hub import get_token
    except ImportError:
        return
    there = get_token() is not None
    hint = "only gated models (Gemma, Llama) need it: accept the licence on the model's page first"
    how = "then `.venv/bin/hf auth login`"
    yield _optional("hub token", "set" if there else "not set", there, f"{hint}, {how}")


def _disk(runs: Path) -> Finding:
    folder = next(path for path in (runs, *runs.absolute().parents) if path.exists())
    gib = shutil.disk_usage(folder).free / 2**30
    found = f"{gib:.0f} GiB at {folder}"
    return _required("free disk", found, gib >= FREE_GIB, f"{FREE_GIB} GiB are needed")
