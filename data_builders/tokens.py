"""Rows as tokens before anything trains, without torch: the proof on every row, and the picture of one.

A model made on the spot has no tokenizer yet when its data are built; there the same proof (stemma/training_rows.py)
runs when training starts, as it always does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from data_builders.drafts import Placed
from stemma.axolotl import DEFAULTS
from stemma.recipe import Recipe
from stemma.runs import Run
from stemma.templates import Template
from stemma.tokenizer import find_tokenizer, load_tokenizer
from stemma.training_rows import Sample, count, sample, tokenizing

if TYPE_CHECKING:
    from tokenizers import Tokenizer

LATER = "no tokenizer yet: the same proof runs when training starts"


def preflight(recipe: Recipe, run: Run, rows: Sequence[Placed]) -> dict[str, Any]:
    """What training will count, per set and part: rows, those longer than its `sequence_len`, tokens, trained tokens.

    Raises GateFailed when a row is not what the template says: two `<bos>`, an untrained stop token, an empty answer.
    """
    path = None if recipe.base else find_tokenizer(recipe, run)
    if path is None:
        return {"said": LATER}
    template, tokenize = Template.read(recipe.template), tokenizing(load_tokenizer(path))
    found: dict[str, Any] = {"template": recipe.chat_template, "tokenizer": recipe.base_model}
    for stage in recipe.training_stages():
        longest = (DEFAULTS | recipe.axolotl(stage))["sequence_len"]
        for part in ("train", "validation"):
            samples = (sample(p.row, template) for p in rows if (p.kind, p.part) == (stage, part))
            counts = count(samples, tokenize, template.bos, template.stop(), longest)
            found[f"{stage}/{part}"] = {**counts, "sequence_len": longest}
    return found


def picture(one: Sample, tokenizer: Tokenizer) -> Iterator[str]:
    """Each answer's sequence, tokens divided by `|`, the trained ones in `[[ … ]]`, and how many there are."""
    prompt = tokenizer.encode(one.prompt, add_special_tokens=False).tokens
    for answer in one.answers:
        trained = tokenizer.encode(answer, add_special_tokens=False).tokens
        told = f"{len(prompt) + len(trained)} tokens, {len(trained)} trained: "
        yield told + _joined(prompt) + " [[ " + _joined(trained) + " ]]"


def _joined(tokens: Sequence[str]) -> str:
    return "|".join(tokens)
