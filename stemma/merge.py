"""Adapter + base → a whole model folder that carries the base's own tokenizer files and the recipe's template.

transformers 5 never writes `tokenizer.model`, drops `added_tokens_decoder` and leaks a local path; the GGUF converter
needs the first two. So the tokenizer files are copied, not saved.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from stemma.jsonl import read_json, write_json
from stemma.templates import Template

TOKENIZER_FILES = (
    "tokenizer.model",
    "tokenizer.json",
    "vocab.json",
    "merges.txt",
    "special_tokens_map.json",
    "added_tokens.json",
)
TOKEN_FIELDS = ("content", "lstrip", "normalized", "rstrip", "single_word", "special")


def merge_adapter(start: Path, adapter: Path, target: Path, template: Template) -> None:
    """Write `start` with `adapter` merged in, in the dtype of `start`, to `target`; it appears whole or not at all."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    with torch.no_grad():
        model: Any = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(start, dtype="auto"), str(adapter))
        write_model(model.merge_and_unload(), start, target, template)


def write_model(model: Any, source: Path, target: Path, template: Template) -> None:
    """Save `model` as safetensors with the tokenizer of `source`, the template and its stop token."""
    part = target.with_name(f".{target.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    model.save_pretrained(part)
    copy_tokenizer(source, part, template)
    _write_generation_config(source, part, template)
    shutil.rmtree(target, ignore_errors=True)
    part.rename(target)


def copy_tokenizer(source: Path, target: Path, template: Template) -> None:
    """The tokenizer files of `source` with the recipe's chat template."""
    for name in TOKENIZER_FILES:
        if (source / name).is_file():
            shutil.copyfile(source / name, target / name)
    config = read_json(source / "tokenizer_config.json")
    if "added_tokens_decoder" not in config:
        added = read_json(source / "tokenizer.json")["added_tokens"]
        config["added_tokens_decoder"] = {str(t["id"]): {field: t[field] for field in TOKEN_FIELDS} for t in added}
    config.pop("vocab_file", None)
    config["chat_template"] = template.carried
    write_json(target / "tokenizer_config.json", config)
    (target / "chat_template.jinja").write_text(template.carried, encoding="utf-8")


def _write_generation_config(source: Path, target: Path, template: Template) -> None:
    """HF `generate` stops only at these ids; llama.cpp finds the end of turn by itself."""
    path = source / "generation_config.json"
    config = read_json(path if path.is_file() else source / "config.json")
    eos = config["eos_token_id"]
    ids = {*(eos if isinstance(eos, list) else [eos]), _token_id(source, template.stop())}
    kept = {name: config[name] for name in ("bos_token_id", "pad_token_id") if name in config}
    write_json(target / "generation_config.json", {"_from_model_config": False, **kept, "eos_token_id": sorted(ids)})


def _token_id(source: Path, token: str) -> int:
    tokens = json.loads((source / "tokenizer.json").read_text(encoding="utf-8"))["added_tokens"]
    [found] = [t["id"] for t in tokens if t["content"] == token]
    return int(found)
