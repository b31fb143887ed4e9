"""The most memory that the parts of each stage take: gates, merge, formats, evaluation.

Bytes of weights and work space, without what a process always holds (`PROCESS`). Each formula names
the code it describes. Pure, but for a look at the installed build of torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version

from stemma.plan.costs import export_bytes, memory, weight_bytes
from stemma.plan.settings import FP32, CostSettings
from stemma.recipe.models import Recipe
from stemma.recipe.sections import AXOLOTL_DEFAULTS
from stemma.shapes import DTYPE_BYTES, Shapes

PROCESSES = {
    "cpu": {"training": 1_100_000_000, "engines": 640 << 20},
    "cuda": {"training": 1_700_000_000, "engines": 1_220_000_000},
}
"""Resident bytes beside weights and work, on Linux x86-64, by the build of torch. Of a training
what its peak was more than `training_bytes` counts otherwise; of the others the interpreter with
torch, transformers and peft, n = 1. `cpu` (Python 3.11, torch 2.13.0, axolotl 0.19): 1.02 to 1.19
GB in six trainings in float32 (SFT, DPO and MCQ, models of 10 and 36 million weights), 1.09 in one
in bfloat16 (DPO, 145 million). `cuda` on a machine without a GPU (Python 3.12, torch 2.13.0,
axolotl 0.21): 1.64 to 1.75 GB in three in float32 (SFT, DPO, MCQ of the demo), 1.16 to 1.22 with a
small model loaded: torch's libraries, read or not."""


def build() -> str:
    """The installed build of torch: `cpu` where its version says so, else `cuda`, as PyPI's is."""
    try:
        return "cpu" if version("torch").endswith("+cpu") else "cuda"
    except PackageNotFoundError:
        return "cuda"


PROCESS = PROCESSES[build()]
HOLES = 0.4
"""Share of activations that glibc's heap holds beside them, in holes that freed tensors left.

Tensors up to 32 MB lie there, torch asks for aligned places, and glibc 2.36 gives none that was
freed to the next of its size (0 of 20; 20 of 20 unaligned). SmolLM2 135M with 30 and 10 layers, 8 x
510 tokens in bfloat16, n = 1: 2.60 and 0.91 GB in use at most, and 3.61 and 1.25 more resident than
before. Lengths that vary make more, step by step. With a mapping for each tensor
(`MALLOC_MMAP_THRESHOLD_`) there are none, for a quarter more of the processor's time: 14.4 s a
step, not 11.5.
"""
TILE = 1 << 24
"""`stemma.models`: logits at once on a CPU."""
BATCH_TOKENS = 4096
"""`eval.backends.hf`: tokens at once."""
COMPARED = 16
"""`stemma.training.gates`: positions whose logits are compared at once, five times in float64."""
PIECE = 1 << 22
"""`stemma.tensors`: values read at once."""
SCORED = 64
"""`stemma.llama`: tokens decoded at once with logits."""
PROMPT = 512
"""`stemma.llama`: tokens decoded at once without logits."""

Parts = dict[str, int]
"""Bytes of each part of a stage."""


def peaks(recipe: Recipe, shapes: Shapes) -> dict[str, Parts]:
    """Bytes by stage and part. Parts follow each other, so a stage needs the largest."""
    stored = shapes.parameters() * shapes.weight_bytes
    found: dict[str, Parts] = {"base": {"hand-over": 2 * stored}} if recipe.base else {}
    behind = {"merge": merge_bytes(shapes, shapes.weight_bytes), "gates": gate_bytes(shapes)}
    found |= dict.fromkeys(recipe.training_stages(), behind)
    return found | {"export": _export(recipe, shapes), "eval": _evaluation(recipe, shapes)}


def training_bytes(training: CostSettings) -> int:
    """Bytes that a training process without a GPU holds at its fullest moment, all told.

    These are itself, the mapped file of its weights, copies of them, and the fullest of three
    moments: loading, a step, saving.
    """
    need = memory(training)
    file = training.shapes.parameters() * training.shapes.weight_bytes
    copies = copied_bytes(training)
    moments = (
        loading_bytes(training),
        need.total - need.weights + round(HOLES * need.activations),
        need.adapter + need.optimizer + saving_bytes(training),
    )
    return PROCESS["training"] + file + copies + max(moments)


def copied_bytes(training: CostSettings) -> int:
    """Weights that are not the mapped file itself: those that are cast, packed or trained. Frozen
    ones of the file's own dtype are, the tables too (`ModelLoader._configure_embedding_dtypes` of
    Axolotl 0.21 leaves them alone where it would cast them back)."""
    shapes = training.shapes
    if not training.rank or training.quantised or training.bytes != shapes.weight_bytes:
        return memory(training).weights
    return 0


