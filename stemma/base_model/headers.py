"""Headers of safetensors files: names, shapes and dtypes of their tensors.

A header is JSON in front of the weights, so gigabytes are looked at in milliseconds and without
torch.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stemma.errors import Problem, UserError

DTYPE_BITS = {
    **dict.fromkeys(("F64", "I64", "U64"), 64),
    **dict.fromkeys(("F32", "I32", "U32"), 32),
    **dict.fromkeys(("F16", "BF16", "I16", "U16"), 16),
    **dict.fromkeys(("I8", "U8", "BOOL", "F8_E4M3", "F8_E5M2", "F8_E8M0"), 8),
    "F4": 4,
}
COPY_ANEW = "copy or download it anew"
LFS = b"version https://git-lfs"

BESIDE = ("adapter_model", "consolidated")
"""Beginnings of file names beside a model's weights that transformers never loads as such: an
adapter's, and Mistral's and Meta's second copy in their own format."""


@dataclass(frozen=True)
class Header:
    """A tensor as its file announces it."""

    path: Path
    dtype: str
    shape: tuple[int, ...]


def headers_of(path: Path) -> dict[str, Header]:
    """The tensors of one file by name. Raises UserError where it is no whole safetensors file."""
    size = path.stat().st_size
    with path.open("rb") as file:
        first = file.read(8)
        length = int.from_bytes(first, "little")
        text = file.read(length) if length <= size - 8 else b""
    if first == LFS[:8]:
        found = "a pointer of Git LFS, not the weights"
        raise UserError(Problem(str(path), found, "the file itself", "`git lfs pull` fetches it"))
    if not text:
        raise UserError(Problem(str(path), f"cut off: {size:,} bytes", "a whole file", COPY_ANEW))
    try:
        header: dict[str, Any] = json.loads(text)
        header.pop("__metadata__", None)
        found_tensors = {name: _parsed(path, one) for name, one in header.items()}
        end = 8 + length + max((one["data_offsets"][1] for one in header.values()), default=0)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        found = f"its header cannot be read ({error})"
        raise UserError(Problem(str(path), found, "a safetensors file", COPY_ANEW)) from None
    if end != size:
        state = "cut off" if size < end else "longer than its header says"
        raise UserError(Problem(str(path), f"{state}: {size:,} bytes", f"{end:,} bytes", COPY_ANEW))
    return found_tensors


def _parsed(path: Path, one: dict[str, Any]) -> Header:
    begin, end = one["data_offsets"]
    header = Header(path, one["dtype"], tuple(one["shape"]))
    if end - begin != math.prod(header.shape) * DTYPE_BITS[header.dtype] // 8:
        raise ValueError(f"{end - begin:,} bytes for {header.dtype} of {list(header.shape)}")
    return header
