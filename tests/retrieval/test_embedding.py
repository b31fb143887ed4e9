"""stemma.retrieval.embedding: vectors by llama.cpp, and every file that is no sentence encoder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from stemma.errors import StageFailed, UserError
from stemma.retrieval.embedding import BATCH_TEXTS, LlamaEmbedder, Reading
from tests.factories.encoders import TEXTS, write_gguf


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_gguf(tmp_path_factory.mktemp("encoder") / "encoder.gguf")


@pytest.fixture
def embedder(file: Path) -> Iterator[LlamaEmbedder]:
    with LlamaEmbedder(file, Reading(), 1) as opened:
        yield opened


def test_vectors_have_length_one_and_do_not_depend_on_their_batch(embedder: LlamaEmbedder) -> None:
    together = embedder.passages(TEXTS * 40)  # several batches, by tokens and by texts
    assert len(TEXTS) * 40 > BATCH_TEXTS
    assert (together.shape, together.dtype) == ((200, embedder.dimensions), np.float32)
    assert np.allclose(np.linalg.norm(together, axis=1), 1, atol=1e-6)
    alone = np.concatenate([embedder.passages([text]) for text in TEXTS])
    assert np.allclose(together, np.tile(alone, (40, 1)), atol=1e-3)
    assert np.abs(alone[0] - alone[1]).max() > 0.01, "different texts, different vectors"
    assert embedder.passages([]).shape == (0, 16)


def test_prefixes_are_put_before_texts(file: Path, embedder: LlamaEmbedder) -> None:
    reading = Reading(query_prefix="query: ", passage_prefix="passage: ")
    with LlamaEmbedder(file, reading, 1) as prefixed:
        assert np.allclose(prefixed.queries(["sky"]), embedder.bare(["query: sky"]), atol=1e-3)
        assert np.allclose(prefixed.passages(["sky"]), embedder.bare(["passage: sky"]), atol=1e-3)
        assert np.allclose(prefixed.bare(["sky"]), embedder.passages(["sky"]), atol=1e-3)
        assert prefixed.digest != embedder.digest


def test_pooling_is_the_headers(tmp_path: Path) -> None:
    vectors = {}
    for number, name in ((1, "mean"), (2, "cls"), (3, "last")):
        path = write_gguf(tmp_path / f"{name}.gguf", number)
        with LlamaEmbedder(path, Reading(), 1) as embedder:
            assert embedder.pooling == name
            vectors[name] = embedder.passages(TEXTS)
    assert np.abs(vectors["mean"] - vectors["cls"]).max() > 0.01
    assert np.abs(vectors["last"] - vectors["cls"]).max() > 0.01


def test_long_texts_are_cut_and_counted(file: Path, embedder: LlamaEmbedder) -> None:
    long = "water " * 1000
    assert np.allclose(embedder.passages([long]), embedder.passages(["water " * 62]), atol=1e-3)
    assert embedder.cut == 1
    assert len(embedder.tokenize(long)) == 64
    assert embedder.tokenize(long)[-1] == 102, "[SEP] stays at the end"
    with LlamaEmbedder(file, Reading(max_tokens=10), 1) as shorter:
        assert (shorter.max_tokens, len(shorter.tokenize(long))) == (10, 10)
    with LlamaEmbedder(file, Reading(max_tokens=4096), 1) as longer:
        assert longer.max_tokens == 64, "no more than the weights have positions"


@pytest.mark.parametrize("text", ["", " \n", "\x00a\x07", "\ud800", "a" * 10**6, "é " * 500_000])
def test_odd_texts_have_vectors_too(embedder: LlamaEmbedder, text: str) -> None:
    assert np.isfinite(embedder.passages([text])).all()


def test_texts_are_read_as_the_models_own_tokenizer_reads_them(embedder: LlamaEmbedder) -> None:
    # llama.cpp's own would take the vowels off, and split the word.
    korean = [embedder.tokenize(text) for text in ("가", "거", "고")]
    assert len({tuple(ids) for ids in korean}) == 3
    assert embedder.tokenize("a" * 101) == [101, 100, 102], "one unknown word"
    assert len(embedder.tokenize("a" * 100)) > 10


def test_written_out_special_tokens_are_text(embedder: LlamaEmbedder) -> None:
    ids = embedder.tokenize("[SEP] x [MASK]")
    assert ids.count(102) == 1
    assert 103 not in ids


def test_the_digest_names_all_that_decides_vectors(file: Path, embedder: LlamaEmbedder) -> None:
    assert set(embedder.facts) == {
        *("kind", "weights_sha256", "runtime", "pooling"),
        *("query_prefix", "passage_prefix", "max_tokens", "dimensions"),
    }
    with LlamaEmbedder(file, Reading(), 2) as again:
        assert again.digest == embedder.digest
    with LlamaEmbedder(file, Reading(max_tokens=8), 1) as other:
        assert other.digest != embedder.digest


def test_it_is_closed_once(file: Path) -> None:
    embedder = LlamaEmbedder(file, Reading(), 1)
    embedder.close()
    embedder.close()


def test_what_is_no_encoder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no sentence encoder: its header has bert.pooling_type"):
        LlamaEmbedder(write_gguf(tmp_path / "none.gguf", None), Reading(), 1)
    with pytest.raises(UserError, match=r"no tokenizer: its header has no tokenizer\.huggingface"):
        LlamaEmbedder(write_gguf(tmp_path / "bare.gguf", with_tokenizer=False), Reading(), 1)
    with pytest.raises(UserError, match=r"= 4(.|\n)*1 \(mean\), 2 \(cls\), 3 \(last\)"):
        LlamaEmbedder(write_gguf(tmp_path / "rank.gguf", 4), Reading(), 1)


def test_damaged_files_are_told(tmp_path: Path, file: Path) -> None:
    with pytest.raises(UserError, match=r"no such file(.|\n)*run the rag stage"):
        LlamaEmbedder(tmp_path / "none.gguf", Reading(), 1)
    short = tmp_path / "short.gguf"
    short.write_bytes(file.read_bytes()[:-1000])
    with pytest.raises(UserError, match=r"cannot load it(.|\n)*delete it and run the rag stage"):
        LlamaEmbedder(short, Reading(), 1)
    for value in (float("nan"), float("inf")):
        spoilt = write_gguf(tmp_path / "spoilt.gguf", spoil=value)
        with (
            LlamaEmbedder(spoilt, Reading(), 1) as embedder,
            pytest.raises(StageFailed, match="text 1 of 2 is not finite or zero"),
        ):
            embedder.passages(["a", "b"])
