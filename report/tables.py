"""The report's tables: scores per variant, data counts, times, provenance. Pure: evidence in, cells
out."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from report.lineage import made
from report.readable import MISSING, day, fixed, interval, number, size, took
from report.run_data import RunData, Table
from stemma.recipe.eval_tasks import BENCHMARK
from stemma.rows import Score


@dataclass(frozen=True)
class Column:
    """A measure of the variant table: the score it shows, and how."""

    title: str
    task: str
    metric: str
    places: int = 0
    """Two places are a share of 1, which gets a bar."""
    write: Callable[[float], str] | None = None
    beside: str = ""
    """Another share of the same rows, told in the note: what could not be decided."""
    counted: str = ""
    """A count of rows, told in the note where there are any."""


COLUMNS = (
    Column("MCQ accuracy", "mcq", "accuracy", places=2),
    Column("Reward accuracy", "preference", "reward_accuracy", places=2),
    Column("Reward margin", "preference", "reward_margin", places=3),
    Column(
        "Generated answers right",
        "generation",
        "accuracy",
        places=2,
        beside="undecided",
        counted="empty",
    ),
    Column("Size", "speed", "size_bytes", write=size),
    Column("Prompt tok/s", "speed", "prompt_tokens_per_second", write=number),
    Column("Decode tok/s", "speed", "decode_tokens_per_second", write=number),
    Column("Peak memory", "speed", "peak_memory_bytes", write=size),
)


FURTHER = {
    "win_rate_half_ties": "Win rate, {task}",
    "chrf": "chrF++",
    "acc": "{task}",
    "exact_match:strict-match": "{task}",
}
"""Metrics of other tasks that have a column where they were measured, and its title."""


def columns(evidence: RunData) -> list[Column]:
    """The columns that some variant has a figure for: judgings and benchmarks behind the others."""
    measured = dict.fromkeys((score.task, score.metric) for score in evidence.scores)
    known = [column for column in COLUMNS if (column.task, column.metric) in measured]
    quality = [column for column in known if not column.write]
    further = [
        Column(
            FURTHER[metric].format(task=task.removeprefix(BENCHMARK)),
            task,
            metric,
            places=1 if metric == "chrf" else 2,
        )
        for task, metric in measured
        if metric in FURTHER
    ]
    return [*quality, *further, *(column for column in known if column.write)]


def quality_titles(evidence: RunData) -> list[str]:
    """The columns of what a variant can do, and of its size."""
    return [one.title for one in columns(evidence) if not one.write or one.metric == "size_bytes"]


def cost_titles(evidence: RunData) -> list[str]:
    """The other columns: what running a variant takes."""
    known = quality_titles(evidence)
    return [one.title for one in columns(evidence) if one.title not in known]


@dataclass(frozen=True)
class Figure:
    """One score in its cell."""

    title: str
    text: str = MISSING
    note: str = ""
    """Its interval and n."""
    difference: str = ""
    """To merged, with its interval."""
    verdict: str = ""
    share: Score | None = None
    """A score that a bar can show."""
    chance: float | None = None


@dataclass(frozen=True)
class VariantRow:
    """One evaluated variant."""

    name: str
    made: str
    shipped: bool
    figures: list[Figure]


def variant_rows(evidence: RunData) -> list[VariantRow]:
    """One row per evaluated variant, in the recipe's order; what was not measured is a dash."""
    recipe = evidence.recipe
    return [
        VariantRow(
            name=name,
            made=made(recipe, name),
            shipped=name == recipe.export.ship,
            figures=[_figure(evidence, name, column) for column in columns(evidence)],
        )
        for name in [*recipe.variants(), *recipe.eval.servers]
        if name in recipe.eval.variants
    ]


def _figure(evidence: RunData, variant: str, column: Column) -> Figure:
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
    share = score if column.places == 2 and math.isfinite(score.value) else None
    note = f"{interval(score.low, score.high, column.places)} n = {score.n:,}".strip()
    if column.beside and (beside := evidence.score(variant, column.task, column.beside)):
        note += f", {column.beside} {fixed(beside.value, column.places)}"
    if column.counted and (count := evidence.score(variant, column.task, column.counted)):
        note += f", {count.value:,.0f} of {count.n:,} {column.counted}" if count.value else ""
    return Figure(
        column.title,
        fixed(score.value, column.places),
        note,
        *_difference(evidence, variant, column),
        share=share,
        chance=evidence.chance(column.task) if share else None,
    )


