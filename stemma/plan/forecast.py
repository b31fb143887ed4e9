"""What a recipe will cost before anything runs: steps, tokens, FLOPs, memory and disk of every stage. Pure, no torch.

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
from stemma.plan.costs import Memory, export_bytes, gguf_bytes, left_bytes, memory, stage_bytes, training_flops
from stemma.plan.data_rows import NOT_COUNTED, Foreseen
from stemma.plan.peaks import PROCESS, peaks, training_bytes
from stemma.plan.settings import FP32, Logits, Training
from stemma.recipe.check import zero_stage
from stemma.recipe.models import Recipe
from stemma.recipe.sections import DpoTrainer
from stemma.runs import Run
from stemma.shapes import Shapes
from stemma.targets import LINEARS, Targets
from stemma.training.precision import settle
from stemma.training.trained_weights import count_adapters, quantised_as, refuse_uncounted

MOMENTS = {"8bit": 2, "sgd": 0, "adafactor": 0, "lion": 4}
"""Bytes of state a trained weight, by a part of the optimizer's name; Adam's two fp32 moments are 8."""


MASKED = ("sdpa", "eager")
"""Attention that takes a mask of its own, as joined pairs need."""


@dataclass(frozen=True)
class Asked:
    """What the command line says of the machine."""

    gpus: int = 1
    tflops: float | None = None
    """What one GPU does in a second, e.g. the measured peak of its matrix products."""
    cpu: bool = False
    """It trains without a GPU: smaller buffers, and memory is all that the process holds."""
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
    """Likewise where the CPU has no bfloat16, whatever was asked; the same where the recipe leaves nothing open."""
    disk: int
    """Bytes while it trains, checkpoints included."""
    left: int
    """Bytes it leaves: adapter and merged model."""


@dataclass(frozen=True)
class Plan:
    shapes: Shapes
    stages: Sequence[StagePlan]
    exports: Mapping[str, int]
    peaks: Mapping[str, Mapping[str, int]]
    """By stage what its parts need, training aside (`stemma.plan.peaks`)."""
    data: Foreseen

    @property
    def disk(self) -> int:
        """Bytes of all stages and formats."""
        return sum(stage.disk for stage in self.stages) + sum(self.exports.values()) + self.source

    @property
    def source(self) -> int:
        """Bytes of the float16 file that the others are quantised from, then gone; 0 where a float one is kept."""
        kinds = {name.removeprefix("gguf-") for name in self.exports}
        return 0 if {"F32", "F16", "BF16"} & kinds else gguf_bytes(self.shapes, "F16")

    def peak(self, stage: str, cpu: bool = True) -> int | None:
        """Bytes that a stage's fullest process holds: the training, or what follows it. None: not counted, e.g. data.
        With a GPU (`cpu` False) the training's are there and not counted."""
        needs = [PROCESS["engines"] + count for count in self.peaks.get(stage, {}).values()]
        return max([*needs, *(one.process for one in self.stages if cpu and one.stage == stage)], default=None)

    @property
    def flops(self) -> float | None:
        """Of all stages; None where one is not known."""
        known = [stage.flops for stage in self.stages if stage.flops is not None]
        return sum(known) if len(known) == len(self.stages) else None


def plan(recipe: Recipe, run: Run, asked: Asked, data: Foreseen = NOT_COUNTED) -> Plan:
    """Every stage's forecast, with what `foresee` found of the data. Raises UserError when the shapes are not known, or
    for settings that are not counted."""
    shapes = read_shapes(recipe, run)
    names = [*(["base"] if recipe.base else []), *recipe.training_stages()]
    amounts = {name: amount(recipe, run, name, data.counted) for name in names}
    stages = [_stage(recipe, name, amounts[name], (shapes, asked)) for name in names]
    return Plan(shapes, stages, export_bytes(shapes, recipe.export.model_dump()), peaks(recipe, shapes), data)


def _stage(recipe: Recipe, stage: str, found: Amount, machine: tuple[Shapes, Asked]) -> StagePlan:
    keys = recipe.training_settings(stage)
    packed = found.tokens / keys["sequence_len"] if keys.get("sample_packing") else 1.0  # slots a row takes
    length = keys["sequence_len"] if keys.get("sample_packing") else math.ceil(found.longest)
    shapes, asked = machine
    on_gpu = read_training(recipe, stage, keys, (shapes, asked.gpus))
    on_gpu = replace(on_gpu, answers=found.answer / found.tokens, length=length)
    on_cpu = _on_cpu(on_gpu, keys, asked.bfloat16)
    training = on_cpu if asked.cpu else on_gpu
    row_tokens = found.tokens * (2 if training.preference else 1)
    rows = None if found.rows is None else math.ceil(found.rows * packed)
    steps = keys.get("max_steps") or (None if rows is None else count_steps(rows, keys, training.gpus))
    epochs = keys.get("num_epochs", 1)
    if keys.get("max_steps"):
        read = steps * keys["gradient_accumulation_steps"] * keys.get("micro_batch_size", 1) * training.gpus / packed
        epochs = read / found.rows if found.rows else 1
        tokens = round(read * row_tokens)
    else:
        tokens = None if found.rows is None else round(found.rows * row_tokens * epochs)
    return StagePlan(
        stage=stage, amount=found, steps=steps, tokens=tokens,
        flops=None if tokens is None else training_flops(training, tokens, epochs, found.tokens),
        trainable=training.trainable, parameters=training.shapes.parameters(), memory=memory(training),
        process=training_bytes(on_cpu), in_float32=training_bytes(_on_cpu(on_gpu, keys, bfloat16=False)),
        disk=stage_bytes(training, keys["save_total_limit"]), left=left_bytes(training),
    )  # fmt: skip


