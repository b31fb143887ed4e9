"""A GGUF file as found on disk: its header, its tensors, and whether it is whole.

Read by the gguf-py that lies in llama-cpp-python's sdist: it rejects broken files on which the one
from PyPI hangs, and it always matches the converter that reads the folder back.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stemma import ROOT
from stemma.errors import Problem, UserError
from stemma.plain_files import plain_file

GGUF_PY = ROOT / ".cache" / "llama_cpp_python-0.3.36" / "vendor" / "llama.cpp" / "gguf-py"
MAGIC = b"GGUF"
BROKEN = (ValueError, IndexError, KeyError, OverflowError, RecursionError)
"""Errors by which the reader says that a file is not what it claims. (UnicodeDecodeError is a
ValueError; nested arrays recurse.)"""


@dataclass(frozen=True)
class Tensor:
    """One stored tensor. `shape` is as in PyTorch: [out_features, in_features]."""

    name: str
    kind: str
    """The type it is stored as, e.g. `Q4_1`."""
    shape: tuple[int, ...]
    stored: NDArray[Any]

    def values(self) -> NDArray[np.float32]:
        """The dequantised weights. Raises UserError for a type that gguf-py cannot read."""
        gguf = gguf_py()
        try:
            found = gguf.dequantize(self.stored, gguf.GGMLQuantizationType[self.kind])
        except NotImplementedError:
            where, expected = f"tensor {self.name}", "a type that gguf-py can dequantise"
            raise UserError(Problem(where, f"stored as {self.kind}", expected)) from None
        return np.asarray(found, dtype=np.float32).reshape(self.shape)


@dataclass(frozen=True)
class GgufFile:
    """The header's keys and the tensors by name; the tensors stay on the disk until asked for."""

    path: Path
    fields: dict[str, Any]
    tensors: dict[str, Tensor]

    @property
    def architecture(self) -> str:
        return str(self.fields.get("general.architecture", ""))

    def of_architecture(self) -> dict[str, Any]:
        """The keys below the architecture's own name, e.g. `block_count`: 30."""
        prefix = f"{self.architecture}."
        return {k.removeprefix(prefix): v for k, v in self.fields.items() if k.startswith(prefix)}

    def tokenizer(self, key: str) -> Any:
        """A key below `tokenizer.ggml.`; None where the file has none."""
        return self.fields.get(f"tokenizer.ggml.{key}")

    def token(self, name: str) -> str | None:
        """The text of a special token (`bos`, `eos`, `unknown`, `padding`, `eot`), if it is
        named."""
        number = self.tokenizer(f"{name}_token_id")
        return None if number is None else str(self.tokenizer("tokens")[number])

    @property
    def template(self) -> str | None:
        """The chat template in the header."""
        return self.fields.get("tokenizer.chat_template")

    def kinds(self) -> dict[str, int]:
        """The number of tensors by the type they are stored in, the commonest first."""
        names = [tensor.kind for tensor in self.tensors.values()]
        return {
            kind: names.count(kind) for kind in sorted(set(names), key=names.count, reverse=True)
        }

    def weights(self) -> int:
        return sum(math.prod(tensor.shape) for tensor in self.tensors.values())


def read_gguf(path: Path) -> GgufFile:
    """The file's header and tensors.

    Raises UserError for what is no whole little-endian GGUF file.
    """
    _check_start(path)
    try:
        reader = _reader()(path)
        fields = {name: field.contents() for name, field in reader.fields.items()}
        tensors = {
            t.name: Tensor(t.name, t.tensor_type.name, tuple(map(int, reversed(t.shape))), t.data)
            for t in reader.tensors
        }
    except BROKEN as error:
        hint = "fetch or copy it again; compare its size or sha256 with the source's"
        reason = str(error) or type(error).__name__
        problem = Problem(str(path), f"truncated or damaged: {reason}", "a whole GGUF file", hint)
        raise UserError(problem) from None
    return GgufFile(path, fields, tensors)


def _check_start(path: Path) -> None:
    """The first eight bytes: whether this is a GGUF file at all, and one of this byte order."""
    plain_file(path, "a GGUF file", "give the path of a .gguf file")
    with path.open("rb") as stream:
        start = stream.read(8)
    if start[:4] != MAGIC:
        found = f"not a GGUF file: it begins with {start[:4]!r}" if start else "an empty file"
        raise UserError(Problem(str(path), found, f"a GGUF file, which begins with {MAGIC!r}"))
    version = int.from_bytes(start[4:], "little")
    if (
        len(start) == 8 and version & 0xFFFF == 0
    ):  # written by a big-endian machine: 3 is 0x03000000
        hint = "take the little-endian file, or turn it with llama.cpp's gguf_convert_endian.py"
        raise UserError(Problem(str(path), "a big-endian GGUF", "a little-endian one", hint))


@cache
def gguf_py() -> ModuleType:
    """The gguf package of the sdist. Raises UserError when there is none."""
    if not (GGUF_PY / "gguf").is_dir():
        expected = "the sources that llama-cpp-python was built from"
        raise UserError(Problem(str(GGUF_PY), "no such folder", expected, "run `make setup`"))
    sys.path.insert(0, str(GGUF_PY))
    try:
        import gguf
    finally:
        sys.path.remove(str(GGUF_PY))
    return gguf


@cache
def _reader() -> Any:
    class Reader(gguf_py().GGUFReader):  # type: ignore[misc]
        """Behind a file's end numpy gives fewer values than asked for, and the reader continues
        with none: for as many rounds as a damaged length says."""

        def _get(
            self, offset: int, dtype: Any, count: int = 1, override_order: Any = None
        ) -> NDArray[Any]:
            found: NDArray[Any] = super()._get(offset, dtype, count, override_order)
            if len(found) != count:
                raise ValueError(
                    f"it ends at byte {len(self.data):,}, inside what the header announces"
                )
            return found

    return Reader
