"""Examination of the machine: each finding with what to do about it.

What must be right depends on what the environment is for: one with torch or Axolotl trains, one
with llama.cpp alone chats, any other looks at recipes.
"""

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
CHAT_PROBE = """
import llama_cpp
llama_cpp.llama_backend_init()
print(f"{llama_cpp.__version__}, loads")
"""
PROBE_SECONDS = 120
CHAT_PACKAGES = ("numpy", "model2vec", "snowballstemmer")
"""What chat uses beside llama.cpp: the last two where a recipe has passages."""
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
    if _is_installed("torch") or _is_installed("axolotl"):
        yield from _for_training(runs)
    elif _is_installed("llama-cpp-python"):
        yield from _for_chat(runs)
    else:
        yield from _for_looking()


def _for_training(runs: Path) -> Iterator[Finding]:
    found = ".".join(map(str, sys.version_info[:3]))
    is_wanted = sys.version_info[:2] == (3, 12)
    yield _required("python", found, is_wanted, "use Python 3.12 (`make setup`)")
    for name in (*ENGINES, "openai"):
        yield _package(name)
    yield _accelerator()
    yield _converter()
    yield _compiler("only `make setup` needs it, for llama-cpp-python")
    yield _disk(runs)
    key = "OPENAI_API_KEY" in os.environ
    hint = "only recipes whose generator is `openai` need it"
    yield _optional("OPENAI_API_KEY", "set" if key else "not set", key, hint)
    yield from _hub_token()


def _for_chat(runs: Path) -> Iterator[Finding]:
    yield Finding(
        "ok", "made for", "chat; to train as well: `make setup`, in a checkout of its own"
    )
    yield _python_of_laptop()
    text, works = _probe(CHAT_PROBE, "llama.cpp")
    hint = "build it anew: .venv/bin/python -m pip install --force-reinstall --no-deps "
    hint += "--no-cache-dir -c constraints.txt llama-cpp-python"
    yield _required("llama-cpp-python", text, works, hint)
    for name in CHAT_PACKAGES:
        yield _package(name, "run `make laptop`")
    yield _models(runs)


def _for_looking() -> Iterator[Finding]:
    found = "a look at recipes and runs: `check`, `show`, `diff`, `status`, `verify`"
    yield Finding("ok", "made for", found)
    yield _python_of_laptop()
    yield Finding("note", "chat", "not installed", "`make laptop`: no torch, about 8 minutes")
    yield Finding("note", "training", "not installed", "`make setup`: needs Python 3.12, 12 GB")
    yield _compiler("`make laptop` and `make setup` build llama.cpp with it")


def _python_of_laptop() -> Finding:
    found = ".".join(map(str, sys.version_info[:3]))
    right = (3, 10) <= sys.version_info[:2] <= (3, 13)
    return _required("python", found, right, "use Python 3.10 to 3.13")


def _models(runs: Path) -> Finding:
    """The runs whose export was brought along."""
    found = sorted(path.parent.parent.name for path in runs.glob("*/export/manifest.json"))
    hint = f"bring a run's `export` folder: {runs}/RECIPE/export, and `rag` where it has passages"
    return _optional("models to chat with", ", ".join(found) or "none", bool(found), hint)


def _compiler(hint: str) -> Finding:
    found = shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")
    return _optional("C++ compiler", found or "none", bool(found), hint)


def _is_installed(name: str) -> bool:
    try:
        return bool(version(name))
    except PackageNotFoundError:
        return False


def _required(what: str, found: str, right: bool, hint: str) -> Finding:
    return Finding("ok", what, found) if right else Finding("FAIL", what, found, hint)


def _optional(what: str, found: str, there: bool, hint: str) -> Finding:
    return Finding("ok", what, found) if there else Finding("note", what, found, hint)


def _package(name: str, hint: str = "run `make setup`") -> Finding:
    if _is_installed(name):
        return Finding("ok", name, version(name))
    return Finding("FAIL", name, "not installed", hint)


def _accelerator() -> Finding:
    text, works = _probe(PROBE, "torch")
    hint = "check the driver (nvidia-smi)" if "did not answer" in text else "run `make setup`"
    return _required("accelerator", text, works, hint)


def _probe(program: str, engine: str) -> tuple[str, bool]:
    """The last words of a program in a process of its own, and whether it ended well: a broken
    driver or a build for another processor may hang or crash it."""
    command = [sys.executable, "-c", program]
    try:
        done = run_program(command, child_environment(), timeout_seconds=PROBE_SECONDS)
    except subprocess.TimeoutExpired:
        return f"{engine} did not answer in {PROBE_SECONDS} s", False
    said = (done.stderr if done.returncode else done.stdout).strip().splitlines()
    return said[-1] if said else f"{engine} ended ({done.returncode})", done.returncode == 0


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
