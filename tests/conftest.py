"""Fixtures that many tests need: a folder with one small valid recipe and the files it names."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from stemma.recipe.models import Recipe

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

SMALL = """\
name: small
chat_template: templates/qa.jinja
base:
  model: {hidden_size: 32}
  tokenizer: {vocab_size: 400}
  learning_rate: 1e-3
train:
  adapter: lora
  lora_r: 8
  deepspeed: deepspeed/zero1.json
sft: {start_from: base, learning_rate: 2e-4}
dpo: {start_from: sft, rl: dpo, learning_rate: 5e-4}
data:
  sft:
    sources:
    - {source: gsm8k, path: train.jsonl}
  dpo:
    sources:
    - {source: preference_jsonl, path: pairs.jsonl}
  corpus: {sources: [{source: from_sets}]}
export:
  from: dpo
  gguf: {types: [F16, Q4_K_M]}
  ship: gguf-Q4_K_M
eval:
  variants: [base, sft, dpo, gguf-Q4_K_M]
  tasks:
  - {task: preference}
"""

Write = Callable[..., Path]


@pytest.fixture
def write_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Write a recipe into a `recipes` folder of its own.

    It is SMALL by default, with (old, new) texts replaced.
    """
    from stemma.recipe import load

    folder = tmp_path / "recipes"
    for name in ("templates", "deepspeed"):
        shutil.copytree(ROOT / "recipes" / name, folder / name)
    monkeypatch.setattr(load, "RECIPES", folder)
    monkeypatch.chdir(tmp_path)

    def write(*changes: tuple[str, str], name: str = "small", text: str = SMALL) -> Path:
        for old, new in changes:
            assert old in text, old
            text = text.replace(old, new, 1)
        path = folder / f"{name}.yml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.fixture
def recipe(write_recipe: Write, tmp_path: Path) -> Recipe:
    """The small recipe, with the files it names."""
    from stemma.recipe.load import load

    write_recipe()
    for name in ("train.jsonl", "pairs.jsonl"):
        (tmp_path / name).write_text("{}\n")
    return load("small")


@pytest.fixture
def torch_for_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forecasts as with the build of torch for CPUs, whichever lies here."""
    from stemma.plan.peaks import PROCESS, PROCESSES

    for name, size in PROCESSES["cpu"].items():
        monkeypatch.setitem(PROCESS, name, size)
