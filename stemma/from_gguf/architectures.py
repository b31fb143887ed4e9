"""Translation of a GGUF's architecture for transformers: config, names of weights, and layouts.

Strict on purpose: a header key that is not understood would make a folder that answers differently
without a word.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stemma.errors import Problem, UserError
from stemma.from_gguf.header import GgufFile, Tensor, gguf_py

COMMON = {
    "context_length": "max_position_embeddings",
    "block_count": "num_hidden_layers",
    "embedding_length": "hidden_size",
    "feed_forward_length": "intermediate_size",
    "attention.head_count": "num_attention_heads",
    "attention.head_count_kv": "num_key_value_heads",
    "attention.layer_norm_rms_epsilon": "rms_norm_eps",
}
OPTIONAL = {
    "rope.freq_base": "rope_theta",
    "rope.dimension_count": "head_dim",
    "attention.key_length": "head_dim",
    "attention.value_length": "head_dim",
    "vocab_size": "vocab_size",
}
REAL = {
    *("attention.layer_norm_rms_epsilon", "rope.freq_base", "rope.freq_base_swa"),
    *("attn_logit_softcapping", "final_logit_softcapping"),
}
"""Keys that are no whole numbers."""
LARGEST = 2**24
"""Beyond every size there is; more is a damaged header, and would not be refused before memory ran
out."""
SLIDING = {"attention.sliding_window": "sliding_window"}
CAPPED = SLIDING | {
    "attn_logit_softcapping": "attn_logit_softcapping",
    "final_logit_softcapping": "final_logit_softcapping",
}
WINDOWED = SLIDING | {"rope.freq_base_swa": "rope_local"}


@dataclass(frozen=True)
class Architecture:
    """One architecture of llama.cpp as transformers knows it."""

    model_type: str
    own: dict[str, str]
    """Header keys it has besides the common ones, and what the config calls them."""
    permuted: bool = False
    """The converter interleaves the halves of each rotary head in q and k."""
    shifted_norms: bool = False
    """The converter adds 1 to the norms' weights."""


ARCHITECTURES = {
    "llama": Architecture("llama", {}, permuted=True),
    "qwen2": Architecture("qwen2", {}),
    "qwen3": Architecture("qwen3", {}),
    "gemma": Architecture("gemma", {}, shifted_norms=True),
    "gemma2": Architecture("gemma2", CAPPED, shifted_norms=True),
    "gemma3": Architecture("gemma3_text", WINDOWED, shifted_norms=True),
}
LARGE_GEMMA = {("gemma2", 46), ("gemma3", 62)}
"""By architecture and layers: Gemma 2 and 3 27B, which scale attention's scores by another size
than the head's."""
ROPE_FACTORS = "rope_freqs.weight"
"""Llama 3's stretched rotary frequencies: computed from its config by the converter, so they go
back there."""
LLAMA3_ROPE = {
    "rope_type": "llama3",
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}
"""As in every published Llama 3.1 and 3.2; only `factor` differs (8 and 32)."""


def header_problems(gguf: GgufFile) -> list[Problem]:
    """Problems with the header: its architecture, keys that are missing, keys that are not known
    here."""
    name, where = gguf.architecture, str(gguf.path)
    if name not in ARCHITECTURES:
        found = f"architecture `{name}`" if name else "no architecture in its header"
        return [Problem(where, found, f"one of {', '.join(ARCHITECTURES)}")]
    header = gguf.of_architecture()
    missing = COMMON.keys() - {"attention.head_count_kv"} - header.keys()
    expected = "only keys whose meaning is known here"
    return [
        *(
            Problem(where, f"no `{name}.{key}` in its header", "a whole header")
            for key in sorted(missing)
        ),
        *(
            Problem(where, f"header key `{name}.{key}` = {value}", expected)
            for key, value in header.items()
            if key not in _known(gguf)
        ),
        *_senseless(gguf),
    ]


def _senseless(gguf: GgufFile) -> Iterator[Problem]:
    """Values that no model can have, or that its tensors contradict: found before a model of that
    size is made."""
    where, header = str(gguf.path), gguf.of_architecture()
    for key, value in header.items():
        if key not in _known(gguf):
            continue
        kind, what = (float, "a number") if key in REAL else (int, "a whole number")
        if not (type(value) is kind and 0 < value <= (math.inf if key in REAL else LARGEST)):
            yield Problem(
                where, f"header key `{gguf.architecture}.{key}` = {value}", f"{what} above 0"
            )
    layers = len({name.split(".")[1] for name in gguf.tensors if name.startswith("blk.")})
    said = header.get("block_count", layers)
    if gguf.tensors and said != layers:
        yield Problem(
            where, f"tensors of {layers} layers", f"of {said}, by `{gguf.architecture}.block_count`"
        )


def architecture_of(gguf: GgufFile) -> Architecture:
    """The architecture of a header without problems."""
    return ARCHITECTURES[gguf.architecture]


def _known(gguf: GgufFile) -> dict[str, str]:
    return COMMON | OPTIONAL | architecture_of(gguf).own


def config_of(gguf: GgufFile) -> dict[str, Any]:
    """The values of config.json that a header without problems tells.

    Raises UserError where two keys disagree.
    """
    known = _known(gguf)
    config: dict[str, Any] = {}
    for key, value in gguf.of_architecture().items():
        if config.setdefault(known[key], _exact(value)) != _exact(value):
            found = f"`{gguf.architecture}.{key}` is {value}, another key says {config[known[key]]}"
            raise UserError(Problem(str(gguf.path), found, f"one `{known[key]}`"))
    return config | _derived(gguf, config)


