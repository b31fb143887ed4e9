"""How many rows and tokens a training stage will read: measured where data is there, else an estimate that says so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stemma import axolotl
from stemma.check import READS
from stemma.data_section import SourceOptions
from stemma.jsonl import read_rows
from stemma.recipe import Recipe
from stemma.runs import Run
from stemma.stages import Forecast
from stemma.templates import Template
from stemma.training_rows import ROWS, Row, sample

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


def amount(recipe: Recipe, run: Run, stage: str, counted: Forecast | None = None) -> Amount:
    """The best figures there are before training: of the finished data, of its sources as `counted`, of the recipe's
    limits, or what the recipe says to expect."""
    longest = (axolotl.DEFAULTS | recipe.axolotl(stage))["sequence_len"]
    if run.read_manifest("data") is not None:
        rows = read_rows(run.output("data", f"{READS[stage]}/train"), ROWS[stage])
        mean = _mean_tokens(recipe, rows, longest)
        return Amount(len(rows), mean, f"data; {CHARACTERS_PER_TOKEN} characters a token")
    if counted is not None:
        return _of_sources(recipe, stage, counted, longest)
    stated, origin = _stated(recipe, stage)
    return Amount(stated, min(ASSUMED_TOKENS, longest), f"{origin}; {ASSUMED_TOKENS} tokens assumed")


def _of_sources(recipe: Recipe, stage: str, counted: Forecast, longest: int) -> Amount:
    rows, generated = counted.rows[READS[stage]], counted.generated[READS[stage]]
    origin = f"sources; {CHARACTERS_PER_TOKEN} characters a token"
    if generated:
        origin = f"sources, {generated:,} to be generated; {CHARACTERS_PER_TOKEN} characters a token"
    if not rows:
        return Amount(generated, min(ASSUMED_TOKENS, longest), f"rows to be generated; {ASSUMED_TOKENS} tokens assumed")
    return Amount(len(rows) + generated, _mean_tokens(recipe, rows, longest), origin)


def _mean_tokens(recipe: Recipe, rows: Sequence[Row], longest: int) -> float:
    template = Template.read(recipe.template)
    texts = [len(s.prompt) + len(answer) for s in (sample(row, template) for row in rows) for answer in s.answers]
    return sum(min(length / CHARACTERS_PER_TOKEN, longest) for length in texts) / max(1, len(texts))


def _stated(recipe: Recipe, stage: str) -> tuple[int | None, str]:
    rows, expected = limits(recipe, stage), recipe.data.sets()[READS[stage]].expected_rows
    if rows is not None:
        return rows, "limits of the recipe"
    return expected, "expected by the recipe" if expected else "no `make data` yet, no limits"


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
