"""The most memory that the parts of each stage take, training aside: gates, merge, formats, evaluation. Pure.

Bytes of weights and work space, without what a process always holds (`PROCESS`). Each law names the code it is of.
"""

from __future__ import annotations

from collections.abc import Mapping

from stemma import axolotl
from stemma.costs import export_bytes, gguf_bytes, weight_bytes
from stemma.recipe import Recipe
from stemma.shapes import DTYPE_BYTES, Shapes
from stemma.training import FP32

PROCESS = {"training": 780 << 20, "engines": 640 << 20}
"""Resident bytes of the interpreter with what it imports, before any weights: Axolotl, TRL, DeepSpeed and the plugin;
torch, transformers and peft. `resource.getrusage`, Linux x86-64, Python 3.11, torch 2.13.0 for CPUs, n = 1."""
TILE = 1 << 24
"""`stemma.models`: logits at once on a CPU, in the model's dtype and twice in float32."""
BATCH_TOKENS = 4096
"""`eval.hf`: tokens at once."""
PIECE = 1 << 22
"""`stemma.tensors`, by which `stemma.merge` goes through the weights: values at once."""
COPIES = 16
"""Of a piece in float32, at most: start, adapter's share, sum, cast, and the writer's buffers."""
SCORED, PROMPT = 64, 512
"""`stemma.llama`: tokens decoded at once with and without logits."""

Parts = dict[str, int]


def peaks(recipe: Recipe, shapes: Shapes) -> dict[str, Parts]:
    """By stage, its parts and what each needs; parts follow each other, so a stage needs the largest."""
    stored = shapes.parameters() * shapes.weight_bytes
    found: dict[str, Parts] = {"base": {"hand-over": 2 * stored}} if recipe.base else {}
    found |= {stage: {"merge": merge_bytes(shapes), "gates": gate_bytes(shapes)} for stage in recipe.training_stages()}
    return found | {"export": _export(recipe, shapes), "eval": _evaluation(recipe, shapes, stored)}


def gate_bytes(shapes: Shapes) -> int:
    """`stemma.gates.merge_gate`: one model after the other in float32, logits tile by tile."""
    return shapes.parameters() * FP32 + _tile(shapes)


def merge_bytes(shapes: Shapes) -> int:
    """`stemma.merge`: pieces of tensors, never a model."""
    return COPIES * FP32 * min(PIECE, max(shapes.embedding(), shapes.hidden * shapes.inner))


def _tile(shapes: Shapes) -> int:
    return 3 * FP32 * min(TILE, BATCH_TOKENS * shapes.vocabulary)


def _export(recipe: Recipe, shapes: Shapes) -> Parts:
    """`export.run`: merging and its gate, bitsandbytes (`export.bnb`: the merged model, as it is stored, and what
    becomes of it), llama.cpp's converter (lazily, two copies of the largest tensor in float32) and quantiser (mapped
    files: one tensor in float32, and its result), and proofs that load every folder."""
    merged = DTYPE_BYTES[recipe.export.merge.dtype]
    stored, largest = shapes.parameters() * merged, shapes.embedding() * FP32
    found = {"merge": merge_bytes(shapes), "merged's proof": max(gate_bytes(shapes), stored + _tile(shapes))}
    for kind in recipe.export.bitsandbytes:
        found[f"bnb-{kind}"] = stored + weight_bytes(shapes, kind, merged)
    return (
        found
        | {"GGUF": 2 * largest}
        | {f"gguf-{kind}'s proof": _gguf(recipe, shapes, kind) for kind in recipe.export.gguf.types}
    )


def _evaluation(recipe: Recipe, shapes: Shapes, stored: int) -> Parts:
    """`eval.hf`: weights as stored and one batch; `stemma.llama`: see `_gguf`."""
    made = export_bytes(shapes, recipe.export.model_dump())
    batch = BATCH_TOKENS * (4 * shapes.hidden + 3 * shapes.inner) * FP32  # one layer's, of a model in float32
    found: Parts = {}
    for variant in recipe.eval.variants:
        if variant.startswith("gguf-"):
            found[variant] = _gguf(recipe, shapes, variant.removeprefix("gguf-"))
        else:
            found[variant] = made.get(variant, stored) + batch + _tile(shapes)
    return found


def _gguf(recipe: Recipe, shapes: Shapes, kind: str) -> int:
    """A GGUF loaded by llama.cpp: the file, keys and values in fp16, one batch's activations and logits."""
    lengths = [(axolotl.DEFAULTS | recipe.axolotl(stage))["sequence_len"] for stage in recipe.training_stages()]
    context = max(lengths, default=axolotl.DEFAULTS["sequence_len"])
    cache = context * shapes.layers * 2 * shapes.key_width * 2
    batch = PROMPT * (4 * shapes.hidden + 3 * shapes.inner) * FP32 + SCORED * shapes.vocabulary * FP32
    return gguf_bytes(shapes, kind) + cache + batch


def highest(parts: Mapping[str, int]) -> tuple[str, int]:
    """The part that needs most."""
    return max(parts.items(), key=lambda part: part[1])