def _difference(evidence: RunData, variant: str, column: Column) -> tuple[str, str]:
    """The paired difference to merged in words, and what to think of it."""
    score = evidence.score(variant, column.task, f"{column.metric}_minus_merged")
    if score is None:
        return "", ""
    bounds = interval(score.low, score.high, 3, signed=True)
    said = f"{fixed(score.value, 3, signed=True)} {bounds}".strip()
    compared = evidence.comparison(variant, column.task, column.metric)
    if compared and compared.within_noise:
        return f"{said}, within the noise", ""
    return said, verdict(score)


def verdict(score: Score) -> str:
    """`better` or `worse` when the whole interval of a difference lies on one side of zero."""
    if score.low is None or score.high is None or score.low <= 0 <= score.high:
        return ""
    return "better" if score.low > 0 else "worse"


def sources(evidence: RunData) -> Table:
    """read = kept + dropped, per source."""
    rows: list[list[object]] = []
    for name, counts in evidence.data_counts.sources.items():
        dropped = sum(counts.dropped.values())
        reasons = [f"{count:,} {reason}" for reason, count in sorted(counts.dropped.items())]
        figures = [counts.read, counts.kept, dropped, counts.repaired]
        rows.append([name, *figures, ", ".join(reasons)])
    return Table(("Source", "Read", "Kept", "Dropped", "Repaired", "Why dropped"), rows)


def sets(evidence: RunData) -> Table:
    """Sizes of the data sets by split."""
    splits = ("train", "validation", "test")
    rows = [
        [name, *(sizes.get(split) for split in splits)]
        for name, sizes in evidence.data_counts.sets.items()
    ]
    return Table(("Set", *splits), rows)


def trained(evidence: RunData) -> Table:
    """Rows and tokens that a training stage used, and rows left out for their length."""
    rows = [
        [
            stage,
            split,
            counts.rows,
            counts.left_out_longer_than_sequence_len,
            counts.tokens,
            counts.trained_tokens,
        ]
        for stage, splits in evidence.trained.items()
        for split, counts in splits.items()
    ]
    return Table(
        ("Stage", "Split", "Rows", "Left out, too long", "Tokens", "of these trained"), rows
    )


def scored(evidence: RunData) -> Table:
    """Test rows the evaluation scored and skipped."""
    rows = [[task, counts.scored, counts.skipped] for task, counts in evidence.scored.items()]
    return Table(("Task", "Test rows scored", "Skipped"), rows)


def times(evidence: RunData) -> Table:
    """When each stage ran, and for how long."""
    rows = [
        [stage, took(m.start, m.end), day(m.end), m.reused_from]
        for stage, m in evidence.manifests.items()
    ]
    return Table(("Stage", "Took (h:mm:ss)", "Ended", "Reused from"), rows)


def variants(evidence: RunData) -> Table:
    """The variant table as plain cells, for the files: figure, its interval and n, its change."""
    rows: list[list[object]] = []
    for row in variant_rows(evidence):
        cells = [" ".join(filter(None, (one.text, one.note))) for one in row.figures]
        changes = [f"; Δ {one.difference}" if one.difference else "" for one in row.figures]
        said = [cell + change for cell, change in zip(cells, changes, strict=True)]
        rows.append([row.name, row.made, row.shipped, *said])
    return Table(
        ("Variant", "Made", "Ships", *(column.title for column in columns(evidence))), rows
    )


def machines(evidence: RunData) -> dict[str, str]:
    """The machine in words; where stages ran on several, each with its stages."""
    stages: dict[str, list[str]] = {}
    for stage, manifest in evidence.manifests.items():
        stages.setdefault(_machine(manifest.hardware), []).append(stage)
    if len(stages) == 1:
        return {"Machine": next(iter(stages))}
    return {f"Machine of {', '.join(names)}": said for said, names in stages.items()}


def _machine(hardware: dict[str, str | int]) -> str:
    """`Some CPU, x86_64, Linux, 2 cores, 8.33 GB of memory, no GPU named`."""
    named = [str(hardware[key]) for key in ("processor", "machine", "system") if key in hardware]
    memory = hardware.get("memory_bytes")
    return ", ".join(
        [
            *named,
            f"{hardware['cores']} cores",
            *([f"{size(memory)} of memory"] if isinstance(memory, int) else []),
            str(hardware.get("gpus", "no GPU recorded")),
        ]
    )


def provenance(evidence: RunData) -> Table:
    """Seed, overrides, commit, hardware and versions."""
    recipe = evidence.recipe
    manifest = evidence.manifests["eval"]
    rows: list[list[object]] = [
        ["Recipe", recipe.name],
        ["Seed", str(recipe.seed)],
        ["Overrides", ", ".join(recipe.overrides) or "none"],
        ["Git commit", manifest.git_commit[:12]],
        *([title, found] for title, found in machines(evidence).items()),
        ["Versions", ", ".join(f"{name} {version}" for name, version in manifest.versions.items())],
    ]
    return Table(("Made", "with"), rows)
