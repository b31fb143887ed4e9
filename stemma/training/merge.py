"""Merging: an adapter and its base become one model folder, with tokenizer and chat template.

transformers 5 never writes `tokenizer.model`, drops `added_tokens_decoder` and leaks a local path;
the GGUF converter needs the first two. So the tokenizer files are copied, not saved.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stemma.base_model.vocabulary import special_ids
from stemma.errors import Problem, UserError
from stemma.files import new_folder
from stemma.jsonl import read_json, write_json
from stemma.templates import Template

if TYPE_CHECKING:
    from torch import Tensor

    from stemma.tensors import Tensors
    from stemma.training.lora import Lora

TOKENIZER_FILES = (
    "tokenizer.model",
    "tokenizer.json",
    "vocab.json",
    "merges.txt",
    "special_tokens_map.json",
    "added_tokens.json",
)
CODE = ("auto_map", "custom_pipelines")
"""Settings that name Python code beside the weights, or in another repository."""
TOKEN_FIELDS = ("content", "lstrip", "normalized", "rstrip", "single_word", "special")


def merge_adapter(start: Path, adapter: Path, target: Path, template: Template) -> None:
    """Write `start` with `adapter` merged in, in the dtype of `start`, to `target`.

    The folder appears whole or not at all.
    """
    write_merged(MergeParts(start, adapter), target, template)


@dataclass(frozen=True)
class MergeParts:
    """The parts of one model."""

    start: Path
    adapter: Path | None
    """None: the start alone."""
    dtype: str | None = None
    """None: the start's own."""


def write_merged(merge: MergeParts, target: Path, template: Template) -> None:
    """Write the merged model to `target`; it appears whole or not at all.

    Tensor by tensor from file to file, bit for bit what PEFT's merge gives, in memory for the
    largest adapted matrix (stored, twice in float32, once merged), the adapter, and a piece of a
    few megabytes. An adapter that is more than sums goes through PEFT, with the whole model in
    memory, in float32 where another dtype is asked for.
    """
    from stemma.tensors import Tensors
    from stemma.training.lora import Lora

    tensors = Tensors(merge.start)
    lora = Lora(merge.adapter) if merge.adapter else None
    if lora and lora.beyond(tensors):
        _merge_by_peft(merge, target, template)
        return
    with new_folder(target) as part:
        _stream(tensors, lora, merge.dtype, part / "model.safetensors")
        _write_config(merge, part)
        _write_beside_weights(part, merge.start, template)


def _stream(tensors: Tensors, lora: Lora | None, dtype: str | None, path: Path) -> None:
    """Sums are made in float32 and cast once: adding in 16 bits rounds twice."""
    import torch

    from stemma.tensors import Shape, write_tensors

    def shape(name: str) -> Shape:
        found = tensors[name].shape
        if dtype and found.dtype.is_floating_point:
            return replace(found, dtype=getattr(torch, dtype))
        return found

    def pieces(name: str) -> Iterator[Tensor]:
        added = lora.added_to(name) if lora else None
        if added is None:
            yield from (piece.to(shape(name).dtype) for piece in tensors[name].pieces())
        else:
            yield added.add_(tensors[name][...]).to(shape(name).dtype)

    write_tensors(path, {name: shape(name) for name in tensors}, pieces)


def _merge_by_peft(merge: MergeParts, target: Path, template: Template) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    dtype = torch.float32 if merge.dtype else "auto"
    with torch.no_grad():
        model: Any = AutoModelForCausalLM.from_pretrained(
            merge.start, dtype=dtype, device_map={"": "cpu"}
        )
        model = PeftModel.from_pretrained(model, str(merge.adapter)).merge_and_unload()
        if merge.dtype:
            model = model.to(getattr(torch, merge.dtype))
        write_model(model, merge.start, target, template)


def _write_config(merge: MergeParts, part: Path) -> None:
    """As transformers writes it, with the dtype that the weights have now."""
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(merge.start)
    if merge.dtype:
        config.dtype = merge.dtype
    config.save_pretrained(part)


def write_model(model: Any, source: Path, target: Path, template: Template) -> None:
    """Save `model` as safetensors, with `source`'s tokenizer, the template and its stop token."""
    with new_folder(target) as part:
        model.save_pretrained(part)
        _write_beside_weights(part, source, template)


def _write_beside_weights(part: Path, source: Path, template: Template) -> None:
    """The files beside the weights: tokenizer, template, stop tokens."""
    copy_tokenizer(source, part, template)
    _write_generation_config(source, part, template)
    leave_out_code(part)


def leave_out_code(folder: Path) -> None:
    """Take out of a model folder's settings what names Python code of its own: whoever loads it
    and trusts remote code would fetch and run that."""
    for path in folder.glob("*config.json"):
        value = read_json(path)
        without = _without_code(value)
        if without != value:
            write_json(path, without)


def _without_code(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_code(inner) for name, inner in value.items() if name not in CODE}
    return value


def copy_tokenizer(source: Path, target: Path, template: Template) -> None:
    """The tokenizer files of `source` with the recipe's chat template."""
    for name in TOKENIZER_FILES:
        if (source / name).is_file():
            shutil.copyfile(source / name, target / name)
    config = read_json(source / "tokenizer_config.json")
    if "added_tokens_decoder" not in config:
        added = read_json(source / "tokenizer.json")["added_tokens"]
        config["added_tokens_decoder"] = {
            str(t["id"]): {field: t[field] for field in TOKEN_FIELDS} for t in added
        }
    config.pop("vocab_file", None)
    config["chat_template"] = template.carried
    write_json(target / "tokenizer_config.json", config)
    (target / "chat_template.jinja").write_text(template.carried, encoding="utf-8")


def _write_generation_config(source: Path, target: Path, template: Template) -> None:
    """HF `generate` stops only at these ids; llama.cpp finds the end of turn by itself."""
    config = special_ids(source)
    ids = {*_ids_of(config.get("eos_token_id")), _token_id(source, template.stop())}
    ends: dict[str, Any] = {"_from_model_config": False}
    ends |= {name: config[name] for name in ("bos_token_id", "pad_token_id") if name in config}
    ends["eos_token_id"] = sorted(ids)
    write_json(target / "generation_config.json", ends)


def _ids_of(value: int | list[int] | None) -> list[int]:
    """One id, several, or none named: the template's stop token is one all the same."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _token_id(source: Path, token: str) -> int:
    tokens = read_json(source / "tokenizer.json")["added_tokens"]
    found = [t["id"] for t in tokens if t["content"] == token]
    if not found:
        text = f"the template ends an answer with {token!r}, which is none of its special tokens"
        expected = "one special token that ends an answer"
        raise UserError(Problem(str(source / "tokenizer.json"), text, expected))
    return int(found[0])
