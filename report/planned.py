"""Planned and measured side by side, and what a hyperparameter search found. Pure: evidence in, cells out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from report.evidence import Evidence, Record, Table
from report.readable import size
from stemma.plan import StagePlan
from stemma.runs import Manifest

Cell = int | float | str | None
HEADS = ("Steps", "Tokens", "TFLOP", "TFLOP/s", "Seconds", "Memory of a process", "Disk", "Dollars")


@dataclass(frozen=True)
class Costs:
    """What training takes: of one stage, or of a recipe. None: not known, or not measured."""

    steps: int | None = None
    tokens: int | None = None
    flops: float | None = None
    seconds: float | None = None
    memory: int | None = None
    disk: int | None = None

    @property
    def flops_per_second(self) -> float | None:
        return self.flops / self.seconds if self.flops is not None and self.seconds else None

    def cells(self) -> list[Cell]:
        """In the order of HEADS, without the dollars."""
        tera = [None if value is None else value / 1e12 for value in (self.flops, self.flops_per_second)]
        sizes = [None if value is None else size(value) for value in (self.memory, self.disk)]
        return [self.steps, self.tokens, *tera, self.seconds, *sizes]


def recipe_costs(evidence: Evidence) -> Table:
    """One line of what was expected of the recipe's training and formats, one of what came."""
    if evidence.plan is None:
        return Table(("Recipe", *HEADS), [])
    pairs = [(expected(stage), measured(evidence, stage)) for stage in _stages(evidence)]
    outputs = evidence.manifests["export"].outputs
    formats = sum(evidence.plan.exports.values()), sum(outputs[name].bytes for name in evidence.recipe.exported())
    sides = [total(costs, of_formats) for costs, of_formats in zip(zip(*pairs, strict=True), formats, strict=True)]
    rows = zip(("expected", "measured"), sides, dollars(evidence), strict=True)
    return Table(("Recipe", *HEADS), [[f"{evidence.recipe.name}, {n}", *c.cells(), d] for n, c, d in rows])


def planned(evidence: Evidence) -> Table:
    """Of each training stage what `stemma plan` said and what came."""
    rows: list[list[Cell]] = []
    for stage in _stages(evidence):
        facts, name = evidence.manifests[stage.stage].facts, stage.stage
        rows.append([name, "trained weights", stage.trainable, facts["trainable"]["trainable_parameters"]])
        pairs = zip(_names(facts), expected(stage).cells(), measured(evidence, stage).cells(), strict=True)
        rows += [[name, measure, *pair] for measure, *pair in pairs]
    return Table(("Stage", "Measure", "Planned", "Measured"), rows)


def _names(facts: Record) -> list[str]:
    of = facts.get("peak_memory", {}).get("of", "not measured")
    tokens = ["optimizer steps", "tokens", "TFLOP of training", "of these a second", "seconds of training"]
    return [*tokens, f"memory of one process at most ({of})", "disk: adapter and merged model"]


def expected(stage: StagePlan) -> Costs:
    return Costs(stage.steps, stage.tokens, stage.flops, None, stage.memory.total, stage.left)


def measured(evidence: Evidence, stage: StagePlan) -> Costs:
    """Tokens are those of a pass over the rows, times the epochs. FLOPs are the planned ones of as many tokens."""
    manifest, history = evidence.manifests[stage.stage], evidence.histories[stage.stage]
    tokens = _tokens(manifest, history)
    ratio = tokens / stage.tokens if tokens and stage.tokens else None
    return Costs(
        steps=manifest.facts["steps"],
        tokens=tokens,
        flops=stage.flops * ratio if stage.flops is not None and ratio else None,
        seconds=_last(history, "train_runtime"),
        memory=manifest.facts.get("peak_memory", {}).get("bytes"),
        disk=sum(manifest.outputs[name].bytes for name in ("adapter", "merged") if name in manifest.outputs),
    )


def total(costs: Iterable[Costs], formats: int) -> Costs:
    """Of stages one after the other: memory is the most, all else a sum; unknown where one is unknown."""
    found = list(costs)

    def of(name: str) -> list[float] | None:
        values = [getattr(one, name) for one in found]
        return None if None in values else values

    sums = {name: sum(values) if (values := of(name)) else None for name in ("steps", "tokens", "flops", "seconds")}
    disk, memory = of("disk"), of("memory")
    return Costs(**sums, memory=max(memory) if memory else None, disk=sum(disk) + formats if disk else None)  # type: ignore[arg-type]


def dollars(evidence: Evidence) -> tuple[Cell, Cell]:
    """What the recipe allows for generated answers, and what they cost."""
    settings, facts = evidence.recipe.data.generator, evidence.manifests["data"].facts.get("generator")
    allowed = settings.max_cost_usd if settings else None
    if not facts:
        return 0, 0
    cost = f"{facts['cost_usd']:,.2f} for {facts['requests']:,} requests"
    return None if allowed is None else f"at most {allowed:,.2f}", cost


def _stages(evidence: Evidence) -> list[StagePlan]:
    trained = evidence.recipe.training_stages()
    return [stage for stage in evidence.plan.stages if stage.stage in trained] if evidence.plan else []


def _tokens(manifest: Manifest, history: list[Record]) -> int | None:
    epochs = _last(history, "epoch")
    return round(manifest.counts["train"]["tokens"] * epochs) if epochs else None


def _last(history: list[Record], key: str) -> float | None:
    """Of the trainer's closing record; of a resumed run its clock tells the last part only."""
    return next((record[key] for record in reversed(history) if key in record and "train_runtime" in record), None)


def sweeps(evidence: Evidence) -> Table:
    """Every trial of every search, the best first."""
    rows = [
        [result.stage, ", ".join(trial.sets(result.stage)), result.metric, trial.value, trial.step,
         f"best ({result.goal})" if trial is result.best else trial.failed]
        for result in evidence.sweeps
        for trial in result.trials
    ]  # fmt: skip
    return Table(("Stage", "Trial", "Metric", "Value", "Step", ""), rows)
