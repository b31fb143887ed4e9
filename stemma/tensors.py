"""Safetensors folders piece by piece: read without mapping the files, written in one stream, never
held whole."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import EllipsisType
from typing import Any

import torch
from torch import Tensor

from stemma.base_model.headers import BESIDE
from stemma.errors import Problem, UserError

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


@dataclass(frozen=True)
class Stored:
    """A tensor in a file. `stored[...]` reads it, as transformers asks for it."""

    path: Path
    offset: int
    shape: Shape

    def __getitem__(self, everything: EllipsisType) -> Tensor:
        return self._read(0, self.shape.values).reshape(self.shape.sizes)

    def pieces(self) -> Iterator[Tensor]:
        """The tensor some rows at a time."""
        width = torch.Size(self.shape.sizes[1:]).numel()
        rows = max(1, PIECE // max(1, width)) * width
        for begin in range(0, self.shape.values, max(1, rows)):
            values = self._read(begin, min(rows, self.shape.values - begin))
            yield values.reshape(-1, *self.shape.sizes[1:]) if self.shape.sizes else values[0]

    def _read(self, begin: int, count: int) -> Tensor:
        """Not through safetensors: it maps the file, or reads a whole tensor for some rows of
        it."""
        dtype = self.shape.dtype
        room = torch.empty(count * dtype.itemsize, dtype=torch.uint8)
        left = memoryview(room.numpy())
        with self.path.open("rb", buffering=0) as file:
            file.seek(self.offset + begin * dtype.itemsize)
            while left:
                read = file.readinto(left)
                if not read:
                    raise UserError(damaged(self.path, "it is cut off"))
                left = left[read:]
        return room.view(dtype)


class Tensors(Mapping[str, Stored]):
    """All tensors of some safetensors files, by name: of a model folder's, without those of
    adapters that lie there too, or of the files given."""

    def __init__(self, source: Path | Iterable[Path]) -> None:
        if isinstance(source, Path):
            source = (
                path for path in source.glob("*.safetensors") if not path.name.startswith(BESIDE)
            )
        self._stored: dict[str, Stored] = {}
        for path in sorted(source):
            self._stored |= _stored_in(path)

    def __getitem__(self, name: str) -> Stored:
        return self._stored[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._stored)

    def __len__(self) -> int:
        return len(self._stored)


def _stored_in(path: Path) -> dict[str, Stored]:
    """The tensors that the file's header announces. Raises UserError when there is none."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        try:
            header = json.loads(file.read(length) if length < path.stat().st_size else b"")
            header.pop("__metadata__", None)
            return {
                name: Stored(
                    path,
                    8 + length + one["data_offsets"][0],
                    Shape(DTYPES[one["dtype"]], tuple(one["shape"])),
                )
                for name, one in header.items()
            }
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(damaged(path, f"its header cannot be read ({error})")) from None


def damaged(path: Path, found: str) -> Problem:
    return Problem(
        str(path),
        found,
        "a whole safetensors file",
        "copy it anew, or run the stage that made it again",
    )


def write_tensors(
    path: Path, shapes: dict[str, Shape], pieces: Callable[[str], Iterator[Tensor]]
) -> None:
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
