"""What training costs, from shapes and settings: FLOPs, memory a GPU, bytes on disk. Pure; formulas name a source."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stemma.shapes import Shapes

BITS = {"F32": 32.0, "F16": 16.0, "BF16": 16.0, "Q8_0": 8.5, "Q6_K": 6.5625, "Q5_K": 5.5, "Q4_K": 4.5}
"""Bits a weight of GGUF's blocks, scales included (ggml-common.h: e.g. Q6_K is 210 bytes for 256 weights)."""
NF4_BITS = 4 + 8 / 64 + 32 / (64 * 256)
"""Double quantisation: an 8-bit scale for 64 weights, an fp32 one for 256 of those (Dettmers et al. 2023, §3)."""
FP32 = 4
TILE_BYTES = 256 << 20
"""Of logits held at once on a GPU by the chunked loss."""


@dataclass(frozen=True)
class Training:
    """One training stage's settings as far as they cost. `rank` 0 trains every weight."""

    shapes: Shapes
    rank: int
    targets: tuple[str, ...]
    preference: bool
    precomputed: bool
    """The reference's log-probabilities are computed once, not at every epoch."""
    checkpointing: bool
    chunked: bool
    """Log-probabilities by Stemma's DPO trainer, tile by tile, without a tensor of all logits."""
    fused: bool
    """Liger's fused linear cross-entropy: chunk by chunk, likewise."""
    length: int
    """Tokens a sequence may have."""
    sequences: int
    """Sequences in one micro-batch; of a preference row there are two."""
    bytes: int
    """Bytes a value of activations and unquantised weights."""
    quantised: str | None
    moments: int
    """Bytes of optimizer state a trained weight."""
    zero: int
    gpus: int

    @property
    def trainable(self) -> int:
        if not self.rank:
            return self.shapes.parameters()
        return self.shapes.adapter_parameters(self.rank, self.targets)


@dataclass(frozen=True)
class Memory:
    """Bytes on one GPU at the fullest moment of a step."""

    weights: int
    adapter: int
    """What is trained, and its gradients."""
    optimizer: int
    activations: int
    logits: int

    @property
    def total(self) -> int:
        return self.weights + self.adapter + self.optimizer + self.activations + self.logits


def products(shapes: Shapes) -> int:
    """Weights that multiply every token: all matrices and the head; the embedding is only looked up."""
    return shapes.linear_parameters() + shapes.embedding()


def forward_flops(shapes: Shapes, tokens: float, length: float) -> float:
    """2 x weights a token, and for causal attention 2 x layers x length x width (Kaplan et al. 2020, table 1)."""
    return tokens * 2 * (products(shapes) + shapes.layers * length * shapes.attention_width)


def training_flops(training: Training, tokens: float, epochs: float, length: float) -> float:
    """Forward, backward and reference over `tokens`, in sequences of `length`.

    Backward is twice the forward: one product for the activations' gradient, one for the weights' (Kaplan et al. 2020):
    6ND in all. LoRA's frozen matrices need only the first, so 4ND, while attention has no weights and costs its
    two either way. An adapter's own weights pay all three. Checkpointing computes the forward again (Chen et al. 2016).
    DPO also runs the reference forward (Rafailov et al. 2023, equation 7): 2ND an epoch, or once if precomputed.
    """
    forward = forward_flops(training.shapes, tokens, length)
    dense = 2 * products(training.shapes) * tokens
    total = 3 * forward - (dense if training.rank else 0) + (6 * training.trainable * tokens if training.rank else 0)
    total += forward if training.checkpointing else 0
    if training.preference:
        total += forward / max(epochs, 1) if training.precomputed else forward
    return total


def memory(training: Training) -> Memory:
    """Weights, gradients and moments as in Rajbhandari et al. 2020, section 3 (ZeRO-1 shards moments, 2 gradients,
    3 weights); full-size sequences, so a batch of short ones needs less."""
    shapes, trained, share = training.shapes, training.trainable, 1 / training.gpus
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


