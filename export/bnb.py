"""Merged weights to a bitsandbytes folder: quantise, save, and write the digest beside the weights.

The model is never run here: bitsandbytes 0.50.2 damages 4-bit weights that are saved after a
forward pass on CPUs with AVX512-BF16. A fresh process (`export.score`) loads the folder and proves
it.
"""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

from export.hf_folder import weights_digest
from stemma.errors import Problem, UserError
from stemma.templates import Template
from stemma.training.merge import copy_tokenizer, leave_out_code

DIGEST = "weights.sha256"
MULTIPLE = 32
"""The 4-bit CPU kernels need every linear layer's output size to be a multiple of this."""


def quantise_folder(merged: Path, out: Path, kind: str, template: Template) -> None:
    """Write `out` as `int8` or `nf4`, with the tokenizer's files of `merged`."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(
        merged, quantization_config=_config(kind), device_map={"": "cpu"}, dtype="auto"
    )
    _check_sizes(model, kind)
    digest = weights_digest(model)
    model.save_pretrained(out)
    del model
    gc.collect()
    copy_tokenizer(merged, out, template)
    leave_out_code(out)
    (out / DIGEST).write_text(digest + "\n", encoding="utf-8")


def _config(kind: str) -> Any:
    import torch
    from transformers import BitsAndBytesConfig

    if kind == "int8":
        return BitsAndBytesConfig(load_in_8bit=True)
    # The default 4-bit type is fp4, without double quantisation: larger and worse.
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )


def _check_sizes(model: Any, kind: str) -> None:
    from bitsandbytes.nn import Linear4bit

    wrong = [
        f"{name} ({module.out_features})"
        for name, module in model.named_modules()
        if isinstance(module, Linear4bit) and module.out_features % MULTIPLE
    ]
    if wrong:
        found = f"{kind} cannot hold {len(wrong)} layers of this model, e.g. {wrong[0]}"
        expected = f"output sizes that are multiples of {MULTIPLE}"
        raise UserError(Problem("export.bitsandbytes", found, expected, f"leave `{kind}` out"))
