"""What the parts behind a training need, by hand for Gemma 2B."""

from __future__ import annotations

import pytest

from stemma.load import load
from stemma.peaks import gate_bytes, highest, merge_bytes, peaks
from stemma.shapes import PUBLISHED, parse
from tests.test_costs import GEMMA_2B

WEIGHTS = 2_506_172_416
REST = 256_000 * 2048 + 37 * 2048
"""The embedding and 37 norms: what bitsandbytes leaves as it is."""


def test_gates_take_one_model_in_float32() -> None:
    # And the embedding as stored, in bf16, while it is loaded: 1.05 GB.
    assert gate_bytes(GEMMA_2B) == 4 * WEIGHTS + 2 * 256_000 * 2048
    # An MLP's matrix and a piece, each stored, twice in float32, and merged: 0.45 GB.
    assert merge_bytes(GEMMA_2B, 2) == (2048 * 16_384 + 2**22) * (2 + 8 + 2)


def test_the_parts_of_every_stage() -> None:
    found = peaks(load("gemma2b"), GEMMA_2B)
    assert list(found) == ["dpo", "mcq", "export", "eval"]
    assert highest(found["dpo"]) == ("gates", gate_bytes(GEMMA_2B))
    # The merged model in bf16 beside its int8 matrices, their scales and the rest.
    assert found["export"]["bnb-int8"] == pytest.approx(2 * WEIGHTS + 1_981_808_640 + 2 * REST, rel=0.01)
    assert highest(found["export"]) == ("gates", found["dpo"]["gates"])
    assert found["export"]["merged's proof"] == found["dpo"]["gates"]
    assert found["export"]["bnb-nf4's proof"] == found["eval"]["bnb-nf4"]
    batch = 4096 * (4 * 2048 + 3 * 16_384) * 2
    assert found["eval"]["base"] == found["eval"]["merged"] == 2 * WEIGHTS + batch + 12 * 2**24
    # The file, 1,024 tokens of keys and values of 256 in fp16 on 18 layers, a batch of 512, and 64 rows of logits.
    work = 1024 * 18 * 2 * 256 * 2 + 512 * (4 * 2048 + 3 * 16_384) * 4 + 64 * 256_000 * 4
    assert found["eval"]["gguf-Q8_0"] == pytest.approx(WEIGHTS * 8.5 / 8 + work, abs=1)


def test_a_model_made_here_is_handed_over_whole() -> None:
    recipe = load("tiny")
    assert recipe.base is not None
    shapes = parse(recipe.base.model | {"vocab_size": 800, "dtype": "float32"}, "x")
    found = peaks(recipe, shapes)
    assert found["base"] == {"hand-over": 2 * 4 * shapes.parameters()}
    assert highest(found["sft"])[1] < 100e6
    llama = parse(PUBLISHED["meta-llama/Llama-3.2-1B"], "published")
    assert list(peaks(load("llama3.2-1b"), llama)["eval"]) == load("llama3.2-1b").eval.variants
