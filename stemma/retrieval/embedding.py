"""Vectors of texts by llama.cpp: a sentence encoder as GGUF file, on a CPU and without torch.

Its tokenizer is its own, kept in the GGUF's header: llama.cpp's takes vowels off Korean and Hindi,
and reads words of more than 100 letters, which are one unknown token to BERT.

Time is linear in tokens. Memory beside the mapped file: one batch, and the vectors themselves.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import llama_cpp
import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from stemma.digests import digest_json, digest_of
from stemma.errors import Problem, StageFailed, UserError
from stemma.llama import load_model, metadata_of
from stemma.strict import StrictRecord

BATCH_TOKENS = 512
"""Tokens of several texts read at once; a longer text is read alone. Attention is computed over the
whole batch and then masked: 2,048 tokens cost 1.4 times the time of 512."""
BATCH_TEXTS = 64
TOKEN_LETTERS = 200
"""Letters of a token, at most: the beginning of a text in which `max_tokens` tokens lie."""
TOKENIZER_KEY = "tokenizer.huggingface.json"
"""The header's value that holds the model's tokenizer.json."""

Pooling = Literal["mean", "cls", "last"]
"""How the vectors of a text's tokens become one: their mean, the first, or the last."""
POOLINGS: dict[str, Pooling] = {
    str(llama_cpp.LLAMA_POOLING_TYPE_MEAN): "mean",
    str(llama_cpp.LLAMA_POOLING_TYPE_CLS): "cls",
    str(llama_cpp.LLAMA_POOLING_TYPE_LAST): "last",
}
"""Values of the GGUF key `<architecture>.pooling_type`."""

Vectors = NDArray[np.float32]


class Reading(StrictRecord):
    """How a sentence encoder wants its texts: as its authors trained it."""

    query_prefix: str = ""
    """Put before every query; E5 wants `query: `."""
    passage_prefix: str = ""
    """Put before every passage; E5 wants `passage: `."""
    max_tokens: int | None = None
    """Tokens of a text that are read, its special ones included. Without a number, and at most, as
    many as the weights have positions."""


