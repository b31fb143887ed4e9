"""The tokenizer of a recipe's base model where it lies on this machine, before anything trains; nothing is fetched.

The one file here that knows `tokenizers`. A model made on the spot has none before its stage `base` has run.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from stemma.recipe import Recipe
from stemma.runs import Run

if TYPE_CHECKING:
    from tokenizers import Tokenizer

FILE = "tokenizer.json"


def find_tokenizer(recipe: Recipe, run: Run) -> Path | None:
    """Its tokenizer.json; the other files of the model's folder lie beside it."""
    if recipe.base:
        path = run.folder("base") / "merged" / FILE
        return path if path.is_file() else None
    folder = Path(str(recipe.base_model))
    if folder.is_dir():
        return folder / FILE if (folder / FILE).is_file() else None
    return _in_the_cache(str(recipe.base_model), recipe.base_revision)


def _in_the_cache(name: str, revision: str | None) -> Path | None:
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        found = try_to_load_from_cache(name, FILE, revision=revision)
    except HFValidationError:  # a folder that is not there
        return None
    return Path(found) if isinstance(found, str) else None


def load_tokenizer(path: Path) -> Tokenizer:
    from tokenizers import Tokenizer

    return Tokenizer.from_file(str(path))
