"""Planned and measured side by side, and what a hyperparameter search found. Pure: evidence in, cells out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from report.evidence import Evidence, Record, Table
from report.readable import size
from stemma.facts import training_facts
from stemma.plan.forecast import StagePlan
from stemma.runs import Manifest

Cell = int | float | str | None
TOLERANCE = 0.25
"""How far from what was expected a measured figure may be without a word."""
RESIDENT, ALLOCATED, NOT_MEASURED = "resident memory", "GPU memory allocated", "not measured"
NOT_EXPECTED = {
    RESIDENT: "the allocator keeps more of what is freed than is counted",
    ALLOCATED: "work space of kernels is not counted",
}
"""Why more was taken than expected, by what was measured."""
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

    def figures(self) -> list[float | None]:
        """In the order of HEADS, without the dollars."""
        return [self.steps, self.tokens, self.flops, self.flops_per_second, self.seconds, self.memory, self.disk]

    def cells(self) -> list[Cell]:
        """The same, to be read."""
        tera = [None if value is None else value / 1e12 for value in (self.flops, self.flops_per_second)]
        sizes = [None if value is None else size(value) for value in (self.memory, self.disk)]
        return [self.steps, self.tokens, *tera, self.seconds, *sizes]


def recipe_costs(evidence: Evidence) -> Table:
    """One line of what was expected of the recipe's training and formats, one of what came, and where these are more
    than 25 % apart one that says why."""
    if evidence.plan is None:
        return Table(("Recipe", *HEADS), [])
    stages, name = _stages(evidence), evidence.recipe.name
    pairs = [(expected(evidence, stage), measured(evidence, stage)) for stage in stages]
    outputs = evidence.manifests["export"].outputs
    formats = sum(evidence.plan.exports.values()), sum(outputs[name].bytes for name in evidence.recipe.exported())
    sides = [total(costs, of_formats) for costs, of_formats in zip(zip(*pairs, strict=True), formats, strict=True)]
    rows = zip(("expected", "measured"), sides, dollars(evidence), strict=True)
    table: list[list[Cell]] = [[f"{name}, {side}", *costs.cells(), spent] for side, costs, spent in rows]
    reasons = [_reasons(evidence, stage, sides) for stage in stages]
    words = [dict.fromkeys(said) for said in zip(*reasons, strict=True)]
    why = [", ".join(said) if far else None for said, far in zip(words, apart(*sides), strict=True)]
    return Table(("Recipe", *HEADS), [*table, *([[f"{name}, why apart", *why, None]] if any(why) else [])])


def apart(one: Costs, other: Costs) -> list[bool]:
    """Which figures are further from what was expected than is to be passed over. What is not known is not."""
    pairs = zip(one.figures(), other.figures(), strict=True)
    return [bool(planned and came is not None and abs(came / planned - 1) > TOLERANCE) for planned, came in pairs]


def _reasons(evidence: Evidence, stage: StagePlan, sides: Sequence[Costs]) -> list[str]:
    """What a stage's figures rest on, in the order of HEADS: the reason where what was expected (of `sides` the first)
    is not what came."""
    rows, packed = stage.amount.origin, evidence.recipe.axolotl(stage.stage).get("sample_packing")
    steps = "packed rows leave places empty" if packed else f"{stage.stage}: {rows}"
    memory = memory_reason(_measured_of(evidence, stage), *(side.memory for side in sides))
    return [steps, f"{stage.stage}: {rows}", f"{stage.stage}: {rows}", "", "", memory, "tokenizer's files not counted"]


def memory_reason(of: str, forecast: int | None, came: int | None) -> str:
    """Why another amount of the memory `of` was taken than the forecast."""
    more = forecast is not None and came is not None and came > forecast
    return NOT_EXPECTED[of] if more else "expected is a batch of the longest rows"


def _measured_of(evidence: Evidence, stage: StagePlan) -> str:
    """Which memory was measured: what torch allocated of a GPU, or all that the process held."""
    facts = training_facts(evidence.manifests[stage.stage])
    return facts.peak_memory.of if facts else NOT_MEASURED


def planned(evidence: Evidence) -> Table:
    """Of each training stage what `stemma plan` said and what came."""
    rows: list[list[Cell]] = []
    for stage in _stages(evidence):
        facts, name = training_facts(evidence.manifests[stage.stage]), stage.stage
        trained = facts.trainable.trainable_parameters if facts else None
        rows.append([name, "trained weights", stage.trainable, trained, None])
        sides = expected(evidence, stage), measured(evidence, stage)
        reasons = _reasons(evidence, stage, sides)
        why = [reason if far else None for reason, far in zip(reasons, apart(*sides), strict=True)]
        columns = zip(_names(_measured_of(evidence, stage)), *(side.cells() for side in sides), why, strict=True)
        rows += [[name, *cells] for cells in columns]
    return Table(("Stage", "Measure", "Planned", "Measured", "Why more than 25 % apart"), rows)


def _names(of: str) -> list[str]:
    tokens = ["optimizer steps", "tokens", "TFLOP of training", "of these a second", "seconds of training"]
    return [*tokens, f"memory of one process at most ({of})", "disk: adapter and merged model"]


def expected(evidence: Evidence, stage: StagePlan) -> Costs:
    """What `plan` says. Without a GPU all that the process holds is measured, so what it imports is expected too."""
    memory = stage.process if _measured_of(evidence, stage) == RESIDENT else stage.memory.total
    return Costs(stage.steps, stage.tokens, stage.flops, None, memory, stage.left)


def measured(evidence: Evidence, stage: StagePlan) -> Costs:
    """Tokens are those of a pass over the rows, times the epochs. FLOPs are the planned ones of as many tokens."""
    manifest, history = evidence.manifests[stage.stage], evidence.histories[stage.stage]
    tokens = _tokens(manifest, history)
    facts = training_facts(manifest)
    ratio = tokens / stage.tokens if tokens and stage.tokens else None
    return Costs(
        steps=facts.steps if facts else None,
        tokens=tokens,
        flops=stage.flops * ratio if stage.flops is not None and ratio else None,
        seconds=_last(history, "train_runtime"),
        memory=facts.peak_memory.bytes if facts else None,
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
