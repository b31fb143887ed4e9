"""How many rows and tokens a training stage will read: measured where data is there, else an estimate that says so."""

from __future__ import annotations

from dataclasses import dataclass

from stemma.check import READS
from stemma.data_section import SourceOptions
from stemma.jsonl import read_rows
from stemma.recipe import Recipe
from stemma.runs import Run
from stemma.templates import Template
from stemma.training_rows import ROWS, sample

CHARACTERS_PER_TOKEN = 4
"""Of English text under today's tokenizers; mathematics and code take more tokens."""
ASSUMED_TOKENS = 350
"""A prompt with one answer of a student's STEM questions, where there is no text to count yet."""


@dataclass(frozen=True)
class Amount:
    """`rows` to train on (None: unknown), the mean `tokens` of a sequence, and where both figures come from."""

    rows: int | None
    tokens: float
    origin: str


def amount(recipe: Recipe, run: Run, stage: str) -> Amount:
    """The best figures there are before training: of the finished data, or of the recipe's limits."""
    longest = recipe.axolotl(stage).get("sequence_len", ASSUMED_TOKENS)
    if run.read_manifest("data") is not None:
        return _of_data(recipe, run, stage, longest)
    rows = limits(recipe, stage)
    origin = "limits of the recipe" if rows is not None else "no `make data` yet, no limits"
    return Amount(rows, min(ASSUMED_TOKENS, longest), f"{origin}; {ASSUMED_TOKENS} tokens assumed")


def _of_data(recipe: Recipe, run: Run, stage: str, longest: int) -> Amount:
    template = Template.read(recipe.template)
    rows = read_rows(run.output("data", f"{READS[stage]}/train"), ROWS[stage])
    texts = [len(s.prompt) + len(answer) for s in (sample(row, template) for row in rows) for answer in s.answers]
    mean = sum(min(length / CHARACTERS_PER_TOKEN, longest) for length in texts) / max(1, len(texts))
    return Amount(len(rows), mean, f"data; {CHARACTERS_PER_TOKEN} characters a token")


def limits(recipe: Recipe, stage: str) -> int | None:
    """The training rows the recipe asks for: the set's `total`, else each source's `sample` or its share of `limit`.

    None when a source is bounded by neither.
    """
    dataset = recipe.data.sets()[READS[stage]]
    if dataset.total is not None:
        return dataset.total
    training = 1 - dataset.parts.validation - dataset.parts.test
    rows = [_asked(source, training) for source in dataset.sources if source.use in ("train", "split")]
    return None if None in rows else round(sum(row for row in rows if row is not None))


def _asked(source: SourceOptions, training: float) -> float | None:
    """Of one source; `training` is the share of its rows that is not held out."""
    share = training if source.use == "split" else 1.0
    there = source.limit * share if source.limit is not None else None
    sample = source.sample.get("train")
    if isinstance(sample, int):
        return min(sample, there) if there is not None else sample
    return there * (sample or 1.0) if there is not None else None
