"""export.quantise: real K-quants of a tiny model."""

from __future__ import annotations

from pathlib import Path

import pytest

from export.quantise import QUANTISED_TYPES, quantise
from stemma.errors import StageFailed
from stemma.llama import Llama
from tests.factories.models import tiny_gguf


def test_fewer_bits_are_smaller_files_that_load(tmp_path: Path) -> None:
    sizes = []
    for name in QUANTISED_TYPES:
        out = tmp_path / f"{name}.gguf"
        quantise(tiny_gguf(), out, name, threads=1)
        sizes.append(out.stat().st_size)
        with Llama(out, 64, 1) as model:
            assert model.logits([2, 5, 6]).shape == (3, model.vocabulary_size)
            assert model.metadata("general.name") == "tiny"
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] < tiny_gguf().stat().st_size


def test_a_broken_source_is_an_error(tmp_path: Path) -> None:
    source = tmp_path / "cut.gguf"
    source.write_bytes(tiny_gguf().read_bytes()[:5000])
    with pytest.raises(StageFailed, match=r"quantising cut\.gguf to Q8_0 failed"):
        quantise(source, tmp_path / "out.gguf", "Q8_0", threads=1)
