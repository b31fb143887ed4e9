"""Tables of planned against measured costs, and of hyperparameter searches. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from report.readable import size
from report.run_data import Record, RunData, Table
from stemma.facts import training_facts
from stemma.plan.forecast import StagePlan

Cell = int | float | str | None
Number = TypeVar("Number", int, float)
TOLERANCE = 0.25
"""A measured figure may be so far from the planned one without a word."""
RESIDENT = "resident memory"
ALLOCATED = "GPU memory allocated"
NOT_MEASURED = "not measured"
MEMORY = "Memory of a process"
NOT_EXPECTED = {
    RESIDENT: "the allocator keeps more of what is freed than is counted",
    ALLOCATED: "work space of kernels is not counted",
}
"""Reasons for more memory than expected, by the kind that was measured."""
HEADS = ("Steps", "Tokens", "TFLOP", "TFLOP/s", "Seconds", MEMORY, "Disk", "Dollars")


@dataclass(frozen=True)
class Costs:
    """Costs of training one stage, or a recipe. None: not known, or not measured."""

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
        return [
            self.steps,
            self.tokens,
            self.flops,
            self.flops_per_second,
            self.seconds,
            self.memory,
            self.disk,
        ]

    def cells(self) -> list[Cell]:
        """The same, to be read."""
        tera = [_tera(value) for value in (self.flops, self.flops_per_second)]
        sizes = [None if value is None else size(value) for value in (self.memory, self.disk)]
        return [self.steps, self.tokens, *tera, self.seconds, *sizes]


def _tera(value: float | None) -> float | None:
    return None if value is None else value / 1e12


def recipe_costs(evidence: RunData) -> Table:
    """The recipe's training and formats in one line as planned and one as measured.

    Where these are more than 25 % apart a third line says why.
    """
    if evidence.plan is None:
        return Table(("Recipe", *HEADS), [])
    name = evidence.recipe.name
    stages = _stages(evidence)
    # Planned and measured are of one kind; a run over several machines may have two.
    kinds = dict.fromkeys(_measured_of(evidence, stage) for stage in stages)
    memory_head = f"{MEMORY} ({', '.join(kinds)})"
    heads = [memory_head if head == MEMORY else head for head in HEADS]
    outputs = evidence.manifests["export"].outputs
    planned_side = total(
        [expected(evidence, stage) for stage in stages], sum(evidence.plan.exports.values())
    )
    measured_side = total(
        [measured(evidence, stage) for stage in stages],
        sum(outputs[variant].bytes for variant in evidence.recipe.exported()),
    )
    allowed, spent = dollars(evidence)
    table: list[list[Cell]] = [
        [f"{name}, expected", *planned_side.cells(), allowed],
        [f"{name}, measured", *measured_side.cells(), spent],
    ]
    sides = (planned_side, measured_side)
    reasons = [_reasons(evidence, stage, sides) for stage in stages]
    # Each stage's reasons column by column, equal ones once.
    words = [dict.fromkeys(said) for said in zip(*reasons, strict=True)]
    why = [", ".join(said) if far else None for said, far in zip(words, apart(*sides), strict=True)]
    if any(why):
        table.append([f"{name}, why apart", *why, None])
    return Table(("Recipe", *heads), table)


def apart(one: Costs, other: Costs) -> list[bool]:
    """Whether each figure is too far from the planned one; unknown figures are not."""
    pairs = zip(one.figures(), other.figures(), strict=True)
    return [
        bool(planned and came is not None and abs(came / planned - 1) > TOLERANCE)
        for planned, came in pairs
    ]


def _reasons(evidence: RunData, stage: StagePlan, sides: Sequence[Costs]) -> list[str]:
    """The reason for a difference of each figure, in the order of HEADS.

    `sides` are the planned and the measured costs.
    """
    rows = f"{stage.stage}: {stage.amount.origin}"
    packed = evidence.recipe.axolotl(stage.stage).get("sample_packing")
    steps = "packed rows leave places empty" if packed else rows
    memory = memory_reason(_measured_of(evidence, stage), *(side.memory for side in sides))
    return [steps, rows, rows, "", "", memory, "tokenizer's files not counted"]


def memory_reason(of: str, forecast: int | None, came: int | None) -> str:
    """The reason why memory (`of` a kind) differs from the forecast."""
    more = forecast is not None and came is not None and came > forecast
    return NOT_EXPECTED[of] if more else "expected is a batch of the longest rows"


def _measured_of(evidence: RunData, stage: StagePlan) -> str:
    """The kind of memory that was measured: torch's on a GPU, or all that the process held.

    Of a stage that measured none it is the other stages'.
    """
    names = [stage.stage, *evidence.recipe.training_stages()]
    found = [training_facts(evidence.manifests[name]) for name in names]
    return next((facts.peak_memory.of for facts in found if facts), NOT_MEASURED)


def planned(evidence: RunData) -> Table:
    """Each training stage's figures: planned by `stemma plan`, and measured."""
    rows: list[list[Cell]] = []
    for stage in _stages(evidence):
        name = stage.stage
        facts = training_facts(evidence.manifests[name])
        trained = facts.trainable.trainable_parameters if facts else None
        rows.append([name, "trained weights", stage.trainable, trained, None])
        sides = expected(evidence, stage), measured(evidence, stage)
        reasons = _reasons(evidence, stage, sides)
        why = [reason if far else None for reason, far in zip(reasons, apart(*sides), strict=True)]
        names = _names(_measured_of(evidence, stage))
        columns = zip(names, *(side.cells() for side in sides), why, strict=True)
        rows += [[name, *cells] for cells in columns]
    return Table(("Stage", "Measure", "Planned", "Measured", "Why more than 25 % apart"), rows)