def _exact(value: Any) -> Any:
    """A float32 of the header as it was meant: 1e-05, not 9.999999747378752e-06."""
    return float(str(np.float32(value))) if isinstance(value, float) else value


def _derived(gguf: GgufFile, config: dict[str, Any]) -> dict[str, Any]:
    """The values that the header tells only through the tokenizer and the tensors."""
    heads = config["num_attention_heads"]
    head_dim = config.get("head_dim", config["hidden_size"] // heads)
    ids = {
        f"{ours}_token_id": gguf.tokenizer(f"{theirs}_token_id")
        for ours, theirs in (("bos", "bos"), ("eos", "eos"), ("pad", "padding"))
    }
    found = {
        "vocab_size": config.get("vocab_size", len(gguf.tokenizer("tokens"))),
        "num_key_value_heads": config.get("num_key_value_heads", heads),
        "head_dim": head_dim,
        "tie_word_embeddings": "output.weight" not in gguf.tensors,
    }
    if architecture_of(
        gguf
    ).own:  # Gemma 2 and 3 scale scores by this; llama.cpp knows it by the model's size
        large = (gguf.architecture, config["num_hidden_layers"]) in LARGE_GEMMA
        found["query_pre_attn_scalar"] = config["hidden_size"] // heads if large else head_dim
    return ids | found | {"rope_parameters": _rope(gguf, config, head_dim)}


def _rope(gguf: GgufFile, config: dict[str, Any], head_dim: int) -> dict[str, Any]:
    """The rotary settings, whose keys leave `config`; Gemma 3's windowed layers have frequencies of
    their own."""
    theta, local = config.pop("rope_theta", 10000.0), config.pop("rope_local", 10000.0)
    if gguf.architecture == "gemma3":
        bases = {"full_attention": theta, "sliding_attention": local}
        return {kind: {"rope_type": "default", "rope_theta": base} for kind, base in bases.items()}
    stretched = ROPE_FACTORS in gguf.tensors
    return (_llama3_rope(gguf, theta, head_dim) if stretched else {"rope_type": "default"}) | {
        "rope_theta": theta
    }


def _llama3_rope(gguf: GgufFile, theta: float, head_dim: int) -> dict[str, Any]:
    """The rope settings whose factors are those of the file.

    Raises UserError when there are none.
    """
    stored = gguf.tensors[ROPE_FACTORS].values()
    rope = LLAMA3_ROPE | {"factor": float(stored.max())}
    if not np.allclose(stored, llama3_factors(rope, theta, head_dim), rtol=1e-5):
        found = f"{ROPE_FACTORS} is not Llama 3's"
        expected = "rotary frequencies as Llama 3.1 stretches them"
        raise UserError(Problem(str(gguf.path), found, expected))
    return rope


def llama3_factors(rope: dict[str, Any], theta: float, head_dim: int) -> NDArray[np.float64]:
    """The divisor of each rotary frequency [head_dim / 2], as Llama 3.1 stretches them.

    It is 1 for short waves, `factor` for long ones, and goes smoothly between.
    """
    waves = 2 * math.pi * theta ** (np.arange(0, head_dim, 2) / head_dim)
    turns = rope["original_max_position_embeddings"] / waves
    low, high = rope["low_freq_factor"], rope["high_freq_factor"]
    smooth = np.clip((turns - low) / (high - low), 0.0, 1.0)
    return np.asarray(1 / ((1 - smooth) / rope["factor"] + smooth))


def weight_names(gguf: GgufFile, parameters: dict[str, tuple[int, ...]]) -> dict[str, str]:
    """{name in the GGUF: name in transformers} for every tensor.

    `parameters`: the shapes of the model that config.json describes. Raises UserError where one
    side has a tensor that the other lacks, or of another shape.
    """
    module = gguf_py()
    kinds = {name: kind for kind, name in module.MODEL_ARCH_NAMES.items()}
    layers = gguf.of_architecture()["block_count"]
    table = module.get_tensor_name_map(kinds[gguf.architecture], layers)
    names = {}
    for parameter in parameters:
        stem, _, suffix = parameter.rpartition(".")
        names[f"{table.get_name(stem)}.{suffix}"] = parameter
    stored = {name: tensor.shape for name, tensor in gguf.tensors.items() if name != ROPE_FACTORS}
    problems = [
        Problem(
            str(gguf.path),
            f"tensor {name} is {stored.get(name, 'missing')}",
            f"{wanted}, by the header",
        )
        for name in sorted(names.keys() | stored.keys())
        if stored.get(name) != (wanted := parameters.get(names.get(name, ""), "no such tensor"))
    ]
    if problems:
        raise UserError(problems[:20])
    return names


def original(
    tensor: Tensor, config: dict[str, Any], architecture: Architecture
) -> NDArray[np.float32]:
    """The dequantised weights as transformers has them: what the converter changed is turned
    back."""
    values = tensor.values()
    if architecture.shifted_norms and tensor.name.endswith("norm.weight"):
        return values - np.float32(1)
    if architecture.permuted and ".attn_q." in tensor.name:
        return _unpermute(values, config["num_attention_heads"])
    if architecture.permuted and ".attn_k." in tensor.name:
        return _unpermute(values, config["num_key_value_heads"])
    return values


def _unpermute(values: NDArray[np.float32], heads: int) -> NDArray[np.float32]:
    """[heads x (pair, half), in] to [heads x (half, pair), in]."""
    pairs = values.shape[0] // heads // 2
    turned = values.reshape(heads, pairs, 2, *values.shape[1:]).swapaxes(1, 2)
    return turned.reshape(values.shape)
