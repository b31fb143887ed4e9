"""Shapes of a decoder from its config.json: its parameters, and the matrices for an adapter. Pure.

No weights, no torch, and no pydantic, which a bare GPU machine lacks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from stemma.errors import Problem, UserError

DTYPE_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
NORMS = (
    "input_layernorm",
    "post_attention_layernorm",
    "pre_feedforward_layernorm",
    "post_feedforward_layernorm",
)
"""In the order in which `Family.norms` counts them."""
ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")
MLP = ("gate_proj", "up_proj", "down_proj")


@dataclass(frozen=True)
class Family:
    """Facts of an architecture that its config.json does not hold."""

    norms: int = 2
    """RMS norms a layer."""
    normed_heads: bool = False
    """Whether the heads of queries and keys are normed too."""
    exact_norms: bool = False
    """Whether norms multiply in float32."""
    capped: bool = False
    """Whether scores are capped; attention is then eager (`stemma.weights.attention_of`)."""
    biased: tuple[str, ...] = ()
    """Matrices that have a bias."""


FAMILIES = {
    "gemma": Family(exact_norms=True),
    "gemma2": Family(norms=4, exact_norms=True, capped=True),
    "gemma3_text": Family(norms=4, normed_heads=True, exact_norms=True),
    "llama": Family(),
    "qwen2": Family(biased=("q_proj", "k_proj", "v_proj")),
    "qwen3": Family(normed_heads=True),
}
"""Read in transformers 5.20 `models/*/modeling_*.py`; the tests compare every count with the real
classes."""

KEYS = (
    "model_type",
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
)
GEMMA = {
    "model_type": "gemma",
    "hidden_size": 3072,
    "intermediate_size": 24576,
    "num_hidden_layers": 28,
    "num_attention_heads": 16,
    "num_key_value_heads": 16,
    "head_dim": 256,
    "dtype": "float32",
}
"""transformers' defaults, for what a recipe's `base.model` leaves out."""


def _published(model_type: str, *sizes: int) -> dict[str, Any]:
    names = (*KEYS[1:], "num_key_value_heads", "head_dim")
    return {
        "model_type": model_type,
        "tie_word_embeddings": True,
        **dict(zip(names, sizes, strict=True)),
    }


PUBLISHED = {
    "google/gemma-2b": _published("gemma", 256000, 2048, 16384, 18, 8, 1, 256),
    "google/gemma-2-2b": _published("gemma2", 256000, 2304, 9216, 26, 8, 4, 256),
    "google/gemma-3-1b-pt": _published("gemma3_text", 262144, 1152, 6912, 26, 4, 1, 256),
    "Qwen/Qwen2.5-0.5B": _published("qwen2", 151936, 896, 4864, 24, 14, 2, 64),
    "Qwen/Qwen3-0.6B-Base": _published("qwen3", 151936, 1024, 3072, 28, 16, 8, 128),
    "meta-llama/Llama-3.2-1B": _published("llama", 128256, 2048, 8192, 16, 32, 8, 64),
}
"""Sizes from the config.json on each model card, all in bf16: `plan` works before anything is
fetched."""


@dataclass(frozen=True)
class Shapes:
    """Sizes of a decoder with gated MLPs and grouped attention."""

    family: Family
    vocabulary: int
    hidden: int
    inner: int
    layers: int
    heads: int
    key_value_heads: int
    head_size: int
    tied: bool
    biased: tuple[str, ...]
    weight_bytes: int
    """Bytes a weight in the files."""
    origin: str
    """The file the figures were read from."""
    positions: int | None = None
    """Tokens a sequence may have, where the config says so."""

    @property
    def attention_width(self) -> int:
        return self.heads * self.head_size

    @property
    def key_width(self) -> int:
        return self.key_value_heads * self.head_size

    def linears(self) -> dict[str, tuple[int, int]]:
        """(in, out) of one layer's matrices."""
        queries = self.attention_width
        keys = self.key_width
        return {
            "q_proj": (self.hidden, queries),
            "k_proj": (self.hidden, keys),
            "v_proj": (self.hidden, keys),
            "o_proj": (queries, self.hidden),
            "gate_proj": (self.hidden, self.inner),
            "up_proj": (self.hidden, self.inner),
            "down_proj": (self.inner, self.hidden),
        }

    def linear_parameters(self) -> int:
        """All layers' matrices: what bitsandbytes quantises."""
        return self.layers * sum(a * b for a, b in self.linears().values())

    def embedding(self) -> int:
        return self.vocabulary * self.hidden

    def tables(self) -> int:
        """The embedding and, where it is not the same, the head."""
        return self.embedding() * (1 if self.tied else 2)

    def parameters(self) -> int:
        """Every weight once; a tied head is the embedding."""
        biases = sum(self.linears()[name][1] for name in self.biased)
        norms = self.family.norms * self.hidden
        if self.family.normed_heads:
            norms += 2 * self.head_size
        last_norm = self.hidden
        per_layer = biases + norms
        return self.tables() + self.linear_parameters() + self.layers * per_layer + last_norm

    def tensors(self) -> dict[str, tuple[int, ...]]:
        """The shape of every tensor in a file of this model by name, as torch stores it.

        A tied head is not among them.
        """
        table = (self.vocabulary, self.hidden)
        found: dict[str, tuple[int, ...]] = {
            "model.embed_tokens.weight": table,
            "model.norm.weight": (self.hidden,),
        }
        if not self.tied:
            found["lm_head.weight"] = table
        one_layer = self._layer()
        for layer in range(self.layers):
            found |= {f"model.layers.{layer}.{name}": shape for name, shape in one_layer.items()}
        return found

    def _layer(self) -> dict[str, tuple[int, ...]]:
        places = dict.fromkeys(ATTENTION, "self_attn") | dict.fromkeys(MLP, "mlp")
        norms = NORMS[: self.family.norms]
        found: dict[str, tuple[int, ...]] = {f"{name}.weight": (self.hidden,) for name in norms}
        for name, (width, out) in self.linears().items():
            found[f"{places[name]}.{name}.weight"] = (out, width)
        found |= {f"{places[name]}.{name}.bias": (self.linears()[name][1],) for name in self.biased}
        heads = ("q_norm", "k_norm") if self.family.normed_heads else ()
        return found | {f"self_attn.{name}.weight": (self.head_size,) for name in heads}

    def adapter_parameters(self, rank: int, targets: Sequence[str]) -> int:
        """Parameters of a LoRA: A is rank x in, B is out x rank, on every layer (Hu et al. 2021,
        section 4.1)."""
        return self.layers * rank * sum(sum(self.linears()[name]) for name in targets)


