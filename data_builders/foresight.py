"""Warnings for the stages behind the data: rows too few for their tokenizer or a batch, steps that
end within the warm-up, rows too long. They cost a night when the training tells them. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from data_builders.flow import Placed
from stemma.errors import Problem
from stemma.recipe.check import READS
from stemma.recipe.models import Recipe
from stemma.recipe.sections import FEWEST_PIECES
from stemma.rows import CorpusRow
from stemma.training.pitfalls import training_warnings

COVERAGE = 0.9999
"""Of the corpus's characters, the share that each gets a piece of its own (`train_tokenizer`)."""


def data_warnings(
    recipe: Recipe, rows: Sequence[Placed], preflight: Mapping[str, Any]
) -> Iterator[str]:
    """A sentence for each. `preflight`: rows and tokens by stage and split, where the model's
    tokenizer is known; else all rows are taken to train, which errs to no warning."""
    there = Counter(str(placed.kind) for placed in rows if placed.split == "train")
    for stage in [*(["base"] if recipe.base else []), *recipe.training_stages()]:
        counts = preflight.get(f"{stage}/train") or {"rows": there[READS[stage]]}
        yield from training_warnings(stage, recipe.training_settings(stage), counts)


def tokenizer_problems(recipe: Recipe, rows: Sequence[Placed]) -> Iterator[Problem]:
    """A tokenizer with fewer pieces than the corpus has characters: it cannot be trained."""
    if recipe.base is None:
        return
    size = recipe.base.tokenizer.vocab_size
    texts = (placed.row.text for placed in rows if isinstance(placed.row, CorpusRow))
    needed = FEWEST_PIECES - 1 + len(_characters(texts))
    if needed > size:
        found = f"{size} pieces, and the corpus needs {needed} before its first word"
        hint = f"set `base.tokenizer.vocab_size` to {2 * needed} or more"
        yield Problem("base.tokenizer.vocab_size", found, f"at least {needed}", hint)


def _characters(texts: Iterator[str]) -> list[str]:
    """The characters that get a piece, as SentencePiece chooses them: all but the rarest."""
    counted: Counter[str] = Counter()
    for text in texts:
        counted.update(text)
    counted.pop("\n", None)  # it has its own pieces
    left = COVERAGE * counted.total()
    found = []
    for character, count in counted.most_common():
        if left <= 0:
            break
        found.append(character)
        left -= count
    return found