def activation_bytes(training: Training) -> int:
    """What the layers keep for the backward pass, after Korthikanti et al. 2022, section 4.1, for this kind of layer:
    no dropout, scaled-dot-product attention (no length x length matrix), a gated MLP. A layer keeps, a token: the
    inputs of two norms and of both blocks (4 hidden), queries, keys, values and the attention's output, and of the
    MLP gate, up, activated gate and their product (4 inner). Checkpointing keeps each layer's input and one layer."""
    shapes = training.shapes
    attention = 2 * shapes.attention_width + 2 * shapes.key_value_heads * shapes.head_size
    layer = 4 * shapes.hidden + attention + 4 * shapes.inner
    a_token = shapes.layers * shapes.hidden + layer if training.checkpointing else shapes.layers * layer
    return training.sequences * training.length * a_token * training.bytes


def logit_bytes(training: Training) -> int:
    """Of every position the logits, their fp32 copy, and the gradients of both (transformers 5.16 upcasts in
    `loss_utils.ForCausalLMLoss`, TRL 1.9 in `selective_log_softmax`). The chunked loss keeps
    a tile, and of every position the hidden state's gradient (`stemma/plugin/logps.py`); so does Liger's, whose chunk
    is a power of 2 near positions x hidden / vocabulary (liger_kernel 0.8.1, `fused_linear_cross_entropy_forward`)."""
    positions = training.sequences * training.length
    values = positions * training.shapes.vocabulary
    if training.chunked:
        return positions * training.shapes.hidden * FP32 + min(TILE_BYTES, values * FP32)
    if training.fused:
        chunk = 2 ** math.ceil(math.log2(positions / math.ceil(training.shapes.vocabulary / training.shapes.hidden)))
        return (positions * training.shapes.hidden + chunk * training.shapes.vocabulary) * training.bytes
    return values * 2 * (training.bytes + (FP32 if training.bytes < FP32 else 0))


def weight_bytes(shapes: Shapes, quantised: str | None, other: int) -> int:
    """The model with its layers' matrices in `int8` or `nf4` and the rest (embedding, head, norms) in `other` bytes."""
    bits = {None: 8.0 * other, "int8": 8.0, "nf4": NF4_BITS}[quantised]
    rest = shapes.parameters() - shapes.linear_parameters()
    return round(shapes.linear_parameters() * bits / 8) + rest * other


def gguf_bytes(shapes: Shapes, kind: str) -> int:
    """A GGUF file's weights. The mixtures of Q4_K_M and Q5_K_M as in llama.cpp's `llama_tensor_get_type`: a tied
    embedding (or the head) and half of the layers' `v_proj` and `down_proj` are Q6_K."""
    if not kind.endswith("_M"):
        return round(shapes.parameters() * BITS[kind] / 8)
    low, high = BITS[kind.removesuffix("_M")], BITS["Q6_K"]
    sizes = {name: a * b for name, (a, b) in shapes.linears().items()}
    raised = sum(_is_raised(layer, shapes.layers) for layer in range(shapes.layers))
    bits = shapes.linear_parameters() * low + raised * (sizes["v_proj"] + sizes["down_proj"]) * (high - low)
    bits += shapes.embedding() * (high if shapes.tied else high + low)
    return round(bits / 8)


def _is_raised(layer: int, layers: int) -> bool:
    """llama.cpp's `use_more_bits`: the first and the last eighth, and every third between."""
    return layer < layers // 8 or layer >= 7 * layers // 8 or (layer - layers // 8) % 3 == 2


def left_bytes(training: Training) -> int:
    """What a LoRA stage leaves: adapter and merged model."""
    return training.trainable * FP32 + training.shapes.parameters() * training.shapes.weight_bytes


def stage_bytes(training: Training, saves: int) -> int:
    """What it leaves and holds meanwhile: checkpoints with their moments, and, for DPO, the full model Axolotl writes
    beside its adapter."""
    checkpoints = saves * training.trainable * (FP32 + training.moments)
    beside = training.shapes.parameters() * training.shapes.weight_bytes if training.preference else 0
    return left_bytes(training) + beside + checkpoints


def export_bytes(shapes: Shapes, export: Mapping[str, Any]) -> dict[str, int]:
    """Every format the export section asks for."""
    merged = {"float32": 4, "bfloat16": 2, "float16": 2}[export["merge"]["dtype"]]
    found = {"merged": shapes.parameters() * merged}
    found |= {f"bnb-{kind}": weight_bytes(shapes, kind, 2) for kind in export["bitsandbytes"]}
    return found | {f"gguf-{kind}": gguf_bytes(shapes, kind) for kind in export["gguf"]["types"]}
