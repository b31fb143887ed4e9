"""Costs of training, from shapes and settings: FLOPs, memory a GPU, bytes on disk.

Pure; each formula names its source."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stemma.plan.activations import activation_bytes, logit_bytes
from stemma.plan.settings import FP32, CostSettings
from stemma.shapes import DTYPE_BYTES, Shapes

BITS = {
    "F32": 32.0,
    "F16": 16.0,
    "BF16": 16.0,
    "Q8_0": 8.5,
    "Q6_K": 6.5625,
    "Q5_K": 5.5,
    "Q4_K": 4.5,
    "Q5_0": 5.5,
    "Q5_1": 6.0,
}
"""Bits a weight of GGUF's blocks, scales included (ggml-common.h: e.g. Q6_K is 210 bytes for 256
weights)."""
SUPERBLOCK, BLOCK = 256, 32
"""Weights of a row in one block: of K-quants, and of the types that stand in where a row is no
multiple of it."""
STANDS_IN = {"Q4_K": "Q5_0", "Q5_K": "Q5_1", "Q6_K": "Q8_0"}
"""llama.cpp's `tensor_type_fallback`: larger, and silent."""
RAISED = ("self_attn.v_proj.weight", "mlp.down_proj.weight")
"""Q6_K in some layers of the _M mixtures."""
NF4_BITS = 4 + 8 / 64 + 32 / (64 * 256)
"""Double quantisation: an 8-bit scale for 64 weights, an fp32 one for 256 of those (Dettmers et al.
2023, §3)."""
QUANTISED = {"int8": (8.0, FP32, 0), "nf4": (NF4_BITS, 0, 1250)}
"""Formats as bitsandbytes 0.50.2 saves them.

Bits a weight of the layers' matrices, bytes an output row (int8: its scale), and bytes a matrix
(nf4: two tables of 256 and 16 values and a description).
"""


@dataclass(frozen=True)
class Memory:
    """Bytes on one GPU at the fullest moment of a step."""

    weights: int
    adapter: int
    """Trained weights and their gradients."""
    optimizer: int
    activations: int
    logits: int

    @property
    def total(self) -> int:
        return self.weights + self.adapter + self.optimizer + self.activations + self.logits


def forward_flops(shapes: Shapes, tokens: float, length: float) -> float:
    """FLOPs of tokens through layers and head, in sequences of `length`.

    2 x weights a token (the embedding is only looked up), and for causal attention
    2 x layers x length x width (Kaplan et al. 2020, table 1).
    """
    dense = shapes.linear_parameters() + shapes.embedding()
    return tokens * 2 * (dense + shapes.layers * length * shapes.attention_width)


@dataclass(frozen=True)
class Forward:
    """One forward pass: positions through the layers, and its FLOPs by part."""

    positions: float
    layers: float
    attention: float
    head: float

    @property
    def total(self) -> float:
        return self.layers + self.attention + self.head


def forward(training: CostSettings, tokens: float, length: float) -> Forward:
    """One forward pass of `tokens` in sequences of `length`, as this trainer computes it.

    Prompts are counted with each answer.

    A pair of prompt p and answers of a tokens is 2(p + a) positions, joined p + 2a. Position i
    attends to i others, at 4 x layers x width FLOPs each (scores and values): (p + a)^2 in all,
    joined p^2 / 2 + 2pa + a^2. The head costs 2 x vocabulary x width a position: every one by
    transformers' and TRL's stock losses and Liger's, those that predict an answer's token by
    Stemma's own trainer and TRL's chunked path.
    """
    shapes = training.shapes
    answer = length * training.answers
    prompt = length - answer
    pairs = tokens / length / 2
    if training.shared:
        positions = pairs * (prompt + 2 * answer)
        keys = pairs * (prompt**2 / 2 + 2 * prompt * answer + answer**2)
    else:
        positions = tokens
        keys = pairs * length**2
    scored = tokens * training.answers if training.logits in ("stemma", "trl") else positions
    return Forward(
        positions=positions,
        layers=2 * shapes.linear_parameters() * positions,
        attention=4 * shapes.layers * shapes.attention_width * keys,
        head=2 * shapes.embedding() * scored,
    )


def training_flops(training: CostSettings, tokens: float, epochs: float, length: float) -> float:
    """Forward, backward and reference over `tokens`, in sequences of `length`.

    Backward is twice the forward: one product for the activations' gradient, one for the weights'
    (Kaplan et al. 2020): 6ND in all. LoRA's frozen matrices need only the first, so 4ND, while
    attention has no weights and costs its two either way. An adapter's own weights pay all three.
    Checkpointing computes the layers again, not the head (Chen et al. 2016); TRL's chunked path
    computes the head again, not the layers (trl 1.14, `_ChunkedLogProbFunction`). DPO also runs the
    reference forward (Rafailov et al. 2023, equation 7): 2ND an epoch, or once if precomputed.
    """
    one = forward(training, tokens, length)
    dense = one.layers + one.head
    total = 3 * one.attention
    if training.rank:
        total += 2 * dense + 6 * training.trainable * one.positions
    else:
        total += 3 * dense
    total += one.layers + one.attention if training.checkpointing else 0
    total += one.head if training.logits == "trl" else 0
    if training.preference:
        total += one.total / max(epochs, 1) if training.precomputed else one.total
    return total