class LlamaEmbedder:
    """A sentence encoder opened by llama.cpp: an `Embedder`.

    Raises UserError when there is no such file, it is damaged, or is no sentence encoder.
    """

    def __init__(self, path: Path, reading: Reading, threads: int) -> None:
        self.path = path
        self.reading = reading
        self._model = load_model(path, "rag")
        self._context = 0
        self._batch: Any = None
        try:
            self.pooling = self._pooling()
            self.max_tokens = self._max_tokens()
            self._tokenizer = self._own_tokenizer()
            self._open(max(BATCH_TOKENS, self.max_tokens), threads)
        except BaseException:
            self.close()
            raise
        self._memory = llama_cpp.llama_get_memory(self._context)
        self.dimensions: int = llama_cpp.llama_model_n_embd_out(self._model)
        """Numbers in a vector."""
        self.facts = self._facts()
        self.digest = digest_json(self.facts)
        self.cut = 0
        """Texts so far of which only the beginning was read: they have more than `max_tokens`."""

    def _facts(self) -> dict[str, Any]:
        """All that decides the vectors, as a database keeps it."""
        return {
            "kind": "gguf",
            "weights_sha256": digest_of(self.path),
            "runtime": f"llama-cpp-python {llama_cpp.__version__}",
            "pooling": self.pooling,
            "query_prefix": self.reading.query_prefix,
            "passage_prefix": self.reading.passage_prefix,
            "max_tokens": self.max_tokens,
            "dimensions": self.dimensions,
        }

    def _pooling(self) -> Pooling:
        architecture = metadata_of(self._model, "general.architecture")
        key = f"{architecture}.pooling_type"
        value = metadata_of(self._model, key)
        if value not in POOLINGS:
            found = f"no sentence encoder: its header has {key} = {value or 'nothing'}"
            expected = ", ".join(f"{number} ({name})" for number, name in POOLINGS.items())
            hint = "name a sentence encoder under rag.encoder.model, e.g. bge-small-en-v1.5"
            raise UserError(Problem(str(self.path), found, expected, hint))
        return POOLINGS[value]

    def _max_tokens(self) -> int:
        trained: int = llama_cpp.llama_model_n_ctx_train(self._model)
        return min(trained, self.reading.max_tokens or trained)

    def _own_tokenizer(self) -> Tokenizer:
        text = metadata_of(self._model, TOKENIZER_KEY)
        if text is None:
            found = f"no tokenizer: its header has no {TOKENIZER_KEY}"
            hint = "delete it and run the rag stage again"
            raise UserError(Problem(str(self.path), found, "an encoder that Stemma made", hint))
        tokenizer = Tokenizer.from_str(text)
        tokenizer.no_padding()
        tokenizer.enable_truncation(self.max_tokens)
        tokenizer.encode_special_tokens = True
        return tokenizer

    def _open(self, room: int, threads: int) -> None:
        params = llama_cpp.llama_context_default_params()
        # An encoder reads a batch in one piece; a decoder's memory is shared by the batch's texts.
        params.n_ctx = params.n_batch = params.n_ubatch = room
        params.n_seq_max = BATCH_TEXTS
        params.kv_unified = True
        params.embeddings = True
        params.n_threads = params.n_threads_batch = threads
        params.no_perf = True
        self._context = llama_cpp.llama_init_from_model(self._model, params) or 0
        if not self._context:
            found = f"llama.cpp cannot open a context of {room} tokens (memory?)"
            raise StageFailed(f"{self.path.name}: {found}")
        self._batch = llama_cpp.llama_batch_init(room, 0, 1)

    def close(self) -> None:
        """Free the model's memory. The object cannot be used afterwards."""
        if self._batch is not None:
            llama_cpp.llama_batch_free(self._batch)
        if self._context:
            llama_cpp.llama_free(self._context)
        if self._model:
            llama_cpp.llama_model_free(self._model)
        self._batch, self._context, self._model = None, 0, 0

    def __enter__(self) -> LlamaEmbedder:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def queries(self, texts: Sequence[str]) -> Vectors:
        """Vectors of length 1, [texts, dimensions], of what is searched with."""
        return self._vectors(texts, self.reading.query_prefix)

    def passages(self, texts: Sequence[str]) -> Vectors:
        """Vectors of length 1, [texts, dimensions], of what is found."""
        return self._vectors(texts, self.reading.passage_prefix)

    def bare(self, texts: Sequence[str]) -> Vectors:
        """Vectors of length 1, [texts, dimensions], without a prefix."""
        return self._vectors(texts, "")

    def tokenize(self, text: str) -> list[int]:
        """Token ids with the special ones that the model wants, cut to `max_tokens`.

        A text is data: special tokens written out in it are plain text.
        """
        begin = text[: self.max_tokens * TOKEN_LETTERS]
        found = self._tokenizer.encode(begin.encode("utf-8", "replace").decode("utf-8"))
        self.cut += bool(found.overflowing) or len(begin) < len(text)
        return list(found.ids)

    def _vectors(self, texts: Sequence[str], prefix: str) -> Vectors:
        found = np.empty((len(texts), self.dimensions), dtype=np.float32)
        done = 0
        for batch in self._batches(prefix + text for text in texts):
            found[done : done + len(batch)] = self._read(batch)
            done += len(batch)
        lengths = np.linalg.norm(found, axis=1, keepdims=True)
        if not (np.isfinite(lengths) & (lengths > 0)).all():
            bad = int(np.flatnonzero(~(np.isfinite(lengths) & (lengths > 0)))[0])
            what = f"the vector of text {bad + 1} of {len(texts)} is not finite or zero"
            raise StageFailed(f"{self.path.name}: {what}; the weights are damaged")
        found /= lengths
        return found

    def _batches(self, texts: Iterator[str]) -> Iterator[list[list[int]]]:
        """Texts as token ids, as many at once as a batch holds, in their order."""
        batch: list[list[int]] = []
        tokens = 0
        for text in texts:
            ids = self.tokenize(text)
            if batch and (tokens + len(ids) > BATCH_TOKENS or len(batch) == BATCH_TEXTS):
                yield batch
                batch, tokens = [], 0
            batch.append(ids)
            tokens += len(ids)
        if batch:
            yield batch

    def _read(self, texts: Sequence[Sequence[int]]) -> Vectors:
        """Vectors as the model pools them, [texts, dimensions]."""
        if not all(texts):
            raise UserError(Problem("an empty text", "it has no tokens", "a text to embed"))
        batch, place = self._batch, 0
        for number, ids in enumerate(texts):
            for position, token in enumerate(ids):
                batch.token[place] = token
                batch.pos[place] = position
                batch.n_seq_id[place] = 1
                batch.seq_id[place][0] = number
                batch.logits[place] = 1
                place += 1
        batch.n_tokens = place
        if self._memory:  # of a decoder
            llama_cpp.llama_memory_clear(self._memory, True)
        status = llama_cpp.llama_decode(self._context, batch)
        if status != 0:
            raise StageFailed(f"{self.path.name}: llama_decode returned {status}")
        rows = np.empty((len(texts), self.dimensions), dtype=np.float32)
        for number in range(len(texts)):
            pointer = llama_cpp.llama_get_embeddings_seq(self._context, number)
            rows[number] = np.ctypeslib.as_array(pointer, shape=(self.dimensions,))
        return rows
