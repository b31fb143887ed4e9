"""A model folder to a float GGUF by llama.cpp's own converter, run as a process.

The converter comes from the sdist of llama-cpp-python.
"""

from __future__ import annotations

import json
import shutil
import struct
from pathlib import Path

from stemma import LLAMA_CPP
from stemma.errors import Problem, UserError
from stemma.files import PART
from stemma.processes import Look, run_python

# The converter is not in the wheel; the sdist's gguf-py rejects broken files on which the one from
# PyPI hangs.
FLOAT_TYPES = ("F32", "F16", "BF16")


def convert(
    folder: Path, out: Path, dtype: str, about: dict[str, str], look: Look | None = None
) -> None:
    """Write the model of a Hugging Face `folder` to `out` as a float GGUF.

    `about` goes into its header, e.g. `{"general.name": "tiny"}`; `look` is called while the
    converter runs.
    """
    script = LLAMA_CPP / "convert_hf_to_gguf.py"
    if not script.is_file():
        raise UserError(
            Problem(str(script), "no such file", "llama.cpp's converter", "run `make setup`")
        )
    header = out.with_name(f"{out.name}.header{PART}")
    header.write_text(json.dumps(about), encoding="utf-8")
    arguments = [
        str(script),
        str(folder.resolve()),
        "--outtype",
        dtype.lower(),
        "--outfile",
        str(out.resolve()),
    ]
    run_python(
        [*arguments, "--metadata", str(header.resolve())],
        LLAMA_CPP / "gguf-py",
        f"converting to GGUF {dtype}",
        look,
    )
    header.unlink()


GGUF_HEADER = struct.Struct("<4sIQQ")
"""Magic, version, number of tensors, number of header values."""
TEXT_TYPE = 8
ALIGNMENT = 32
"""Bytes to which a GGUF's tensors are aligned, where its header says nothing else."""


def add_text(source: Path, out: Path, key: str, text: str) -> None:
    """Copy a GGUF with one more header value, which it does not have yet; blanks fill it up.

    The value comes first and fills whole alignments, so that all behind it is copied as it is.
    Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
    """
    name, value = key.encode(), text.encode()
    head = struct.pack("<Q", len(name)) + name + struct.pack("<I", TEXT_TYPE)
    value += b" " * (-(len(head) + 8 + len(value)) % ALIGNMENT)
    with source.open("rb") as read, out.open("wb") as write:
        magic, version, tensors, values = GGUF_HEADER.unpack(read.read(GGUF_HEADER.size))
        write.write(GGUF_HEADER.pack(magic, version, tensors, values + 1))
        write.write(head + struct.pack("<Q", len(value)) + value)
        shutil.copyfileobj(read, write, 1 << 20)
