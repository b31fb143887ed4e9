"""A recipe's costs before anything runs: steps, tokens, FLOPs, memory and disk of every stage.

The report sets these figures beside what was then measured.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from stemma.base_model.files import read_shapes
from stemma.errors import Problem, UserError
from stemma.plan.activations import uses_eager
from stemma.plan.amounts import Amount, amount
from stemma.plan.costs import (
    Memory,
    export_bytes,
    gguf_bytes,
    left_bytes,
    memory,
    stage_bytes,
    training_flops,
)
from stemma.plan.data_rows import NOT_COUNTED, DataPlan
from stemma.plan.detectable import Detectable, detectable
from stemma.plan.judging import JudgePlan
from stemma.plan.peaks import PROCESS, peaks, training_bytes
from stemma.plan.settings import FP32, CostSettings, Logits
from stemma.recipe.models import Recipe
from stemma.recipe.sections import DpoTrainer
from stemma.recipe.zero_files import zero_stage
from stemma.runs import Run
from stemma.shapes import Shapes
from stemma.targets import LINEARS, Targets
from stemma.training.pitfalls import count_steps
from stemma.training.precision import settle
from stemma.training.trained_weights import count_adapters, quantised_as, refuse_uncounted

MOMENTS = {"8bit": 2, "sgd": 0, "adafactor": 0, "lion": 4}
"""Bytes of state a trained weight, by a part of the optimizer's name; Adam's two fp32 moments are
8."""


MASKED = ("sdpa", "eager")
"""Attention that takes a mask of its own, as joined pairs need."""


@dataclass(frozen=True)
class Hardware:
    """The machine to plan for, as the command line describes it."""

    gpus: int = 1
    tflops: float | None = None
    """TFLOP that one GPU computes in a second, e.g. the measured peak of its matrix products."""
    cpu: bool = False
    """Trains without a GPU: smaller buffers, and memory is all that the process holds."""
    bfloat16: bool = True
    """Whether that CPU computes in bfloat16; on one that does not, `bf16: auto` is float32."""


@dataclass(frozen=True)
class StagePlan:
    """One training stage. Steps and tokens are None where the rows are unknown."""

    stage: str
    amount: Amount
    steps: int | None
    tokens: int | None
    flops: float | None
    trainable: int
    parameters: int
    memory: Memory
    process: int
    """Bytes that a training process without a GPU holds at its fullest moment, all told."""
    in_float32: int
    """Likewise where the CPU has no bfloat16, whatever was asked; the same where the recipe leaves
    nothing open."""
    disk: int
    """Bytes while it trains, checkpoints included."""
    left: int
    """Bytes it leaves: adapter and merged model."""


@dataclass(frozen=True)
class Plan:
    """The whole forecast of a recipe."""

    shapes: Shapes
    stages: Sequence[StagePlan]
    exports: Mapping[str, int]
    peaks: Mapping[str, Mapping[str, int]]
    """By stage what its parts need, training aside (`stemma.plan.peaks`)."""
    data: DataPlan
    detectable: Sequence[Detectable] = ()
    judging: Sequence[JudgePlan] = ()
    """The judges of the evaluation, with what they cost."""
    passages: Sequence[str] = ()
    """What the database of passages will hold, in lines."""
    database: int = 0
    """Its bytes."""

    @property
    def disk(self) -> int:
        """Bytes of all stages and formats, and of the database of passages."""
        made = sum(self.exports.values()) + self.source + self.database
        return sum(stage.disk for stage in self.stages) + made

    @property
    def source(self) -> int:
        """Bytes of the float16 file that the others are quantised from, then gone; 0 where a float
        one is kept."""
        kinds = {name.removeprefix("gguf-") for name in self.exports}
        return 0 if {"F32", "F16", "BF16"} & kinds else gguf_bytes(self.shapes, "F16")

    def peak(self, stage: str, cpu: bool = True) -> int | None:
        """Bytes that a stage's fullest process holds: the training, or what follows it. None: not
        counted, e.g. data. With a GPU (`cpu` False) the training's are there and not counted."""
        needs = [PROCESS["engines"] + count for count in self.peaks.get(stage, {}).values()]
        return max(
            [*needs, *(one.process for one in self.stages if cpu and one.stage == stage)],
            default=None,
        )

    @property
    def flops(self) -> float | None:
        """FLOPs of all stages; None where one is not known."""
        known = [stage.flops for stage in self.stages if stage.flops is not None]
        return sum(known) if len(known) == len(self.stages) else None