def parse(config: dict[str, Any], origin: str) -> Shapes:
    """The shapes in a config.json. Raises UserError for an architecture that is not known here."""
    kind = config.get("model_type")
    missing = [key for key in KEYS if key not in config]
    if kind not in FAMILIES or missing:
        found = f"no {', '.join(missing)}" if missing else f"architecture `{kind}`"
        raise UserError(Problem(origin, found, f"config.json of one of {', '.join(FAMILIES)}"))
    wrong = [key for key in KEYS[1:] if type(config[key]) is not int or config[key] < 1]
    if wrong:
        found = ", ".join(f"`{key}` is {config[key]!r}" for key in wrong)
        raise UserError(Problem(origin, found, "whole numbers above 0"))
    heads = config["num_attention_heads"]
    hidden = config["hidden_size"]
    return Shapes(
        family=FAMILIES[kind],
        vocabulary=config["vocab_size"],
        hidden=hidden,
        inner=config["intermediate_size"],
        layers=config["num_hidden_layers"],
        heads=heads,
        key_value_heads=config.get("num_key_value_heads") or heads,
        head_size=config.get("head_dim") or hidden // heads,
        tied=_tied(config),
        biased=_biased(config),
        weight_bytes=DTYPE_BYTES[config.get("dtype") or config.get("torch_dtype") or "bfloat16"],
        origin=origin,
        positions=config.get("max_position_embeddings"),
    )


def _tied(config: dict[str, Any]) -> bool:
    """Whether the head is the embedding.

    Older files leave it out where it is the class's default: true for Gemma, false for the others.
    """
    return bool(config.get("tie_word_embeddings", config["model_type"].startswith("gemma")))


def _biased(config: dict[str, Any]) -> tuple[str, ...]:
    attention = ATTENTION if config.get("attention_bias") else FAMILIES[config["model_type"]].biased
    return (*attention, *(MLP if config.get("mlp_bias") else ()))