def _on_cpu(training: Training, keys: Mapping[str, Any], bfloat16: bool) -> Training:
    """The same without a GPU, in what the training then computes in (`stemma.training.precision`)."""
    return replace(training, cpu=True, bytes=_value_bytes({**keys, **settle(keys, gpu=False, bfloat16=bfloat16)}))


def _value_bytes(keys: Mapping[str, Any]) -> int:
    return 2 if keys.get("bf16", "auto") or keys.get("fp16") else FP32


def count_steps(rows: int, keys: Mapping[str, Any], gpus: int) -> int:
    """Optimizer steps as transformers 5.20 counts them (`Trainer.set_initial_training_values`): the last, partial batch
    of an epoch is a step of its own."""
    batches = math.ceil(rows / (keys.get("micro_batch_size", 1) * gpus))
    return math.ceil(keys.get("num_epochs", 1) * max(1, math.ceil(batches / keys["gradient_accumulation_steps"])))


def read_training(recipe: Recipe, stage: str, keys: Mapping[str, Any], machine: tuple[Shapes, int]) -> Training:
    """A stage's Axolotl keys as the settings that cost."""
    shapes, gpus = machine
    optimizer = str(keys.get("optimizer", "adamw_torch"))
    preference = bool(keys.get("rl"))
    refuse_uncounted(recipe, stage, keys)
    attention = recipe.axolotl(stage).get("attn_implementation")
    ours = recipe.dpo.trainer if stage == "dpo" and recipe.dpo else "stock"
    trainer = DpoTrainer(chunked_logps=False, precompute_reference=False) if isinstance(ours, str) else ours
    logits = _logits(keys, trainer)
    return Training(
        shapes=shapes, rank=keys.get("lora_r", 8) if keys.get("adapter") else 0,
        targets=_targets(recipe, stage, keys, shapes), adapters=count_adapters(keys, shapes),
        preference=preference, logits=logits,
        precomputed=trainer.precompute_reference or bool(keys.get("precompute_ref_log_probs")),
        checkpointing=bool(keys.get("gradient_checkpointing")), length=keys["sequence_len"],
        sequences=keys.get("micro_batch_size", 1) * (2 if preference else 1),
        bytes=_value_bytes(keys), quantised=quantised_as(keys),
        moments=next((count for part, count in MOMENTS.items() if part in optimizer), 8),
        zero=zero_stage(recipe.path.parent / keys["deepspeed"]) if keys.get("deepspeed") else 0, gpus=gpus,
        deepspeed=bool(keys.get("deepspeed")),
        shared=logits == "stemma" and trainer.shared_prompts and attention in (None, *MASKED),
        eager=uses_eager(shapes, attention), dropout=bool(keys.get("lora_dropout")), liger=_liger(keys),
    )  # fmt: skip


def _logits(keys: Mapping[str, Any], trainer: DpoTrainer) -> Logits:
    """Of a whole model that is trained the stock trainer takes the loss."""
    if not keys.get("rl"):
        return "liger" if keys.get("liger_fused_linear_cross_entropy") else "all"
    if keys.get("adapter") and trainer.chunked_logps:
        return "stemma"
    return "trl" if keys.get("dpo_use_liger_kernel") else "all"


def _targets(recipe: Recipe, stage: str, keys: Mapping[str, Any], shapes: Shapes) -> tuple[str, ...]:
    """The matrices of a layer that get adapters. Where only some layers have them, memory and FLOPs are counted as if
    all had, which is more than it takes; trained weights are counted one by one (`_adapters`)."""
    if not keys.get("adapter"):
        return ()
    targets = Targets.of_stage(keys)
    covered = targets.among(shapes.tensors())
    names = {name.removesuffix(".weight").rsplit(".", 1)[-1] for name in covered}
    given = set() if isinstance(targets.modules, str) else set(targets.modules)
    unknown = sorted((names | given) - set(LINEARS))
    if unknown or not covered:
        found = f"{stage}: lora_target_modules {', '.join(unknown) or targets.modules or 'not given'}"
        raise UserError(Problem(recipe.path.name, found, f"some of {', '.join(LINEARS)}"))
    return tuple(name for name in LINEARS if name in names)


def _liger(keys: Mapping[str, Any]) -> frozenset[str]:
    """TRL's key for its chunked path goes to transformers too, which puts all of Liger's kernels in
    (`Trainer.__init__`)."""
    if keys.get("dpo_use_liger_kernel"):
        return frozenset({"rms_norm", "glu_activation"})
    return frozenset(key.removeprefix("liger_") for key, value in keys.items() if key.startswith("liger_") and value)
