"""The memory of the parts behind a training, by hand for Gemma 2B."""

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import PackageNotFoundError

import pytest

from stemma.plan.costs import gguf_bytes, memory
from stemma.plan.peaks import (
    PROCESS,
    build,
    copied_bytes,
    gate_bytes,
    highest,
    loading_bytes,
    merge_bytes,
    peaks,
    saving_bytes,
    training_bytes,
)
from stemma.recipe.load import load
from stemma.shapes import PUBLISHED, parse
from tests.factories.shapes import DPO, GEMMA_2B

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
    assert found["export"]["bnb-int8"] == pytest.approx(
        2 * WEIGHTS + 1_981_808_640 + 2 * REST, rel=0.01
    )
    assert highest(found["export"]) == ("gates", found["dpo"]["gates"])
    assert found["export"]["merged's proof"] == found["dpo"]["gates"]
    assert found["export"]["bnb-nf4's proof"] == found["eval"]["bnb-nf4"]
    batch = 4096 * (4 * 2048 + 3 * 16_384) * 2
    assert found["eval"]["base"] == found["eval"]["merged"] == 2 * WEIGHTS + batch + 12 * 2**24
    # The file, 1,024 tokens of keys and values of 256 in fp16 on 18 layers, a batch of 512, and 64
    # rows of logits.
    work = 1024 * 18 * 2 * 256 * 2 + 512 * (4 * 2048 + 3 * 16_384) * 4 + 64 * 256_000 * 4
    assert found["eval"]["gguf-Q8_0"] == pytest.approx(gguf_bytes(GEMMA_2B, "Q8_0") + work, abs=1)


ADAPTER = 4 * 4 * 921_600
"""Weights, gradients and Adam's moments of q and v at rank 8."""
TRAINED = replace(DPO, logits="stemma", cpu=True, deepspeed=True, length=64)


def test_frozen_weights_of_the_files_dtype_are_the_file_itself() -> None:
    small = replace(GEMMA_2B, hidden=512, inner=4096, layers=2, heads=2)
    training = replace(TRAINED, shapes=small, targets=("q_proj", "v_proj"))
    assert copied_bytes(training) == loading_bytes(training) == 0
    # Of a whole model that is trained Axolotl casts the embedding to float32, and accelerate clones
    # all weights, the tied head a second time.
    whole = replace(training, rank=0, targets=())
    assert loading_bytes(whole) == 4 * 256_000 * 512
    assert saving_bytes(whole) == 2 * (145_230_336 + 256_000 * 512)


def test_a_training_is_the_file_and_a_step_of_it() -> None:
    for length in (16, 1024):
        long = replace(TRAINED, length=length)
        step = 1.4 * memory(long).activations + memory(long).logits
        assert training_bytes(long) == pytest.approx(
            PROCESS["training"] + 2 * WEIGHTS + ADAPTER + step
        )
    # Copied at a save are the adapter's own weights, in bfloat16.
    assert saving_bytes(long) == 2 * 921_600
    # Nothing is cloned without DeepSpeed, and under ZeRO-3 the weights are gathered.
    assert (
        saving_bytes(replace(TRAINED, deepspeed=False))
        == saving_bytes(replace(TRAINED, zero=3))
        == 0
    )


@pytest.mark.usefixtures("torch_for_cpus")
def test_what_smollm2_took_is_within_a_quarter_of_what_is_expected() -> None:
    """`make real`'s trainings as measured: DPO with 40 steps and with 6, and SFT."""
    sizes = {
        "hidden_size": 576,
        "intermediate_size": 1536,
        "num_hidden_layers": 30,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
        "vocab_size": 49152,
        "tie_word_embeddings": True,
    }
    shapes = parse(sizes | {"model_type": "llama", "head_dim": 64, "dtype": "float32"}, "x")
    lora = replace(TRAINED, shapes=shapes, targets=("q_proj", "v_proj"), zero=1)
    pairs = replace(lora, sequences=8, length=512, answers=0.5)
    tokens = replace(lora, sequences=4, preference=False, logits="all")
    step = training_bytes(pairs)
    # Activations of 2.69 GB, 0.4 of them in holes; the file in float32, bfloat16's copy, the
    # process.
    assert step / 1e9 == pytest.approx(1.1 + 0.538 + 0.269 + 1.4 * 2.69 + 0.03, rel=0.01)
    assert step / 6.15e9 == pytest.approx(1, abs=0.25)
    assert step / 5.06e9 == pytest.approx(1, abs=0.25)
    assert training_bytes(replace(tokens, length=512)) / 4.46e9 == pytest.approx(1, abs=0.25)


def test_weights_that_are_cast_or_trained_are_copies() -> None:
    assert copied_bytes(replace(TRAINED, bytes=4)) == 4 * WEIGHTS, "float32 of a file in bfloat16"
    whole = replace(TRAINED, rank=0, targets=())
    assert copied_bytes(whole) == 2 * WEIGHTS
    stored = replace(TRAINED, bytes=4, shapes=replace(GEMMA_2B, weight_bytes=4))
    assert (copied_bytes(stored), loading_bytes(stored)) == (0, 0)


def test_a_model_made_here_is_handed_over_whole() -> None:
    recipe = load("tiny")
    assert recipe.base is not None
    shapes = parse(recipe.base.model | {"vocab_size": 800, "dtype": "float32"}, "x")
    found = peaks(recipe, shapes)
    assert found["base"] == {"hand-over": 2 * 4 * shapes.parameters()}
    assert highest(found["sft"])[1] < 100e6
    llama = parse(PUBLISHED["meta-llama/Llama-3.2-1B"], "published")
    assert list(peaks(load("llama3.2-1b"), llama)["eval"]) == load("llama3.2-1b").eval.variants


def test_the_build_of_torch_decides_what_a_process_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    for said, expected in (("2.13.0+cpu", "cpu"), ("2.13.0", "cuda"), ("2.13.0+cu130", "cuda")):
        monkeypatch.setattr("stemma.plan.peaks.version", lambda _, said=said: said)
        assert build() == expected

    def missing(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr("stemma.plan.peaks.version", missing)
    assert build() == "cuda", "a laptop without torch plans for what PyPI gives"
