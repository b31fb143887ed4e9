"""Stage `export`: an adapter becomes merged weights, bitsandbytes folders and GGUF files.

Each format is proven against the merged weights. This is the registry of what can be made: a
variant's name, what it costs in bits, and how far it may drift.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stemma.gate import Budget

if TYPE_CHECKING:
    from stemma.recipe.sections import Gates


@dataclass(frozen=True)
class Format:
    """One way to store the weights."""

    bits_per_weight: float
    budget: Budget


# Published drifts of 2B to 8B models are 5 to 20 times below these budgets (Q8_0 0.001, Q4_K_M 0.03
# nats): a budget is there to catch a broken file, and small models, whose weights carry more each,
# lose more in the same format.
FORMATS = {
    # One scale a row, outliers in fp16; embeddings stay whole.
    "bnb-int8": Format(8.0, Budget(0.05, 0.90)),
    # 16 levels, double-quantised scales; embeddings stay whole.
    "bnb-nf4": Format(4.1, Budget(0.30, 0.75)),
    # Only the 16-bit KV cache differs.
    "gguf-F32": Format(32.0, Budget(0.001, 0.99)),
    # Activations are rounded to bf16 in every product.
    "gguf-BF16": Format(16.0, Budget(0.01, 0.97)),
    "gguf-F16": Format(16.0, Budget(0.002, 0.98)),
    "gguf-Q8_0": Format(8.5, Budget(0.02, 0.95)),
    "gguf-Q6_K": Format(6.6, Budget(0.05, 0.90)),
    "gguf-Q5_K_M": Format(5.7, Budget(0.10, 0.85)),
    "gguf-Q4_K_M": Format(4.9, Budget(0.25, 0.75)),
}


def budget_of(variant: str, gates: Gates) -> Budget:
    """A variant's budget: the built-in one, but for limits of the recipe (`export.gates`)."""
    built_in = FORMATS[variant].budget
    return Budget(
        gates.max_kl.get(variant, built_in.max_kl),
        gates.min_top1.get(variant, built_in.min_top1),
    )
