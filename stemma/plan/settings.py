"""One training stage's settings as far as they cost: what `costs` and `activations` compute from.
Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from stemma.shapes import Shapes

FP32 = 4

Logits = Literal["all", "stemma", "trl", "liger"]
"""Logits that the loss makes at once: all, or a tile. Stemma's DPO trainer and TRL's chunked path
(`dpo_use_liger_kernel`) put answers alone through the head, Liger's fused linear cross-entropy
every token."""


@dataclass(frozen=True)
class CostSettings:
    """One training stage as the cost formulas see it."""

    shapes: Shapes
    rank: int
    """Of the LoRA; 0: every weight is trained."""
    targets: tuple[str, ...]
    preference: bool
    precomputed: bool
    """The reference's log-probabilities are computed once, not at every epoch."""
    checkpointing: bool
    logits: Logits
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
    """DeepSpeed's stage; 0 also without DeepSpeed."""
    gpus: int
    adapters: int = 0
    """Weights of all adapters; 0: every layer has the same ones."""
    answers: float = 1.0
    """Share of a sequence's tokens that are its answer."""
    shared: bool = False
    """A pair goes through the layers as one sequence, its prompt once
    (`stemma/plugin/shared.py`)."""
    eager: bool = False
    """Attention makes a matrix of length x length a head."""
    dropout: bool = False
    cpu: bool = False
    """Without a GPU: smaller tiles of logits, wider masks of dropout."""
    deepspeed: bool = False
    liger: frozenset[str] = frozenset()
    """Liger's kernels in place of the model's own, as in Axolotl's keys: `rms_norm`,
    `glu_activation`, …"""

    @property
    def trainable(self) -> int:
        if not self.rank:
            return self.shapes.parameters()
        return self.adapters or self.shapes.adapter_parameters(self.rank, self.targets)

    @property
    def passes(self) -> float:
        """Sequences of a micro-batch that go through the layers."""
        return self.sequences / 2 if self.shared else self.sequences

    @property
    def passed_length(self) -> float:
        """Their tokens: of a joined pair a prompt and two answers."""
        return self.length * (1 + self.answers) if self.shared else self.length
