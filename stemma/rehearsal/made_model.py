"""The model folder of a rehearsal: the base model's own config where it is at hand, random weights.

runs/rehearsals/gemma2b/model/
    config.json, generation_config.json, model-00001-of-00005.safetensors, …,
    tokenizer.json, tokenizer_config.json, tokenizer.model, made.json
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stemma.base_model.files import TOKENIZER, read_shapes, tokenizer_folder
from stemma.digests import digest_json, digest_of
from stemma.files import new_folder, remove
from stemma.jsonl import read_json, write_json
from stemma.recipe.models import Recipe
from stemma.rehearsal import random_tokenizer
from stemma.rehearsal.random_model import write_weights
from stemma.rehearsal.random_tokenizer import Wanted
from stemma.runs import Run
from stemma.shapes import PUBLISHED
from stemma.stages import forecast
from stemma.templates import Template
from stemma.training.rows import sample

MADE = "made.json"
"""The digest of what the folder was made of: another recipe, seed or depth makes another."""


def config_of(recipe: Recipe, run: Run, layers: int | None) -> Any:
    """transformers' config of the recipe's base model, with `layers` of its layers (None: all).

    Raises UserError where the model's shapes are not known.
    """
    from transformers import AutoConfig

    known = read_shapes(recipe, run)
    origin = Path(known.origin)
    if origin.is_file():
        config = AutoConfig.from_pretrained(origin)
    else:
        published = dict(PUBLISHED[str(recipe.base_model)])
        config = AutoConfig.for_model(published.pop("model_type"), **published)
    config.num_hidden_layers = layers or known.layers
    if getattr(config, "layer_types", None):
        config.layer_types = config.layer_types[: config.num_hidden_layers]
    config.dtype = "bfloat16"
    return config


def has_weights(recipe: Recipe, run: Run) -> bool:
    """Whether the base model's own weights lie on this machine, or the recipe makes its own."""
    folder = tokenizer_folder(recipe, run)
    return recipe.base is not None or (folder is not None and any(folder.glob("*.safetensors")))


def make(config: Any, full: Recipe, recipe: Recipe, run: Run, say: Callable[[str], None]) -> str:
    """Make `run`'s model, whole or not at all; returns `done` or `up to date`.

    It stands for the base model of `full`. Where that one's tokenizer is not at hand, one is learnt
    from the rows of `recipe`, which is `full` shortened.
    """
    target = run.root / "model"
    config = copy.deepcopy(config)
    real = tokenizer_folder(full, run)
    made = {
        "config": config.to_dict(),
        "seed": full.seed,
        "tokenizer": real and digest_of(real / TOKENIZER),
        "data": recipe.data.content(),
    }
    if (target / MADE).is_file() and read_json(target / MADE) == digest_json(made):
        return "up to date"
    remove(target)  # at once: the disk may not hold two
    with new_folder(target) as part:
        if real is not None:
            say(f"the tokenizer of {real}")
            ids = random_tokenizer.copy_tokenizer(real, part)
        else:
            texts = _texts(config, recipe, run, say)
            template = Template.read(recipe.template).text
            wanted = Wanted(config.model_type, config.vocab_size, template)
            ids = random_tokenizer.write_tokenizer(wanted, texts, part)
        say(f"{write_weights(config, full.seed, part):,} random weights")
        _write_configs(config, ids, part)
        write_json(part / MADE, digest_json(made))
    return "done"


def _texts(config: Any, recipe: Recipe, run: Run, say: Callable[[str], None]) -> list[str]:
    """The texts a tokenizer is learnt from; none for a family whose byte pairs are at hand."""
    if not config.model_type.startswith("gemma"):
        return []
    template = Template.unfilled(recipe.template)
    rows = [row for rows in forecast(recipe, run, say).rows.values() for row in rows]
    samples = [sample(row, template) for row in rows]
    texts = [one.prompt + answer for one in samples for answer in one.answers]
    filled = f"filled up to {config.vocab_size:,} pieces"
    say(f"a tokenizer learnt from {len(texts):,} texts, {filled}")
    return texts


def _write_configs(config: Any, ids: dict[str, Any], folder: Path) -> None:
    from transformers import GenerationConfig

    for name, value in ids.items():
        setattr(config, name, value)
    config.save_pretrained(folder)
    GenerationConfig(**ids).save_pretrained(folder)
