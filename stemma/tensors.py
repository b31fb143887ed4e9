"""Safetensors folders piece by piece: read without mapping the files, written in one stream, never
held whole."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch
from safetensors import safe_open
from torch import Tensor

DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
NAMES = {dtype: name for name, dtype in DTYPES.items()}
PIECE = 2**22
"""Values read at once (16 MiB in float32)."""


@dataclass(frozen=True)
class Shape:
    """A tensor without its values."""

    dtype: torch.dtype
    sizes: tuple[int, ...]

    @property
    def values(self) -> int:
        return torch.Size(self.sizes).numel()


class Tensors:
    """All tensors of a folder's safetensors files, by name."""

    def __init__(self, folder: Path) -> None:
        self._stack = ExitStack()
        self.slices: dict[str, Any] = {}
        """Read when indexed by `[...]`. An index of some rows reads the whole tensor first (safetensors 0.8)."""
        self._places: dict[str, tuple[Path, int]] = {}
        for path in sorted(folder.glob("*.safetensors")):
            file = self._stack.enter_context(safe_open(path, "pt", backend="pread"))
            names = file.keys()
            self.slices |= {name: file.get_slice(name) for name in names}
            self._places |= {name: (path, begin) for name, begin in _begins(path).items()}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.slices.clear()
        self._stack.close()

    def __iter__(self) -> Iterator[str]:
        return iter(self.slices)

    def __contains__(self, name: str) -> bool:
        return name in self.slices

    def shape(self, name: str) -> Shape:
        found = self.slices[name]
        return Shape(DTYPES[found.get_dtype()], tuple(found.get_shape()))

    def read(self, name: str) -> Tensor:
        return self.slices[name][...]

    def pieces(self, name: str) -> Iterator[Tensor]:
        """The tensor some rows at a time, each read from its own place in the file."""
        shape = self.shape(name)
        if not shape.sizes:
            yield self.read(name)
            return
        width = torch.Size(shape.sizes[1:]).numel()
        rows = max(1, PIECE // max(1, width))
        path, begin = self._places[name]
        with path.open("rb") as file:
            file.seek(begin)
            for first in range(0, shape.sizes[0], rows):
                count = min(rows, shape.sizes[0] - first)
                values = bytearray(file.read(count * width * shape.dtype.itemsize))
                yield torch.frombuffer(values, dtype=shape.dtype).reshape(count, *shape.sizes[1:])


def _begins(path: Path) -> dict[str, int]:
    """Where in the file the values of each tensor begin."""
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(size))
    return {name: 8 + size + found["data_offsets"][0] for name, found in header.items() if name != "__metadata__"}


def write_tensors(path: Path, shapes: dict[str, Shape], pieces: Callable[[str], Iterator[Tensor]]) -> None:
    """A file with the bytes that `safetensors.torch.save_file` would write; `pieces` gives each
    tensor's rows."""
    order = sorted(shapes, key=lambda name: (-shapes[name].dtype.itemsize, name))
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name in order:
        begin, end = end, end + shapes[name].values * shapes[name].dtype.itemsize
        dtype = NAMES[shapes[name].dtype]
        header[name] = {"dtype": dtype, "shape": shapes[name].sizes, "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name in order:
            for piece in pieces(name):
                file.write(memoryview(piece.contiguous().reshape(-1).view(torch.uint8).numpy()))
