"""A plan as text: what `stemma plan` prints."""

from __future__ import annotations

from stemma.plan.costs import Memory
from stemma.plan.data_rows import Foreseen
from stemma.plan.forecast import Asked, Plan, StagePlan
from stemma.plan.peaks import PROCESS, highest
from stemma.recipe.models import Recipe
from stemma.table import UNKNOWN, aligned

SMALL = 10**8
"""Parameters below which sizes are told in MB."""
TRAINING = ("stage", "rows", "steps", "tokens", "PFLOP", "floor", "trained", "of all", "rows and tokens from")
MEMORY = ("weights", "adapter", "optimizer", "activations", "logits", "total")


def written(recipe: Recipe, plan: Plan, asked: Asked) -> str:
    """The whole forecast; what is not known is a dash with the reason beside it."""
    name = recipe.base_model or "a model made on the spot"
    head = f"{recipe.name}: {name}, {plan.shapes.parameters():,} parameters ({plan.shapes.origin})"
    unit = "GB" if plan.shapes.parameters() > SMALL else "MB"
    speed = f"at {asked.tflops:g} TFLOP/s" if asked.tflops else "pass --tflops, what one GPU does a second"
    disk = [*((s.stage, s.disk) for s in plan.stages), *plan.exports.items()]
    disk += [("F16 to quantise from", plan.source)] if plan.source else []
    return "\n".join([
        head, "", *aligned(TRAINING, [_costs(stage, asked) for stage in plan.stages]),
        f"floor: {speed}, on {asked.gpus} GPU(s); the best published LoRA runs take about twice as long", "",
        *aligned((f"{unit} a GPU", *MEMORY), [[stage.stage, *_memory(stage.memory, unit)] for stage in plan.stages]),
        "batches of the longest rows (packed, or no rows known yet: of sequence_len tokens), the most a step can need",
        f"{unit} behind the training at most: {_behind(plan, unit)}",
        f"beside these a process holds {PROCESS['engines'] / 1e9:.2f} GB",
        f"{unit} of a process that trains without a GPU: {_without_gpu(plan, unit)}", "",
        f"{unit} on disk: {' · '.join(f'{name} {_size(count, unit)}' for name, count in disk)}",
        *([f"data: not counted, {plan.data.uncounted}"] if plan.data.uncounted else []),
        f"API: {dollars(plan.data)}; {plan.data.said}", "",
        f"in all: {_compute(plan, asked)} · {_size(plan.disk, unit)} {unit} on disk · {dollars(plan.data)}", "",
    ])  # fmt: skip


def _behind(plan: Plan, unit: str) -> str:
    found = {stage: highest(parts) for stage, parts in plan.peaks.items()}
    return " · ".join(f"{stage} {_size(count, unit)} ({part})" for stage, (part, count) in found.items())


def _without_gpu(plan: Plan, unit: str) -> str:
    """All told; where `bf16: auto` leaves it open, on a CPU without bfloat16 too."""
    told = " · ".join(f"{stage.stage} {_size(stage.process, unit)}" for stage in plan.stages)
    wider = [stage for stage in plan.stages if stage.in_float32 != stage.process]
    floats = " · ".join(f"{stage.stage} {_size(stage.in_float32, unit)}" for stage in wider)
    return f"{told}; where the CPU has no bfloat16 {floats}" if floats else told


def dollars(data: Foreseen) -> str:
    """What is still to be paid for generated answers."""
    if data.dollars is None:
        return "dollars unknown"
    return f"at most {data.dollars:,.2f} dollars" if data.dollars else "0 dollars"


def _compute(plan: Plan, asked: Asked) -> str:
    if plan.flops is None:
        return "FLOPs unknown"
    petaflop = f"{plan.flops / 1e15:,.3g} PFLOP"
    return petaflop + (f", {_floor(plan.flops, asked.tflops, asked.gpus)} at least" if asked.tflops else "")


def _floor(flops: float, tflops: float, gpus: int) -> str:
    return f"{flops / (tflops * 1e12 * gpus):,.0f} s"


def _costs(stage: StagePlan, asked: Asked) -> list[str]:
    petaflop = seconds = UNKNOWN
    if stage.flops is not None:
        petaflop = f"{stage.flops / 1e15:,.3g}"
        seconds = _floor(stage.flops, asked.tflops, asked.gpus) if asked.tflops else UNKNOWN
    counts = [_count(stage.amount.rows), _count(stage.steps), _count(stage.tokens), petaflop, seconds]
    share = f"{stage.trainable / stage.parameters:.3%}"
    return [stage.stage, *counts, _count(stage.trainable), share, stage.amount.origin]


def _memory(need: Memory, unit: str) -> list[str]:
    parts = (need.weights, need.adapter, need.optimizer, need.activations, need.logits, need.total)
    return [_size(part, unit) for part in parts]


def _count(value: int | None) -> str:
    return UNKNOWN if value is None else f"{value:,}"


def _size(count: int, unit: str) -> str:
    value = count / {"GB": 1e9, "MB": 1e6}[unit]
    return f"{value:,.2f}" if value >= 0.1 else f"{value:.4f}"