def loading_bytes(training: CostSettings) -> int:
    """The tables in float32, which Axolotl casts them to where no adapter is trained (likewise)."""
    return training.shapes.tables() * FP32 if training.bytes < FP32 and not training.rank else 0


def saving_bytes(training: CostSettings) -> int:
    """A checkpoint of a whole model under DeepSpeed: accelerate 1.15 clones it, a tied head a
    second time (`Accelerator.get_state_dict`). Of an adapter only what is trained is copied
    (`stemma/plugin/saving.py`); under ZeRO-3 DeepSpeed gathers the weights."""
    shapes = training.shapes
    if not training.deepspeed or training.zero == 3:
        return 0
    if training.rank:
        return training.trainable * training.bytes
    return (shapes.parameters() + (shapes.embedding() if shapes.tied else 0)) * training.bytes


def gate_bytes(shapes: Shapes) -> int:
    """`training.merge_gate`: one model after the other in float32. While it is loaded its
    largest tensor lies there as stored as well; then come a tile of logits, or those that are
    compared."""
    loading = shapes.embedding() * shapes.weight_bytes
    comparing = 5 * 8 * COMPARED * shapes.vocabulary
    return shapes.parameters() * FP32 + max(loading, comparing, _tile_bytes(shapes))


def merge_bytes(shapes: Shapes, merged: int) -> int:
    """`training.merge.write_merged`: the largest adapted matrix as stored, twice in float32 and
    once merged, and a piece of a tensor that is copied."""
    largest = max(a * b for a, b in shapes.linears().values())
    return (largest + min(PIECE, shapes.embedding())) * (shapes.weight_bytes + 2 * FP32 + merged)


def _tile_bytes(shapes: Shapes) -> int:
    """`stemma.models.log_probs`: in the model's dtype and twice in float32."""
    return 3 * FP32 * min(TILE, BATCH_TOKENS * shapes.vocabulary)


def _export(recipe: Recipe, shapes: Shapes) -> Parts:
    """`export.run`: merging and its gate; bitsandbytes (`export.bnb`: the merged model and what
    becomes of it); llama.cpp's converter (lazily: two copies of the largest tensor in float32); the
    proof of each (`export.score`, `export.gguf_gates`): merged in float32, the others as in
    evaluation."""
    merged, parts = DTYPE_BYTES[recipe.export.merge.dtype], _scored(recipe, shapes)
    found = {"merge": merge_bytes(shapes, merged), "gates": gate_bytes(shapes)}
    for kind in recipe.export.bitsandbytes:
        found[f"bnb-{kind}"] = shapes.parameters() * merged + weight_bytes(shapes, kind, merged)
    proofs = {f"{name}'s proof": parts[name] for name in parts} | {
        "merged's proof": gate_bytes(shapes)
    }
    return found | {"GGUF": 2 * shapes.embedding() * FP32} | proofs


def _evaluation(recipe: Recipe, shapes: Shapes) -> Parts:
    """Each variant by itself; those of a stage are stored as its start is."""
    made = _scored(recipe, shapes)
    of_a_stage = shapes.parameters() * shapes.weight_bytes + _batch_bytes(
        shapes, shapes.weight_bytes
    )
    return {variant: made.get(variant, of_a_stage) for variant in recipe.eval.local}


def _scored(recipe: Recipe, shapes: Shapes) -> Parts:
    """Every exported format, loaded and asked: `eval.backends.hf` (weights as stored, one batch)
    and `stemma.llama`."""
    export = recipe.export.model_dump()
    batch = _batch_bytes(shapes, DTYPE_BYTES[recipe.export.merge.dtype])
    work = {
        name: _context_bytes(recipe, shapes) if name.startswith("gguf-") else batch
        for name in recipe.exported()
    }
    return {name: count + work[name] for name, count in export_bytes(shapes, export).items()}


def _batch_bytes(shapes: Shapes, value: int) -> int:
    """Activations of a batch, the widest layer three times, and a tile of logits."""
    return BATCH_TOKENS * (4 * shapes.hidden + 3 * shapes.inner) * value + _tile_bytes(shapes)


def _context_bytes(recipe: Recipe, shapes: Shapes) -> int:
    """llama.cpp's context: keys and values in fp16, one batch's activations, and logits."""
    lengths = [
        recipe.training_settings(stage)["sequence_len"] for stage in recipe.training_stages()
    ]
    context = max(lengths, default=AXOLOTL_DEFAULTS["sequence_len"])
    cache = context * shapes.layers * 2 * shapes.key_width * 2
    return (
        cache
        + PROMPT * (4 * shapes.hidden + 3 * shapes.inner) * FP32
        + SCORED * shapes.vocabulary * FP32
    )


def highest(parts: Mapping[str, int]) -> tuple[str, int]:
    """The part that needs most."""
    return max(parts.items(), key=lambda part: part[1])
