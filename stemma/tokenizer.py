"""The tokenizer of a recipe's base model where it lies on this machine, before anything trains; nothing is fetched.

The one file here that knows `tokenizers`. A model made on the spot has none before its stage `base` has run.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from stemma.base_files import TOKENIZER, tokenizer_folder
from stemma.recipe import Recipe
from stemma.runs import Run

if TYPE_CHECKING:
    from tokenizers import Tokenizer


def find_tokenizer(recipe: Recipe, run: Run) -> Path | None:
    """Its tokenizer.json, where the model's tokenizer lies whole; the other files lie beside it."""
    folder = tokenizer_folder(recipe, run)
    return folder / TOKENIZER if folder else None


def load_tokenizer(path: Path) -> Tokenizer:
    from tokenizers import Tokenizer

    return Tokenizer.from_file(str(path))