def memory(training: CostSettings) -> Memory:
    """Memory of one GPU, by part.

    Weights, gradients and moments as in Rajbhandari et al. 2020, section 3 (ZeRO-1 shards moments,
    2 gradients, 3 weights). Sequences are full-size: a batch of short ones needs less.
    """
    shapes = training.shapes
    trained = training.trainable
    share = 1 / training.gpus
    weights = weight_bytes(shapes, training.quantised, training.bytes)
    value = FP32 if training.rank else training.bytes
    kept = trained * value if training.rank else 0
    gradients = trained * value * (share if training.zero >= 2 else 1)
    master = 0 if value == FP32 else FP32
    state = trained * (training.moments + master) * (share if training.zero >= 1 else 1)
    return Memory(
        weights=round(weights * (share if training.zero == 3 else 1)),
        adapter=round(kept + gradients),
        optimizer=round(state),
        activations=activation_bytes(training),
        logits=logit_bytes(training),
    )


def weight_bytes(shapes: Shapes, quantised: str | None, other: int) -> int:
    """Bytes of the model, its layers' matrices in `int8` or `nf4`.

    The rest (embedding, head, norms) takes `other` bytes a weight.
    """
    if quantised is None:
        return shapes.parameters() * other
    bits, a_row, a_matrix = QUANTISED[quantised]
    rows = shapes.layers * sum(out for _, out in shapes.linears().values())
    matrices = shapes.layers * len(shapes.linears())
    packed = shapes.linear_parameters() * bits / 8 + rows * a_row + matrices * a_matrix
    return round(packed) + (shapes.parameters() - shapes.linear_parameters()) * other


def gguf_bytes(shapes: Shapes, kind: str) -> int:
    """Bytes of a GGUF file's weights; names and tokenizer come on top (SmolLM2: 1.7 MB)."""
    bits = 0.0
    for name, size in shapes.tensors().items():
        bits += math.prod(size) * BITS[_gguf_type(shapes, name, size, kind)]
    return round(bits / 8)


def _gguf_type(shapes: Shapes, name: str, size: tuple[int, ...], kind: str) -> str:
    """A tensor's type: the converter writes vectors in F32; of matrices llama.cpp chooses it.

    See its `llama_tensor_get_type` and `tensor_type_fallback`.
    """
    if len(size) == 1:
        return "F32"
    wanted = kind.removesuffix("_M")
    row = size[1]
    if wanted in STANDS_IN:
        wanted = "Q6_K" if _is_exact(shapes, name, kind) else wanted
        wanted = STANDS_IN[wanted] if row % SUPERBLOCK else wanted
    return "F16" if row % BLOCK and wanted not in ("F32", "BF16") else wanted


def _is_exact(shapes: Shapes, name: str, kind: str) -> bool:
    """Whether every mixture has Q6_K here: in the head, or what serves as one.

    The _M mixtures have it in `v_proj` and `down_proj` of half of the layers, too.
    """
    if name == ("model.embed_tokens.weight" if shapes.tied else "lm_head.weight"):
        return True
    raised = kind.endswith("_M") and name.endswith(RAISED)
    return raised and _is_raised(int(name.split(".")[2]), shapes.layers)


def _is_raised(layer: int, layers: int) -> bool:
    """llama.cpp's `use_more_bits`: the first and the last eighth, and every third between."""
    return layer < layers // 8 or layer >= 7 * layers // 8 or (layer - layers // 8) % 3 == 2


def left_bytes(training: CostSettings) -> int:
    """Bytes on disk behind a LoRA stage: adapter and merged model."""
    return training.trainable * FP32 + training.shapes.parameters() * training.shapes.weight_bytes


def stage_bytes(training: CostSettings, saves: int) -> int:
    """Bytes on disk during a LoRA stage, those that it leaves included.

    Checkpoints with their moments, and, for DPO, the full model Axolotl writes beside its adapter.
    DeepSpeed leaves frozen weights out of a checkpoint by their names, and so keeps a tied head,
    which is the embedding by another name (deepspeed 0.19.8, `DeepSpeedEngine.module_state_dict`).
    """
    shapes = training.shapes
    keeps_head = training.rank and shapes.tied and training.zero < 3
    head = shapes.embedding() * training.bytes if keeps_head else 0
    checkpoints = saves * (training.trainable * (FP32 + training.moments) + head)
    beside = shapes.parameters() * shapes.weight_bytes if training.preference else 0
    return left_bytes(training) + beside + checkpoints


def export_bytes(shapes: Shapes, export: Mapping[str, Any]) -> dict[str, int]:
    """Bytes of every format the export section asks for.

    bitsandbytes leaves embedding, head and norms in the merge's dtype.
    """
    merged = DTYPE_BYTES[export["merge"]["dtype"]]
    found = {"merged": shapes.parameters() * merged}
    found |= {f"bnb-{kind}": weight_bytes(shapes, kind, merged) for kind in export["bitsandbytes"]}
    return found | {f"gguf-{kind}": gguf_bytes(shapes, kind) for kind in export["gguf"]["types"]}
