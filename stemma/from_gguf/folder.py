"""The writer of the model folder, one tensor at a time, so that memory stays at one shard."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from stemma.errors import Problem, UserError
from stemma.from_gguf import BYTES, Dtype
from stemma.from_gguf.architectures import architecture_of, config_of, original, weight_names
from stemma.from_gguf.header import GgufFile
from stemma.from_gguf.tokenizer_files import write_tokenizer
from stemma.jsonl import write_json

SHARD_BYTES = 2**30


def write_folder(gguf: GgufFile, dtype: Dtype, template: str, folder: Path) -> None:
    """Write the whole model folder: config, tokenizer with the chat template, weights."""
    write_tokenizer(gguf, template, folder)
    _write_generation_config(gguf, folder)
    _write_model(gguf, dtype, folder)


def _write_model(gguf: GgufFile, dtype: Dtype, folder: Path) -> None:
    """config.json and the weights. Raises UserError where the header and the weights disagree."""
    from huggingface_hub.errors import StrictDataclassError
    from transformers import AutoConfig, AutoModelForCausalLM

    kind = architecture_of(gguf)
    values = config_of(gguf)
    try:
        config: Any = AutoConfig.for_model(kind.model_type, **values, dtype=dtype)
    except StrictDataclassError as error:
        reason = str(error).splitlines()[-1].strip()
        problem = Problem(str(gguf.path), reason, "a header whose sizes fit together")
        raise UserError(problem) from None
    with torch.device("meta"):
        model: Any = AutoModelForCausalLM.from_config(config)
    config.architectures = [type(model).__name__]
    config.save_pretrained(folder)
    shapes = {name: tuple(weight.shape) for name, weight in model.state_dict().items()}
    if config.tie_word_embeddings:
        del shapes["lm_head.weight"]
    names = weight_names(gguf, shapes)
    _write_shards(_weights(gguf, names, values, dtype), gguf.weights() * BYTES[dtype], folder)


def _write_generation_config(gguf: GgufFile, folder: Path) -> None:
    """Name the ends for `generate`: of a text, and of a turn where the header names one."""
    ids = {gguf.tokenizer(f"{name}_token_id") for name in ("eos", "eot")} - {None}
    value: dict[str, Any] = {"_from_model_config": False, "eos_token_id": sorted(ids)}
    for ours, theirs in (("bos", "bos"), ("pad", "padding")):
        if (number := gguf.tokenizer(f"{theirs}_token_id")) is not None:
            value[f"{ours}_token_id"] = number
    write_json(folder / "generation_config.json", value)


Weight = tuple[str, torch.Tensor]


def _weights(
    gguf: GgufFile, names: dict[str, str], config: dict[str, Any], dtype: Dtype
) -> Iterator[Weight]:
    """Every weight by its name in transformers. Raises UserError for one that is not finite."""
    kind = architecture_of(gguf)
    for name, ours in names.items():
        values = original(gguf.tensors[name], config, kind)
        where = f"{gguf.path}, tensor {name}"
        if not np.isfinite(values).all():
            found = f"{int((~np.isfinite(values)).sum()):,} weights that are not finite"
            raise UserError(Problem(where, found, "a model that was whole when it was quantised"))
        weight = torch.tensor(values).to(getattr(torch, dtype))
        if not torch.isfinite(weight).all():
            found = f"weights up to {np.abs(values).max():.3g}, too large for {dtype}"
            raise UserError(Problem(where, found, "--dtype bfloat16 or float32"))
        yield ours, weight


def _write_shards(weights: Iterator[Weight], total: int, folder: Path) -> None:
    """model.safetensors, or numbered parts of at most about a gigabyte and their index."""
    shards: list[list[str]] = []
    waiting: dict[str, torch.Tensor] = {}
    for name, weight in weights:
        waiting[name] = weight
        if sum(w.nbytes for w in waiting.values()) >= SHARD_BYTES:
            shards.append(_write_shard(waiting, folder, len(shards)))
    if waiting:
        shards.append(_write_shard(waiting, folder, len(shards)))
    if len(shards) == 1:
        (folder / _part(0)).rename(folder / "model.safetensors")
        return
    place: dict[str, str] = {}
    for number, names in enumerate(shards):
        name = f"model-{number + 1:05}-of-{len(shards):05}.safetensors"
        (folder / _part(number)).rename(folder / name)
        place |= dict.fromkeys(names, name)
    index = {"metadata": {"total_size": total}, "weight_map": place}
    write_json(folder / "model.safetensors.index.json", index)


def _write_shard(waiting: dict[str, torch.Tensor], folder: Path, number: int) -> list[str]:
    save_file(waiting, folder / _part(number), metadata={"format": "pt"})
    names = list(waiting)
    waiting.clear()
    return names


def _part(number: int) -> str:
    return f"part-{number}.safetensors"
