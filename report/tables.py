"""The report's tables: scores per variant, data counts, times, provenance. Pure: evidence in, cells out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from report.evidence import Evidence, Table
from report.lineage import made
from report.readable import MISSING, day, fixed, interval, number, size, took
from stemma.chain import TRAINED
from stemma.rows import Score


@dataclass(frozen=True)
class Column:
    """A measure of the variant table: which score it shows, and how: two places are a share of 1, which gets a bar."""

    title: str
    task: str
    metric: str
    places: int = 0
    write: Callable[[float], str] | None = None
    beside: str = ""
    """Another share of the same rows, told in the note: what could not be decided."""


COLUMNS = (
    Column("MCQ accuracy", "mcq", "accuracy", places=2),
    Column("Reward accuracy", "preference", "reward_accuracy", places=2),
    Column("Reward margin", "preference", "reward_margin", places=3),
    Column("Generated answers right", "generation", "accuracy", places=2, beside="undecided"),
    Column("Size", "speed", "size_bytes", write=size),
    Column("Prompt tok/s", "speed", "prompt_tokens_per_second", write=number),
    Column("Decode tok/s", "speed", "decode_tokens_per_second", write=number),
    Column("Peak memory", "speed", "peak_memory_bytes", write=size),
)


@dataclass(frozen=True)
class Figure:
    """One score in its cell: its interval and n as `note`, the difference to merged, the share a bar can show."""

    title: str
    text: str = MISSING
    note: str = ""
    difference: str = ""
    verdict: str = ""
    share: Score | None = None
    chance: float | None = None


@dataclass(frozen=True)
class VariantRow:
    name: str
    made: str
    shipped: bool
    figures: list[Figure]


def variant_rows(evidence: Evidence) -> list[VariantRow]:
    """One row per evaluated variant, in the recipe's order; what was not measured is a dash."""
    recipe = evidence.recipe
    return [
        VariantRow(
            name=name,
            made=made(recipe, name),
            shipped=name == recipe.export.ship,
            figures=[_figure(evidence, name, column) for column in COLUMNS],
        )
        for name in recipe.variants()
        if name in recipe.eval.variants
    ]


def _figure(evidence: Evidence, variant: str, column: Column) -> Figure:
    score = evidence.score(variant, column.task, column.metric)
    if score is None:
        return Figure(column.title)
    if column.write:
        spread = ""
        if score.low is not None and score.high is not None:
            spread = f"{column.write(score.low)}–{column.write(score.high)}, n = {score.n}"
        return Figure(column.title, column.write(score.value), spread)
    if column.task == "preference" and variant == evidence.recipe.eval.reference:
        return Figure(column.title, note="is the reference")
    share = score if column.places == 2 else None
    note = f"{interval(score.low, score.high, column.places)} n = {score.n:,}".strip()
    if column.beside and (beside := evidence.score(variant, column.task, column.beside)):
        note += f", {column.beside} {fixed(beside.value, column.places)}"
    return Figure(
        column.title,
        fixed(score.value, column.places),
        note,
        *_difference(evidence.score(variant, column.task, f"{column.metric}_minus_merged")),
        share=share,
        chance=evidence.chance(column.task) if share else None,
    )


def _difference(score: Score | None) -> tuple[str, str]:
    """The paired difference to merged in words, and what to think of it."""
    if score is None:
        return "", ""
    bounds = interval(score.low, score.high, 3, signed=True)
    return f"{fixed(score.value, 3, signed=True)} {bounds}".strip(), verdict(score)


def verdict(score: Score) -> str:
    """`better` or `worse` when the whole interval of a difference lies on one side of zero."""
    if score.low is None or score.high is None or score.low <= 0 <= score.high:
        return ""
    return "better" if score.low > 0 else "worse"


def sources(evidence: Evidence) -> Table:
    """read = kept + dropped, per source."""
    rows = [
        [name, c["read"], c["kept"], sum(c["dropped"].values()), c["repaired"],
         ", ".join(f"{count:,} {reason}" for reason, count in sorted(c["dropped"].items()))]
        for name, c in evidence.manifests["data"].counts["sources"].items()
    ]  # fmt: skip
    return Table(("Source", "Read", "Kept", "Dropped", "Repaired", "Why dropped"), rows)


def sets(evidence: Evidence) -> Table:
    """Sizes of the data sets by part."""
    parts = ("train", "validation", "test")
    counts = evidence.manifests["data"].counts["sets"]
    return Table(("Set", *parts), [[name, *(sizes.get(part) for part in parts)] for name, sizes in counts.items()])


def trained(evidence: Evidence) -> Table:
    """What a training stage made of a data file: rows and tokens used, rows left out for their length."""
    names = ("rows", "left_out_longer_than_sequence_len", "tokens", "trained_tokens")
    counts = {stage: m.counts for stage, m in evidence.manifests.items() if stage in TRAINED}
    rows = [[stage, part, *(c[name] for name in names)] for stage, parts in counts.items() for part, c in parts.items()]
    return Table(("Stage", "Part", "Rows", "Left out, too long", "Tokens", "of these trained"), rows)


def scored(evidence: Evidence) -> Table:
    """Test rows the evaluation scored and skipped."""
    rows = [[task, c["scored"], c["skipped"]] for task, c in evidence.manifests["eval"].counts.items()]
    return Table(("Task", "Test rows scored", "Skipped"), rows)


def times(evidence: Evidence) -> Table:
    rows = [[stage, took(m.start, m.end), day(m.end), m.reused_from] for stage, m in evidence.manifests.items()]
    return Table(("Stage", "Took (h:mm:ss)", "Ended", "Reused from"), rows)


def scores(evidence: Evidence) -> Table:
    """Every score, also those without a column: nothing measured is left out."""
    found = sorted(evidence.scores, key=lambda score: (score.task, score.metric, score.variant))
    rows = [[s.task, s.metric, s.variant, s.value, interval(s.low, s.high, 3), s.n] for s in found]
    return Table(("Task", "Metric", "Variant", "Value", "95% interval", "n"), rows)


def provenance(evidence: Evidence) -> Table:
    recipe, manifest = evidence.recipe, evidence.manifests["eval"]
    rows: list[list[object]] = [
        ["Recipe", recipe.name],
        ["Seed", str(recipe.seed)],
        ["Overrides", ", ".join(recipe.overrides) or "none"],
        ["Git commit", manifest.git_commit[:12]],
        ["Hardware", manifest.hardware],
        ["Versions", ", ".join(f"{name} {version}" for name, version in manifest.versions.items())],
    ]
    return Table(("Made", "with"), rows)
