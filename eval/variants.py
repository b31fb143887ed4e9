"""Where each variant's weights lie, and which engine runs them."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from stemma.stages import Work

MODEL_FILES = ["*.json", "*.safetensors", "*.jinja", "tokenizer.model"]


def kind_of(variant: str) -> Literal["hf", "gguf"]:
    return "gguf" if variant.startswith("gguf-") else "hf"


def weights_of(work: Work, variant: str) -> Path:
    """The variant's folder or file, by the manifest of the stage that made it."""
    if variant == "base":
        return work.input("base", "merged") if work.recipe.base else _given(work)
    if variant in work.recipe.training_stages():
        return work.input(variant, "merged")
    return work.input("export", variant)


def _given(work: Work) -> Path:
    """The folder of `base_model`, fetched from the hub at its revision when it is no local folder."""
    name = work.recipe.base_model
    assert name is not None
    if Path(name).is_dir():
        return Path(name)
    from huggingface_hub import snapshot_download

    return Path(snapshot_download(name, revision=work.recipe.base_revision, allow_patterns=MODEL_FILES))