def plan(recipe: Recipe, run: Run, hardware: Hardware, data: DataPlan = NOT_COUNTED) -> Plan:
    """Every stage's forecast, with what `plan_data` found of the data.

    Raises UserError when the shapes are not known, or for settings that are not counted.
    """
    shapes = read_shapes(recipe, run)
    names = [*(["base"] if recipe.base else []), *recipe.training_stages()]
    amounts = {name: amount(recipe, run, name, data.counted) for name in names}
    stages = [_stage(recipe, name, amounts[name], shapes, hardware) for name in names]
    formats = export_bytes(shapes, recipe.export.model_dump())
    shown = detectable(recipe, run, data.counted)
    return Plan(shapes, stages, formats, peaks(recipe, shapes), data, shown)


def _stage(
    recipe: Recipe, stage: str, found: Amount, shapes: Shapes, hardware: Hardware
) -> StagePlan:
    keys = recipe.training_settings(stage)
    length = keys["sequence_len"] if keys.get("sample_packing") else math.ceil(found.longest)
    on_gpu = replace(
        cost_settings(recipe, stage, keys, shapes, hardware.gpus),
        answers=found.answer / found.tokens,
        length=length,
    )
    on_cpu = _on_cpu(on_gpu, keys, hardware.bfloat16)
    training = on_cpu if hardware.cpu else on_gpu
    steps, epochs, tokens = _passes(found, keys, training)
    flops = None if tokens is None else training_flops(training, tokens, epochs, found.tokens)
    return StagePlan(
        stage=stage,
        amount=found,
        steps=steps,
        tokens=tokens,
        flops=flops,
        trainable=training.trainable,
        parameters=training.shapes.parameters(),
        memory=memory(training),
        process=training_bytes(on_cpu),
        in_float32=training_bytes(_on_cpu(on_gpu, keys, bfloat16=False)),
        disk=stage_bytes(training, keys["save_total_limit"]),
        left=left_bytes(training),
    )


def _passes(
    found: Amount, keys: Mapping[str, Any], training: CostSettings
) -> tuple[int | None, float, int | None]:
    """Optimizer steps, epochs, and tokens of all epochs; None where the rows are not known."""
    # Slots of a packed batch that a row takes.
    packed = found.tokens / keys["sequence_len"] if keys.get("sample_packing") else 1.0
    row_tokens = found.tokens * (2 if training.preference else 1)
    if steps := keys.get("max_steps"):
        slots = keys["gradient_accumulation_steps"] * keys.get("micro_batch_size", 1)
        read = steps * slots * training.gpus / packed
        epochs = read / found.rows if found.rows else 1
        return steps, epochs, round(read * row_tokens)
    epochs = keys.get("num_epochs", 1)
    if found.rows is None:
        return None, epochs, None
    steps = count_steps(math.ceil(found.rows * packed), keys, training.gpus)
    return steps, epochs, round(found.rows * row_tokens * epochs)


def _on_cpu(training: CostSettings, keys: Mapping[str, Any], bfloat16: bool) -> CostSettings:
    """The same without a GPU, in the dtype it then computes in (`stemma.training.precision`)."""
    settled = {**keys, **settle(keys, gpu=False, bfloat16=bfloat16)}
    return replace(training, cpu=True, bytes=_value_bytes(settled))


