"""The report's tables: scores per variant, data counts, times. Pure: evidence in, cells of text out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from markupsafe import Markup

from report.chart import interval_bar
from report.evidence import TRAINED, Evidence
from report.readable import MISSING, between, day, duration, fixed, interval, rate, size
from stemma.rows import Score

Kind = Literal["share", "nats", "bytes", "rate"]
Verdict = Literal["", "better", "worse"]


@dataclass(frozen=True)
class Column:
    """A measure of the variant table: which score it shows and how."""

    title: str
    task: str
    metric: str
    kind: Kind
    higher_is_better: bool = True


COLUMNS = (
    Column("MCQ accuracy", "mcq", "accuracy", "share"),
    Column("Reward accuracy", "preference", "reward_accuracy", "share"),
    Column("Reward margin", "preference", "reward_margin", "nats"),
    Column("Generated answers right", "generation", "accuracy", "share"),
    Column("Size", "speed", "size_bytes", "bytes", higher_is_better=False),
    Column("Prompt tok/s", "speed", "prompt_tokens_per_second", "rate"),
    Column("Decode tok/s", "speed", "decode_tokens_per_second", "rate"),
    Column("Peak memory", "speed", "peak_memory_bytes", "bytes", higher_is_better=False),
)


@dataclass(frozen=True)
class Cell:
    """One figure: `text`, its interval and n as `note`, the difference to merged, and a small bar for a share."""

    title: str
    text: str = MISSING
    note: str = ""
    difference: str = ""
    verdict: Verdict = ""
    bar: Markup | None = None


@dataclass(frozen=True)
class VariantRow:
    name: str
    made: str
    shipped: bool
    cells: list[Cell]


def variant_rows(evidence: Evidence) -> list[VariantRow]:
    """One row per evaluated variant, in the recipe's order; what was not measured is a dash."""
    recipe = evidence.recipe
    return [
        VariantRow(
            name=name,
            made=made_from(evidence, name),
            shipped=name == recipe.export.ship,
            cells=[_cell(evidence, name, column) for column in COLUMNS],
        )
        for name in recipe.variants()
        if name in recipe.eval.variants
    ]


def made_from(evidence: Evidence, variant: str) -> str:
    """In a few words, what the variant is."""
    recipe = evidence.recipe
    if variant == "base":
        return "made on the spot" if recipe.base else str(recipe.base_model)
    if variant in recipe.training_stages():
        return f"LoRA on {recipe.stage(variant).start_from}, merged"
    if variant == "merged":
        return f"{recipe.export.from_} in {recipe.export.merge.dtype}"
    return {"bnb": "bitsandbytes", "gguf": "llama.cpp"}[variant.split("-")[0]]


def chance_of(evidence: Evidence, column: Column) -> float | None:
    """What guessing would score."""
    if column.metric == "reward_accuracy":
        return 0.5
    return evidence.chance() if column.task == "mcq" and column.kind == "share" else None


def _cell(evidence: Evidence, variant: str, column: Column) -> Cell:
    score = evidence.score(variant, column.task, column.metric)
    if score is None:
        files = evidence.weights(variant) if column.metric == "size_bytes" else None
        return Cell(column.title, size(files.bytes)) if files else Cell(column.title)
    if column.kind in ("bytes", "rate"):
        return Cell(column.title, _WRITE[column.kind](score.value))
    if column.task == "preference" and variant == evidence.recipe.eval.reference:
        return Cell(column.title, note="is the reference")
    places = 2 if column.kind == "share" else 3
    difference, verdict = _difference(evidence, variant, column)
    chance = chance_of(evidence, column)
    bar = interval_bar(score.value, score.low, score.high, chance) if column.kind == "share" else None
    note = " ".join(part for part in (interval(score.low, score.high, places), f"n = {score.n:,}") if part)
    return Cell(column.title, fixed(score.value, places), note, difference, verdict, bar)


_WRITE: dict[Kind, Callable[[float], str]] = {"bytes": size, "rate": rate}


def _difference(evidence: Evidence, variant: str, column: Column) -> tuple[str, Verdict]:
    """The paired difference to merged in words, and whether its interval excludes zero."""
    score = evidence.score(variant, column.task, f"{column.metric}_minus_merged")
    if score is None or variant == "merged":
        return "", ""
    text = f"{fixed(score.value, 3, signed=True)} {interval(score.low, score.high, 3, signed=True)}".strip()
    return text, verdict_of(score, column.higher_is_better)


def verdict_of(score: Score, higher_is_better: bool = True) -> Verdict:
    """`better` or `worse` when the whole interval lies on one side of zero."""
    if score.low is None or score.high is None or score.low <= 0 <= score.high:
        return ""
    return "better" if (score.low > 0) == higher_is_better else "worse"


@dataclass(frozen=True)
class SourceRow:
    """read = kept + dropped, per source."""

    source: str
    read: int
    kept: int
    dropped: list[tuple[str, int]]

    @property
    def balanced(self) -> bool:
        return self.read == self.kept + sum(count for _, count in self.dropped)


def source_rows(evidence: Evidence) -> list[SourceRow]:
    found: dict[str, Any] = evidence.manifests["data"].counts["sources"]
    return [SourceRow(name, c["read"], c["kept"], sorted(c["dropped"].items())) for name, c in found.items()]


@dataclass(frozen=True)
class SetRow:
    name: str
    parts: dict[str, int]


PARTS = ("train", "validation", "test")


def set_rows(evidence: Evidence) -> list[SetRow]:
    """Sizes of the data sets by part; a part without rows is left out."""
    return [SetRow(name, dict(parts)) for name, parts in evidence.manifests["data"].counts["sets"].items()]


@dataclass(frozen=True)
class TrainedRow:
    """What a training stage made of a data file: rows and tokens used, rows left out for their length."""

    stage: str
    part: str
    rows: int
    left_out: int
    tokens: int
    trained_tokens: int


def trained_rows(evidence: Evidence) -> list[TrainedRow]:
    """One row per part a training stage read; the counts are its manifest's."""
    return [
        TrainedRow(stage, part, c["rows"], c["left_out_longer_than_sequence_len"], c["tokens"], c["trained_tokens"])
        for stage, manifest in evidence.manifests.items()
        if stage in TRAINED
        for part, c in manifest.counts.items()
    ]


def scored_rows(evidence: Evidence) -> list[tuple[str, int, int]]:
    """(task, rows scored, rows skipped) of the evaluation."""
    return [(task, c["scored"], c["skipped"]) for task, c in evidence.manifests["eval"].counts.items()]


@dataclass(frozen=True)
class TimeRow:
    stage: str
    took: str
    end: str
    reused_from: str


def time_rows(evidence: Evidence) -> list[TimeRow]:
    return [
        TimeRow(stage, duration(between(m.start, m.end)), day(m.end), m.reused_from or "")
        for stage, m in evidence.manifests.items()
    ]


def other_scores(evidence: Evidence) -> Sequence[Score]:
    """Every score, also those without a column: nothing measured is left out."""
    return sorted(evidence.scores, key=lambda score: (score.task, score.metric, score.variant))
