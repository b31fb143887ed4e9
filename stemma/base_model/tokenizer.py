"""Tokenizer of a recipe's base model, where it lies on this machine. Nothing is fetched.

The one file of this folder that knows the package `tokenizers`. A model made on the spot has no
tokenizer before its stage `base` has run.
"""

from __future__ import annotations

import ast
import hashlib
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from stemma import LLAMA_CPP
from stemma.base_model.files import TOKENIZER, tokenizer_folder
from stemma.recipe.models import Recipe
from stemma.runs import Run

if TYPE_CHECKING:
    from tokenizers import Tokenizer

CONVERTER = LLAMA_CPP / "conversion" / "base.py"


def find_tokenizer(recipe: Recipe, run: Run) -> Path | None:
    """The base model's tokenizer.json, its other files beside it; None where one is missing."""
    folder = tokenizer_folder(recipe, run)
    return folder / TOKENIZER if folder else None


def load_tokenizer(path: Path) -> Tokenizer:
    from tokenizers import Tokenizer

    return Tokenizer.from_file(str(path))


def converter_knows(folder: Path) -> bool:
    """Whether llama.cpp's converter takes the folder's tokenizer.

    It tells byte-pair tokenizers by a hash over the ids that they make of one text, and stops at
    any other. True also where the converter's source is not on this machine.
    """
    if (folder / "tokenizer.model").is_file() or not CONVERTER.is_file():
        return True
    tokenizer = load_tokenizer(folder / TOKENIZER)
    if "ByteLevel" not in str(tokenizer.pre_tokenizer):
        return True
    tokenizer.no_truncation()
    tokenizer.no_padding()
    text, hashes = _known_hashes()
    found = {
        str(tokenizer.encode(text, add_special_tokens=special).ids) for special in (True, False)
    }
    return any(hashlib.sha256(ids.encode()).hexdigest() in hashes for ids in found)


@cache
def _known_hashes() -> tuple[str, frozenset[str]]:
    """The converter's text, and the hashes it compares with (`get_vocab_base_pre`)."""
    code = CONVERTER.read_text(encoding="utf-8")
    [text] = re.findall(r"^ +chktxt = (\'.*\')$", code, re.MULTILINE)
    return ast.literal_eval(text), frozenset(re.findall(r'chkhsh == "([0-9a-f]{64})"', code))
