"""The places of a stage's weights, for recipes that start from a model of the user's own."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from stemma.errors import UserError
from stemma.jsonl import write_json
from stemma.recipe.load import load
from stemma.runs import Run
from stemma.stages import Work
from stemma.weights import attention_of, weights_of
from tests.factories.models import tiny_model

Write = Callable[..., Path]
BASE = "base:\n  model: {hidden_size: 32}\n  tokenizer: {vocab_size: 400}\n  learning_rate: 1e-3\n"


def work_on(base_model: Path, write_recipe: Write) -> Work:
    recipe = load(str(write_recipe((BASE, f"base_model: {base_model}\n"))), [])
    return Work(recipe, Run(Path("runs/small")), "sft", print)


def test_a_local_folder_is_taken_as_it_is(tmp_path: Path, write_recipe: Write) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "gemma"}')
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).write_text("{}")
    work = work_on(folder, write_recipe)
    with pytest.raises(UserError, match=r"^small\.yml: base_model .* has no \*\.safetensors\n"):
        weights_of(work, "base")
    (folder / "model.safetensors").write_bytes(b"")
    with pytest.raises(UserError, match=r"model\.safetensors: cut off: 0 bytes"):
        weights_of(work, "base")
    shutil.copytree(tiny_model(), folder, dirs_exist_ok=True)
    assert weights_of(work, "base") == folder
    (folder / "config.json").write_text("{")
    with pytest.raises(UserError, match=r"config\.json: not valid JSON"):
        weights_of(work, "base")


def test_what_is_neither_a_folder_nor_on_the_hub_is_the_users_to_fix(
    tmp_path: Path, write_recipe: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    work = work_on(tmp_path / "nothing", write_recipe)
    with pytest.raises(
        UserError, match=r"a folder with config\.json, or the name of a model on the hub"
    ):
        weights_of(work, "base")


def test_capped_attention_is_not_for_sdpa(tmp_path: Path) -> None:
    write_json(tmp_path / "config.json", {"model_type": "gemma2", "attn_logit_softcapping": 50.0})
    assert attention_of(tmp_path) == "eager"
    write_json(
        tmp_path / "config.json", {"model_type": "gemma3_text", "attn_logit_softcapping": None}
    )
    assert attention_of(tmp_path) == "sdpa"