def _value_bytes(keys: Mapping[str, Any]) -> int:
    return 2 if keys.get("bf16", "auto") or keys.get("fp16") else FP32


def cost_settings(
    recipe: Recipe, stage: str, keys: Mapping[str, Any], shapes: Shapes, gpus: int
) -> CostSettings:
    """A stage's Axolotl keys as the settings that cost."""
    optimizer = str(keys.get("optimizer", "adamw_torch"))
    preference = bool(keys.get("rl"))
    refuse_uncounted(recipe, stage, keys)
    attention = recipe.axolotl(stage).get("attn_implementation")
    ours = recipe.dpo.trainer if stage == "dpo" and recipe.dpo else "stock"
    stock = DpoTrainer(chunked_logps=False, precompute_reference=False)
    trainer = stock if isinstance(ours, str) else ours
    logits = _logits(keys, trainer)
    return CostSettings(
        shapes=shapes,
        rank=keys.get("lora_r", 8) if keys.get("adapter") else 0,
        targets=_targets(recipe, stage, keys, shapes),
        adapters=count_adapters(keys, shapes),
        preference=preference,
        logits=logits,
        precomputed=trainer.precompute_reference or bool(keys.get("precompute_ref_log_probs")),
        checkpointing=bool(keys.get("gradient_checkpointing")),
        length=keys["sequence_len"],
        sequences=keys.get("micro_batch_size", 1) * (2 if preference else 1),
        bytes=_value_bytes(keys),
        quantised=quantised_as(keys),
        moments=next((count for part, count in MOMENTS.items() if part in optimizer), 8),
        zero=zero_stage(recipe.path.parent / keys["deepspeed"]) if keys.get("deepspeed") else 0,
        gpus=gpus,
        deepspeed=bool(keys.get("deepspeed")),
        shared=logits == "stemma" and trainer.shared_prompts and attention in (None, *MASKED),
        eager=uses_eager(shapes, attention),
        dropout=bool(keys.get("lora_dropout")),
        liger=_liger(keys),
    )


def _logits(keys: Mapping[str, Any], trainer: DpoTrainer) -> Logits:
    """Logits that the loss makes; of a whole model that is trained the stock trainer takes it."""
    if not keys.get("rl"):
        return "liger" if keys.get("liger_fused_linear_cross_entropy") else "all"
    if keys.get("adapter") and trainer.chunked_logps:
        return "stemma"
    return "trl" if keys.get("dpo_use_liger_kernel") else "all"


def _targets(
    recipe: Recipe, stage: str, keys: Mapping[str, Any], shapes: Shapes
) -> tuple[str, ...]:
    """The matrices of a layer that get adapters. Where only some layers have them, memory and FLOPs
    are counted as if all had, which is more than it takes; trained weights are counted one by one
    (`_adapters`)."""
    if not keys.get("adapter"):
        return ()
    targets = Targets.of_stage(keys)
    covered = targets.among(shapes.tensors())
    names = {name.removesuffix(".weight").rsplit(".", 1)[-1] for name in covered}
    given = set() if isinstance(targets.modules, str) else set(targets.modules)
    unknown = sorted((names | given) - set(LINEARS))
    if unknown or not covered:
        found = (
            f"{stage}: lora_target_modules {', '.join(unknown) or targets.modules or 'not given'}"
        )
        raise UserError(Problem(recipe.path.name, found, f"some of {', '.join(LINEARS)}"))
    return tuple(name for name in LINEARS if name in names)


def _liger(keys: Mapping[str, Any]) -> frozenset[str]:
    """TRL's key for its chunked path goes to transformers too, which puts all of Liger's kernels in
    (`Trainer.__init__`)."""
    if keys.get("dpo_use_liger_kernel"):
        return frozenset({"rms_norm", "glu_activation"})
    return frozenset(
        key.removeprefix("liger_")
        for key, value in keys.items()
        if key.startswith("liger_") and value
    )