def _names(of: str) -> list[str]:
    return [
        "optimizer steps",
        "tokens",
        "TFLOP of training",
        "of these a second",
        "seconds of training",
        f"memory of one process at most ({of})",
        "disk: adapter and merged model",
    ]


def expected(evidence: RunData, stage: StagePlan) -> Costs:
    """The planned costs of a stage.

    Without a GPU all that the process holds is measured, so its imports are expected too.
    """
    memory = stage.process if _measured_of(evidence, stage) == RESIDENT else stage.memory.total
    return Costs(stage.steps, stage.tokens, stage.flops, None, memory, stage.left)


def measured(evidence: RunData, stage: StagePlan) -> Costs:
    """The measured costs of a stage.

    Tokens are those of a pass over the rows, times the epochs. FLOPs are the planned ones of as
    many tokens.
    """
    manifest = evidence.manifests[stage.stage]
    facts = training_facts(manifest)
    history = evidence.histories[stage.stage]
    steps = manifest.facts.get("steps")
    tokens = _tokens(evidence.trained[stage.stage]["train"].tokens, history)
    ratio = tokens / stage.tokens if tokens and stage.tokens else None
    return Costs(
        steps=steps if isinstance(steps, int) else None,
        tokens=tokens,
        flops=stage.flops * ratio if stage.flops is not None and ratio else None,
        seconds=_last(history, "train_runtime"),
        memory=facts.peak_memory.bytes if facts else None,
        disk=sum(
            output.bytes
            for name, output in manifest.outputs.items()
            if name in ("adapter", "merged")
        ),
    )


def total(costs: Iterable[Costs], formats: int) -> Costs:
    """Costs of stages one after the other; unknown where one is unknown.

    Memory is the most of any stage, all else a sum. `formats` are bytes on disk.
    """
    found = list(costs)
    memory = _known(one.memory for one in found)
    disk = _known(one.disk for one in found)
    return Costs(
        steps=_sum(one.steps for one in found),
        tokens=_sum(one.tokens for one in found),
        flops=_sum(one.flops for one in found),
        seconds=_sum(one.seconds for one in found),
        memory=max(memory) if memory else None,
        disk=sum(disk) + formats if disk else None,
    )


def _sum(values: Iterable[Number | None]) -> Number | None:
    known = _known(values)
    return sum(known) if known else None


def _known(values: Iterable[Number | None]) -> list[Number]:
    """The values; none at all where one of them is unknown."""
    found = list(values)
    known = [value for value in found if value is not None]
    return known if len(known) == len(found) else []


def dollars(evidence: RunData) -> tuple[Cell, Cell]:
    """(the most that the recipe allows for generated answers, their cost)."""
    settings = evidence.recipe.data.generator
    allowed = settings.max_cost_usd if settings else None
    used = evidence.data.generator
    if used is None:
        return 0, 0
    spent = f"{used.cost_usd:,.2f} for {used.requests:,} requests"
    return None if allowed is None else f"at most {allowed:,.2f}", spent


def _stages(evidence: RunData) -> Sequence[StagePlan]:
    """Every training that was planned: of a base model made on the spot, too."""
    return evidence.plan.stages if evidence.plan else ()


def _tokens(of_an_epoch: int, history: list[Record]) -> int | None:
    epochs = _last(history, "epoch")
    return round(of_an_epoch * epochs) if epochs else None


def _last(history: list[Record], key: str) -> float | None:
    """A figure of the trainer's closing record; a resumed run's clock tells the last part only."""
    for record in reversed(history):
        if key in record and "train_runtime" in record:
            found: float = record[key]
            return found
    return None


def sweeps(evidence: RunData) -> Table:
    """Every trial of every search, the best first."""
    rows = [
        [
            result.stage,
            ", ".join(trial.sets(result.stage)),
            result.metric,
            trial.value,
            trial.step,
            f"best ({result.goal})" if trial is result.best else trial.failed,
        ]
        for result in evidence.sweeps
        for trial in result.trials
    ]
    return Table(("Stage", "Trial", "Metric", "Value", "Step", ""), rows)
