"""rag.encoder: sentence encoders read as their authors publish them, and proven as GGUF."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rag.encoder import find_folder, open_encoder, read_original
from rag.proving import HARD_TEXTS, MIN_COSINE, proof_texts, prove
from stemma.errors import UserError
from stemma.jsonl import write_json
from stemma.recipe.rag import Encoder
from stemma.retrieval import minilm
from stemma.retrieval.embedding import Reading
from stemma.wheels import cache
from tests.factories.encoders import TEXTS, make_encoder, write_modules


def bare(folder: Path) -> Path:
    """A model's folder of which only JSON is ever read."""
    folder.mkdir(parents=True)
    write_json(folder / "config.json", {"max_position_embeddings": 514})
    (folder / "tokenizer.json").write_text("{}")
    (folder / "model.safetensors").touch()
    return folder


def original(folder: Path, **asked: str) -> tuple[str, Reading]:
    found = read_original(folder, Encoder(model=str(folder), **asked))  # type: ignore[arg-type]
    return found.pooling, found.reading


def test_pooling_and_length_are_the_models_own(tmp_path: Path) -> None:
    folder = bare(tmp_path / "model")
    write_modules(folder, "cls", ["Normalize"])
    assert original(folder) == ("cls", Reading(max_tokens=514))
    write_json(folder / "tokenizer_config.json", {"model_max_length": 512})
    assert original(folder) == ("cls", Reading(max_tokens=512))
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": 256})
    assert original(folder, pooling="mean") == ("mean", Reading(max_tokens=256))
    write_json(folder / "1_Pooling" / "config.json", {"pooling_mode": "mean"})
    assert original(folder)[0] == "mean"


def test_what_cannot_be_an_embedding_gguf_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"rag.encoder.model: `\./none`: no such folder"):
        find_folder(Encoder(model="./none"), "rag.encoder.model")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError) as failure:
        original(tmp_path / "empty")
    assert [problem.found for problem in failure.value.problems] == [
        "no config.json",
        "no tokenizer.json",
        "no *.safetensors",
        "nothing says how its tokens' vectors are pooled",
    ]
    folder = bare(tmp_path / "model")
    write_modules(folder, "max", ["Dense"])
    with pytest.raises(UserError, match=r"a module `Dense`(.|\n)*pooling by max_tokens"):
        original(folder)
    config = {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": True}
    write_json(folder / "1_Pooling" / "config.json", config)
    with pytest.raises(UserError, match="pooling by cls_token and mean_tokens"):
        original(folder)


def test_texts_of_the_proof_are_hard_ones_and_the_passages_own() -> None:
    passages = [f"{number} " + "word " * 30 for number in range(1000)]
    texts = proof_texts(passages)
    assert len(texts) == len(set(texts)) == 100
    assert texts[: len(HARD_TEXTS)] == list(HARD_TEXTS)
    own = texts[len(HARD_TEXTS) :]
    assert sum(text in passages for text in own) == 37
    assert {len(text.split()) for text in own} == {12, 31}
    few = proof_texts([" ".join(f"w{number}" for number in range(40))])[len(HARD_TEXTS) :]
    assert [len(text.split()) for text in few] == [40, 12, 12, 12, 4]
    assert proof_texts(["[SEP] x", "</s>", "<|endoftext|>"]) == list(HARD_TEXTS)


@pytest.mark.slow
@pytest.mark.parametrize("pooling", ["mean", "cls", "last"])
def test_random_encoders_are_proven(tmp_path: Path, pooling: str) -> None:
    folder = make_encoder(tmp_path / "e5-small-tiny", pooling, max_seq_length=64)
    embedder, gate = open_encoder(Encoder(model=str(folder)), tmp_path / "out.gguf", TEXTS)
    assert (embedder.pooling, embedder.max_tokens, gate.passed) == (pooling, 64, True)
    assert embedder.facts["query_prefix"] == "query: "
    embedder.close()
    if pooling == "mean":  # the gate sees a wrong pooling
        other = Encoder(model=str(folder), pooling="cls")
        embedder, gate = open_encoder(other, tmp_path / "out.gguf", TEXTS)
        assert (embedder.pooling, gate.passed) == ("cls", True), "made anew, as the recipe says"
        assert prove(embedder, folder, "mean", TEXTS).passed is False
        embedder.close()


@pytest.mark.slow
def test_minilm_is_proven_on_texts_of_its_own(tmp_path: Path) -> None:
    try:
        folder = minilm.fetch(cache(os.environ))
    except UserError as error:
        pytest.skip(str(error.problems[0].found))
    passages = [f"{text} ({number})" for number in range(25) for text in TEXTS]
    embedder, gate = open_encoder(Encoder(model=str(folder)), tmp_path / "out.gguf", passages)
    assert gate.n == 100
    assert gate.value is not None
    assert gate.value > 0.9999 > MIN_COSINE
    assert (embedder.pooling, embedder.max_tokens, embedder.dimensions) == ("mean", 256, 384)
    embedder.close()
