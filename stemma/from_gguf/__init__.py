"""Import of a GGUF file as a base model: a Hugging Face folder, proven to be the same model.

`header` reads the file, `architectures` and `tokenizer_files` say what it means to transformers,
`folder` writes, `proof` compares, `card` says where it came from; `import_model` joins them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Dtype = Literal["bfloat16", "float16", "float32"]
BYTES = {"bfloat16": 2, "float16": 2, "float32": 4}


@dataclass(frozen=True)
class Import:
    """An order: the file, the folder to make, and what the file may not say itself."""

    source: Path
    target: Path
    dtype: Dtype = "bfloat16"
    template: Path | None = None
    """A Jinja chat template in place of the file's."""
    licence: str | None = None
    """An SPDX name in place of the header's `general.license`."""


Convert = Callable[[Path, Path], None]
"""Writes a model folder as a float32 GGUF: llama.cpp's own converter."""
Say = Callable[[str], None]
