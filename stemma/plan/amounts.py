"""Rows and tokens of a training stage: measured where data is there, else estimated."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from statistics import mean

from stemma.base_model.files import template_of
from stemma.base_model.tokenizer import find_tokenizer, load_tokenizer
from stemma.jsonl import read_rows
from stemma.recipe.check import READS
from stemma.recipe.data import SourceOptions
from stemma.recipe.models import Recipe
from stemma.rows import Row
from stemma.runs import Run
from stemma.stages import Forecast
from stemma.templates import Template
from stemma.training.rows import ROWS, Tokenize, sample, tokenizing

CHARACTERS_PER_TOKEN = 4
"""Characters of English text under today's tokenizers, where there is none to ask; mathematics and
code take more tokens, as does everything with few pieces: 2 to 3 characters a token with 800 of
them."""
ASSUMED = (150, 200)
"""Tokens of a prompt and of one answer of a student's STEM questions, where there is no text to
count yet."""
SAMPLED = 2000
"""Rows looked at, evenly spread over all, which takes a second or two."""
OUTLIERS = 16
"""The longest rows, so many, are looked at as well, for the longest sequence."""


@dataclass(frozen=True)
class Amount:
    """The rows of one training stage and their tokens."""

    rows: int | None
    """None: unknown."""
    prompt: float
    """Mean tokens of a prompt."""
    answer: float
    """Mean tokens of one answer."""
    longest: float
    """Tokens of the longest sequence."""
    origin: str
    """The source of these figures, in words."""

    @property
    def tokens(self) -> float:
        """Mean tokens of a sequence: a prompt with one answer."""
        return self.prompt + self.answer


def amount(recipe: Recipe, run: Run, stage: str, counted: Forecast | None = None) -> Amount:
    """The best figures there are before training: of the finished data, of its sources as
    `counted`, of the recipe's limits, or what the recipe says to expect."""
    longest = recipe.training_settings(stage)["sequence_len"]
    if run.read_manifest("data") is not None:
        rows = read_rows(run.output("data", f"{READS[stage]}/train"), ROWS[stage])
        return measure(recipe, run, rows, longest, "data")
    if counted is not None:
        return _of_sources(recipe, run, stage, counted, longest)
    stated, origin = _stated(recipe, stage)
    return _assumed(stated, longest, origin)


def measure(recipe: Recipe, run: Run, rows: Sequence[Row], limit: int, origin: str) -> Amount:
    """Rows that train and their tokens, from a sample of `rows`.

    Rows longer than `limit` are left out, as in training.
    """
    size, how = _sizing(recipe, run)
    stride = max(1, -(-len(rows) // SAMPLED))
    looked = size(rows[::stride])
    fitting = [sequences for sequences in looked if max(map(sum, sequences)) <= limit]
    if not fitting:
        return _assumed(0, limit, origin)
    if stride > 1:
        how += f", 1 row of {stride} looked at"
        outliers = heapq.nlargest(OUTLIERS, rows, key=lambda row: len(row.model_dump_json()))
        looked_for_length = [*fitting, *size(outliers)]
    else:
        looked_for_length = fitting
    lengths = [max(map(sum, sequences)) for sequences in looked_for_length]
    return Amount(
        rows=round(len(rows) * len(fitting) / len(looked)),
        prompt=_mean_of(fitting, 0),
        answer=_mean_of(fitting, 1),
        longest=max(length for length in lengths if length <= limit),
        origin=f"{origin}; {how}",
    )


def _mean_of(rows: list[Sequences], place: int) -> float:
    """The mean over rows, each row's own sequences averaged first."""
    return sum(mean(one[place] for one in sequences) for sequences in rows) / len(rows)


Sequences = list[tuple[float, float]]
"""One row: (tokens of its prompt, tokens of an answer) for each of its answers."""


def _sizing(recipe: Recipe, run: Run) -> tuple[Callable[[Sequence[Row]], list[Sequences]], str]:
    """A function that counts the sequences of rows, and in words how it does so."""
    template, tokenize = _reader(recipe, run)

    def size(rows: Sequence[Row]) -> list[Sequences]:
        samples = [sample(row, template) for row in rows]
        texts = [text for one in samples for text in (one.prompt, *one.answers)]
        if tokenize:
            sizes: Iterator[float] = iter([len(ids) for ids in tokenize(texts)])
        else:
            sizes = iter([len(text) / CHARACTERS_PER_TOKEN for text in texts])
        found = []
        for one in samples:
            prompt = next(sizes)
            found.append([(prompt, next(sizes)) for _ in one.answers])
        return found

    if tokenize:
        return size, "counted by the tokenizer"
    return size, f"{CHARACTERS_PER_TOKEN} characters a token, no tokenizer"


def _reader(recipe: Recipe, run: Run) -> tuple[Template, Tokenize | None]:
    """The template with the model's own tokens, and its tokenizer, if its files are there."""
    path = find_tokenizer(recipe, run)
    return template_of(recipe, run), _tokenizing(path) if path else None


@cache
def _tokenizing(path: Path) -> Tokenize:
    """Read once for all stages: Gemma's takes a second."""
    return tokenizing(load_tokenizer(path))


def _of_sources(recipe: Recipe, run: Run, stage: str, counted: Forecast, longest: int) -> Amount:
    rows, generated = counted.rows[READS[stage]], counted.generated[READS[stage]]
    if not rows:
        return _assumed(generated, longest, "rows to be generated")
    origin = f"sources, {generated:,} to be generated" if generated else "sources"
    there = measure(recipe, run, rows, longest, origin)
    return replace(there, rows=(there.rows or 0) + generated)


def _assumed(rows: int | None, longest: int, origin: str) -> Amount:
    prompt, answer = (size * min(1.0, longest / sum(ASSUMED)) for size in ASSUMED)
    return Amount(rows, prompt, answer, longest, f"{origin}; {prompt + answer:,.0f} tokens assumed")


def _stated(recipe: Recipe, stage: str) -> tuple[int | None, str]:
    rows, expected = limits(recipe, stage), recipe.data.sets()[READS[stage]].expected_rows
    if rows is not None:
        return rows, "limits of the recipe"
    return expected, "expected by the recipe" if expected else "no `make data` yet, no limits"


def limits(recipe: Recipe, stage: str) -> int | None:
    """The training rows the recipe asks for: the set's `total`, else each source's `sample` or its
    share of `limit`.

    None when a source is bounded by neither.
    """
    dataset = recipe.data.sets()[READS[stage]]
    if dataset.total is not None:
        return dataset.total
    training = 1 - dataset.parts.validation - dataset.parts.test
    rows = [
        _asked(source, training) for source in dataset.sources if source.use in ("train", "split")
    ]
    return None if None in rows else round(sum(row for row in rows if row is not None))


def _asked(source: SourceOptions, training: float) -> float | None:
    """Training rows of one source; `training` is the share of its rows that is not held out."""
    share = training if source.use == "split" else 1.0
    there = source.limit * share if source.limit is not None else None
    sample = source.sample.get("train")
    if isinstance(sample, int):
        return min(sample, there) if there is not None else sample
    return there * (sample or 1.0) if there is not None else None
