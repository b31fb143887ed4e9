"""Rows as tokens before anything trains, without torch: a proof on every row that it trains as the
template says, and a row's tokens as text.

A model made on the spot has no tokenizer yet when its data are built; there the same proof
(stemma/training/rows.py) runs when training starts, as it always does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from data_builders.filters.clean import special_tokens
from data_builders.flow import NO_TOKENS, Placed
from stemma.base_model.files import TOKENIZER, added_first, tokenizer_folder
from stemma.base_model.tokenizer import load_tokenizer
from stemma.recipe.models import Recipe
from stemma.recipe.prompts import PromptFiles
from stemma.recipe.raft import Raft
from stemma.retrieval.context import Contexts
from stemma.runs import Run
from stemma.templates import Template, read_special_tokens
from stemma.training.rows import Sample, count, sample, tokenizing

if TYPE_CHECKING:
    from tokenizers import Tokenizer

CHARACTERS_A_TOKEN = 3
"""Fewer than English has by any tokenizer but the smallest: contexts turn out shorter, not longer,
than their budget."""
LATER = "no tokenizer yet: the same proof runs when training starts"


def refuse_unfit_template(recipe: Recipe, run: Run) -> None:
    """Before any row is built: raises GateFailed when the template's first or stop token is not one
    of the model's, and UserError when the tokenizer begins every text with one that the template
    does not write."""
    if recipe.base:
        added_first(recipe, Template.read(recipe.template), adds=True)
    if reading := _reading(recipe, run):
        template, tokenizer = reading
        added_first(recipe, template, adds=tokenizer.encode("a").tokens[:1] == [template.bos])
        count((), tokenizing(tokenizer), template.first, template.stop(), 0)


def preflight(recipe: Recipe, run: Run, rows: Sequence[Placed]) -> dict[str, Any]:
    """Count as training will, per set and split: rows, those longer than its `sequence_len`,
    tokens, trained tokens.

    Raises GateFailed when a row is not what the template says: two `<bos>`, an untrained stop
    token, an empty answer.
    """
    reading = _reading(recipe, run)
    if reading is None:
        return {"said": LATER}
    template = reading[0]
    tokenize = tokenizing(reading[1])
    found: dict[str, Any] = {"template": recipe.chat_template, "tokenizer": recipe.base_name}
    for stage in recipe.training_stages():
        longest = recipe.training_settings(stage)["sequence_len"]
        for split in ("train", "validation"):
            samples = (sample(p.row, template) for p in rows if (p.kind, p.split) == (stage, split))
            counts = count(samples, tokenize, template.first, template.stop(), longest)
            found[f"{stage}/{split}"] = {**counts, "sequence_len": longest}
    return found


def _reading(recipe: Recipe, run: Run) -> tuple[Template, Tokenizer] | None:
    """The template and tokenizer that the base model reads rows with; None for a base made on the
    spot, or one that is not on this machine."""
    folder = None if recipe.base else tokenizer_folder(recipe, run)
    if folder is None:
        return None
    return Template.read(recipe.template, folder), load_tokenizer(folder / TOKENIZER)


def contexts_of(recipe: Recipe, run: Run, settings: Raft) -> tuple[Contexts, str]:
    """What puts passages before training rows' questions, and how it counts tokens: by the model's
    own tokenizer, or for a model made on the spot by characters."""
    prompt = PromptFiles(recipe.path.parent).path(settings.prompt)
    folder = None if recipe.base else tokenizer_folder(recipe, run)
    if folder is None:
        counted = f"estimated: {CHARACTERS_A_TOKEN} characters a token"
        own: list[str] = []
        counting: Callable[[str], int] = _estimate
    else:
        counted = "by the model's own tokenizer"
        own = read_special_tokens(folder / TOKENIZER)
        counting = _counting(load_tokenizer(folder / TOKENIZER))
    return Contexts(prompt, counting, settings.max_tokens, own, "data.sft.raft.max_tokens"), counted


def _estimate(text: str) -> int:
    return -(-len(text) // CHARACTERS_A_TOKEN)


def _counting(tokenizer: Tokenizer) -> Callable[[str], int]:
    return lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids)


def own_tokens(recipe: Recipe, run: Run) -> re.Pattern[str]:
    """The special tokens of the model that trains on these rows, where its tokenizer is on this
    machine already."""
    folder = None if recipe.base else tokenizer_folder(recipe, run)
    return special_tokens(read_special_tokens(folder / TOKENIZER)) if folder else NO_TOKENS


def picture(one: Sample, tokenizer: Tokenizer) -> Iterator[str]:
    """Each answer's sequence, tokens divided by `|`, the trained ones in `[[ … ]]`, and how many
    there are."""
    prompt = tokenizer.encode(one.prompt, add_special_tokens=False).tokens
    for answer in one.answers:
        trained = tokenizer.encode(answer, add_special_tokens=False).tokens
        told = f"{len(prompt) + len(trained)} tokens, {len(trained)} trained: "
        yield told + _joined(prompt) + " [[ " + _joined(trained) + " ]]"


def _joined(tokens: Sequence[str]) -> str:
    return "|".join(tokens)
