"""A plan as text, for `stemma plan`."""

from __future__ import annotations

from stemma.plan.costs import Memory
from stemma.plan.detectable import ALPHA, POWER
from stemma.plan.forecast import Hardware, Plan, StagePlan
from stemma.plan.peaks import PROCESS, highest
from stemma.recipe.models import Recipe
from stemma.table import UNKNOWN, aligned

SMALL = 10**8
"""Parameters below which sizes are told in MB."""
COUNTED = ("stage", "rows", "steps", "tokens", "PFLOP", "floor")
TRAINED = ("trained", "of all", "rows and tokens from")
MEMORY = ("weights", "adapter", "optimizer", "activations", "logits", "total")
FULLEST = (
    "batches of the longest rows (packed, or no rows known yet: of sequence_len tokens), "
    "the most a step can need"
)


def written(recipe: Recipe, plan: Plan, hardware: Hardware) -> str:
    """The whole forecast; what is not known is a dash with the reason beside it."""
    name = recipe.base_model or "a model made on the spot"
    unit = "GB" if plan.shapes.parameters() > SMALL else "MB"
    weights = f"{plan.shapes.parameters():,} parameters ({plan.shapes.origin})"
    blocks = [
        [f"{recipe.name}: {name}, {weights}"],
        _training_lines(plan, hardware),
        _memory_lines(plan, unit),
        _other_lines(plan, unit),
        _detectable_lines(recipe, plan),
        [_total(plan, hardware, unit)],
    ]
    return "\n\n".join("\n".join(lines) for lines in blocks) + "\n"


def _training_lines(plan: Plan, hardware: Hardware) -> list[str]:
    speed = "pass --tflops, what one GPU does a second"
    if hardware.tflops:
        speed = f"at {hardware.tflops:g} TFLOP/s"
    machine = f"{speed}, on {hardware.gpus} GPU(s)"
    return [
        *aligned((*COUNTED, *TRAINED), [_costs(stage, hardware) for stage in plan.stages]),
        f"floor: {machine}; the best published LoRA runs take about twice as long",
    ]


def _memory_lines(plan: Plan, unit: str) -> list[str]:
    rows = [[stage.stage, *_memory(stage.memory, unit)] for stage in plan.stages]
    return [
        *aligned((f"{unit} a GPU", *MEMORY), rows),
        FULLEST,
        f"{unit} behind the training at most: {_behind(plan, unit)}",
        f"beside these a process holds {PROCESS['engines'] / 1e9:.2f} GB",
        f"{unit} of a process that trains without a GPU: {_without_gpu(plan, unit)}",
    ]


def _other_lines(plan: Plan, unit: str) -> list[str]:
    disk = [*((stage.stage, stage.disk) for stage in plan.stages), *plan.exports.items()]
    if plan.source:
        disk.append(("F16 to quantise from", plan.source))
    if plan.database:
        disk.append(("rag", plan.database))
    lines = [
        f"{unit} on disk: {' · '.join(f'{name} {_size(count, unit)}' for name, count in disk)}"
    ]
    if plan.data.uncounted:
        lines.append(f"data: not counted, {plan.data.uncounted}")
    lines.append(f"API: {dollars(plan.data.dollars)}; {plan.data.basis}")
    asked = (f"API: {one.title}: {one.basis}" for one in plan.judging)
    return [*lines, *asked, *plan.passages]


def _detectable_lines(recipe: Recipe, plan: Plan) -> list[str]:
    """What the evaluation can show; nothing where no task has right answers."""
    rule = recipe.eval.non_inferiority
    points = 100 * rule.margin
    heads = ("task", "questions", "shows a difference of", f"{points:g} points need")
    rows = [
        [
            one.task,
            _count(one.questions),
            UNKNOWN if one.difference is None else f"{100 * one.difference:.1f} points",
            f"{one.needed:,}",
        ]
        for one in plan.detectable
    ]
    if not rows:
        return []
    changed = f"{rule.changed:.0%} of answers change (eval.non_inferiority.changed)"
    return [
        *aligned(heads, rows),
        f"against merged on the same questions, in {POWER:.0%} of evaluations, if {changed}:",
        f"a difference by McNemar's test, two-sided {ALPHA:.0%}; the margin of non-inferiority, "
        f"one-sided {rule.level:.0%}, where the truth is no difference",
    ]


def _total(plan: Plan, hardware: Hardware, unit: str) -> str:
    disk = f"{_size(plan.disk, unit)} {unit} on disk"
    paid = [plan.data.dollars, *(one.dollars for one in plan.judging)]
    known = [one for one in paid if one is not None]
    whole = dollars(sum(known) if len(known) == len(paid) else None)
    return f"in all: {_compute(plan, hardware)} · {disk} · {whole}"


def _behind(plan: Plan, unit: str) -> str:
    found = {stage: highest(parts) for stage, parts in plan.peaks.items()}
    return " · ".join(
        f"{stage} {_size(count, unit)} ({part})" for stage, (part, count) in found.items()
    )


def _without_gpu(plan: Plan, unit: str) -> str:
    """Memory in all; where `bf16: auto` leaves it open, on a CPU without bfloat16 too."""
    told = " · ".join(f"{stage.stage} {_size(stage.process, unit)}" for stage in plan.stages)
    wider = [stage for stage in plan.stages if stage.in_float32 != stage.process]
    floats = " · ".join(f"{stage.stage} {_size(stage.in_float32, unit)}" for stage in wider)
    return f"{told}; where the CPU has no bfloat16 {floats}" if floats else told


def dollars(most: float | None) -> str:
    """The cost of a chat model's replies that is still to come."""
    if most is None:
        return "dollars unknown"
    return f"at most {most:,.2f} dollars" if most else "0 dollars"


def _compute(plan: Plan, hardware: Hardware) -> str:
    if plan.flops is None:
        return "FLOPs unknown"
    petaflop = f"{plan.flops / 1e15:,.3g} PFLOP"
    if not hardware.tflops:
        return petaflop
    return f"{petaflop}, {_floor(plan.flops, hardware.tflops, hardware.gpus)} at least"


def _floor(flops: float, tflops: float, gpus: int) -> str:
    return f"{flops / (tflops * 1e12 * gpus):,.0f} s"


def _costs(stage: StagePlan, hardware: Hardware) -> list[str]:
    petaflop = UNKNOWN
    seconds = UNKNOWN
    if stage.flops is not None:
        petaflop = f"{stage.flops / 1e15:,.3g}"
        if hardware.tflops:
            seconds = _floor(stage.flops, hardware.tflops, hardware.gpus)
    return [
        stage.stage,
        _count(stage.amount.rows),
        _count(stage.steps),
        _count(stage.tokens),
        petaflop,
        seconds,
        _count(stage.trainable),
        f"{stage.trainable / stage.parameters:.3%}",
        stage.amount.origin,
    ]


def _memory(need: Memory, unit: str) -> list[str]:
    parts = (need.weights, need.adapter, need.optimizer, need.activations, need.logits, need.total)
    return [_size(part, unit) for part in parts]


def _count(value: int | None) -> str:
    return UNKNOWN if value is None else f"{value:,}"


def _size(count: int, unit: str) -> str:
    value = count / {"GB": 1e9, "MB": 1e6}[unit]
    return f"{value:,.2f}" if value >= 0.1 else f"{value:.4f}"
