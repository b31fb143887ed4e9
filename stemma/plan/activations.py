"""Activations and logits: the memory of a training step beside weights and optimizer state.

Every term was read off the tensors that autograd saves (`torch.autograd.graph.saved_tensors_hooks`;
the tests do it again for every family): transformers 5.20, peft 0.21 and torch 2.13, batches with
padding.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from stemma.plan.settings import FP32, CostSettings
from stemma.shapes import Shapes

SHARED_INPUTS = (
    ("q_proj", "k_proj", "v_proj"),
    ("o_proj",),
    ("gate_proj", "up_proj"),
    ("down_proj",),
)
"""Matrices that multiply the same tensor."""
TILES = {"cpu": (8 << 20, 1024), "cuda": (256 << 20, 4096)}
"""Bytes of logits at once, and rows of hidden states: `stemma/plugin/logps.py`, which has two
buffers of them."""
TRL_TILE = 2048, 8192
"""Rows of hidden states and of the head that TRL's chunked path multiplies at once (trl 1.14.1,
`trainer/utils.py`)."""
LOSS_BYTES = {(False, True): 14, (False, False): 16, (True, True): 16, (True, False): 24}
"""A logit, at the fullest moment of backward, by (preference pairs, half precision). transformers
5.16's `ForCausalLMLoss`: the logits, in fp32 their log-softmax, its gradient, and the logits' own.
TRL 1.9's `selective_log_softmax`, which goes row by row: more, but for one row. Resident memory
around both on a CPU, 1,024 positions of 64,000 logits in one row or eight: 12.8 to 14.0, 16.0 and
16.1, 15.2 and 15.7, 21.9 and 23.8."""


def activation_bytes(training: CostSettings) -> int:
    """Bytes that the layers keep for the backward pass.

    Checkpointing keeps each layer's input and one whole layer.
    """
    shapes = training.shapes
    layer = layer_bytes(training)
    last_norm = _norm_bytes(training, shapes.hidden)
    kept = shapes.layers * layer
    if training.checkpointing:
        kept = shapes.layers * shapes.hidden * training.bytes + layer
    return round(training.passes * training.passed_length * (kept + last_norm))


def layer_bytes(training: CostSettings) -> float:
    """Bytes a token and layer.

    Norms: see `_norm_bytes`. The MLP: gate, its activation, and up; Liger's kernel keeps gate and
    up only (liger_kernel 0.8.1, `geglu.py`, `swiglu.py`) and computes the rest again.
    """
    shapes = training.shapes
    norms = shapes.family.norms * _norm_bytes(training, shapes.hidden)
    if shapes.family.normed_heads:
        norms += _norm_bytes(training, shapes.attention_width + shapes.key_width)
    mlp = (2 if "glu_activation" in training.liger else 3) * shapes.inner * training.bytes
    return norms + mlp + _attention_bytes(training) + _input_bytes(training)


def _norm_bytes(training: CostSettings, width: int) -> int:
    """A norm keeps its input as fp32, which in half precision is a copy (`*RMSNorm.forward`), and
    where its own weight is trained what that multiplies; Liger's keeps the input itself
    (liger_kernel 0.8.1, `rms_norm.py`)."""
    if "rms_norm" in training.liger:
        return width * training.bytes
    normed = FP32 if training.shapes.family.exact_norms else training.bytes
    return width * (FP32 + (0 if training.rank else normed))


def _attention_bytes(training: CostSettings) -> float:
    """Queries, keys, values, all as wide as the queries: under a mask grouped keys are repeated for
    every head (transformers' `sdpa_attention.use_gqa_in_sdpa`), but a single one is only looked at
    again.

    The fused kernel also keeps its output and the mask in the scores' dtype. Eager attention keeps
    heads x length values instead: the fp32 softmax, its copy in half precision, and of capped
    scores the tanh.
    """
    shapes, length = training.shapes, training.passed_length
    queries, value = shapes.attention_width, training.bytes
    if not training.eager:
        keys = shapes.key_width if shapes.key_value_heads == 1 else queries
        return (2 * queries + 2 * keys + length) * value + shapes.heads * FP32
    score = FP32 + (value if value < FP32 else 0) + (value if shapes.family.capped else 0)
    return 3 * queries * value + shapes.heads * length * score


def _input_bytes(training: CostSettings) -> int:
    """The inputs of trained matrices: frozen ones need none (int8 ones do: bitsandbytes 0.50,
    `MatMul8bitLt`).

    In half precision every adapted matrix keeps a copy of its own: PEFT casts the input to the
    adapter's fp32 (`LoraLayer._cast_input_dtype`) and autocast casts it back. In fp32 q, k and v
    share one, gate and up too, and o_proj's is what the fused attention keeps anyway. Dropout makes
    an input of its own for every matrix, and a mask: of fp32 on a CPU, of one byte on a GPU.
    """
    inputs = {name: size for name, (size, _) in training.shapes.linears().items()}
    own = sum(inputs[name] for name in training.targets)
    low_rank = len(training.targets) * training.rank * training.bytes
    copies = training.bytes < FP32 or training.dropout
    kept = own * training.bytes if copies else 0
    if not training.rank or training.quantised == "int8":
        kept += _shared(training, inputs)
    elif not copies:
        kept += _shared(training, training.targets)
    return kept + low_rank + (own * (FP32 if training.cpu else 1) if training.dropout else 0)


def _shared(training: CostSettings, names: Iterable[str]) -> int:
    """Each input once, however many of the named matrices it goes into."""
    inputs = {name: size for name, (size, _) in training.shapes.linears().items()}
    wanted = [group for group in SHARED_INPUTS if set(group) & set(names)]
    kept = [group for group in wanted if training.eager or group != ("o_proj",)]
    return sum(inputs[group[0]] for group in kept) * training.bytes


def logit_bytes(training: CostSettings) -> int:
    """Bytes of all positions' logits and of what the loss makes of them, by `LOSS_BYTES`.

    The chunked loss holds two buffers of a tile, and of every answer token three times its hidden
    state in fp32: the head's pull, the gradient made of it, and all of these in one tensor
    (`stemma/plugin/logps.py`). Liger's loss keeps a gradient of every position; its chunk is a
    power of 2 near positions x hidden / vocabulary (liger_kernel 0.8.1,
    `fused_linear_cross_entropy_forward`).
    """
    hidden = training.shapes.hidden
    vocabulary = training.shapes.vocabulary
    positions = training.sequences * training.length
    if training.logits == "stemma":
        scored = round(positions * training.answers)
        most, rows = TILES["cpu" if training.cpu else "cuda"]
        tile = min(most, min(scored, rows) * vocabulary * FP32)
        return 3 * scored * hidden * FP32 + 2 * tile
    if training.logits == "trl":
        return _trl_tiles(training, round(positions * training.answers))
    if training.logits == "liger":
        chunk = 2 ** math.ceil(math.log2(positions / math.ceil(vocabulary / hidden)))
        return (positions * hidden + chunk * vocabulary) * training.bytes
    return positions * vocabulary * LOSS_BYTES[training.preference, training.bytes < FP32]


def _trl_tiles(training: CostSettings, scored: int) -> int:
    """trl 1.14.1, `_ChunkedLogProbFunction.backward`: of every answer token its hidden state and in
    fp32 the gradient, and tiles, of which six are alive at once, seven where a cap keeps its tanh;
    a whole head that is trained gets its gradient in fp32."""
    hidden = training.shapes.hidden
    vocabulary = training.shapes.vocabulary
    rows, width = TRL_TILE
    capped = FP32 if training.shapes.family.capped else 0
    tile = min(scored, rows) * min(vocabulary, width) * (training.bytes + 5 * FP32 + capped)
    head = 0 if training.rank else vocabulary * hidden * FP32
    return scored * hidden * (training.bytes + FP32) + tile + head


def uses_eager(shapes: Shapes, asked: str | None) -> bool:
    """Whether attention makes a length x length matrix.

    It does where it is asked for, and where Stemma chooses it because scores are capped.
    """
    return asked == "eager" if asked else shapes.family.capped
