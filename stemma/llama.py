"""llama.cpp for scoring: load a GGUF file, tokenize, read logits, generate greedily.

Logits are computed only where they are asked for, and read off batch by batch: all of them would
cost gigabytes with Gemma's vocabulary. Peak memory: the mapped file, the context, and logits of
SCORED_BATCH tokens three times.
"""

from __future__ import annotations

import ctypes
import logging
import math
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path

import llama_cpp
import numpy as np
from numpy.typing import NDArray

from stemma.errors import Problem, StageFailed, UserError
from stemma.plain_files import plain_file
from stemma.vocabulary import Vocabulary

PROMPT_BATCH = 512
"""Tokens decoded at once."""
SCORED_BATCH = 64
"""The same where each token needs logits, which cost vocabulary x 4 bytes."""

NOT_FINITE = "logits that are not finite; the weights are damaged"

# Its default prints every line of llama.cpp's log, and its table of levels is off by one: ERROR
# still prints warnings.
logging.getLogger("llama-cpp-python").setLevel(logging.CRITICAL)

Logits = NDArray[np.float32]


class Llama:
    """A GGUF model on the CPU with one sequence of at most `context_tokens`, read in batches of
    PROMPT_BATCH tokens, or so many times `smaller` ones. The context may be chosen by the positions
    that the model was made for."""

    def __init__(
        self,
        path: Path,
        context_tokens: int | Callable[[int], int],
        threads: int,
        smaller: int = 1,
    ) -> None:
        self.path = path
        self._prompt_batch = max(1, PROMPT_BATCH // smaller)
        self._scored_batch = max(1, SCORED_BATCH // smaller)
        self._model = load_model(path)
        self.vocabulary = Vocabulary(self._model)
        self.trained_tokens = llama_cpp.llama_model_n_ctx_train(self._model)
        """Positions the model was made for; in a longer context what it says is noise."""
        self.vocabulary_size = self.vocabulary.size
        self.context_tokens = (
            context_tokens(self.trained_tokens) if callable(context_tokens) else context_tokens
        )
        self._context = self._open(self.context_tokens, threads)
        self._memory = llama_cpp.llama_get_memory(self._context)
        self._batch = llama_cpp.llama_batch_init(self._prompt_batch, 0, 1)
        self._token = (llama_cpp.llama_token * 1)()
        self._one = llama_cpp.llama_batch_get_one(self._token, 1)
        self._row: Logits = np.empty(0, dtype=np.float32)
        self._row_place = 0
        """The view of llama.cpp's own row of logits, and where it lies."""
        self._position = 0

    def _open(self, context_tokens: int, threads: int) -> int:
        params = llama_cpp.llama_context_default_params()
        params.n_ctx = context_tokens
        params.n_batch = params.n_ubatch = self._prompt_batch
        params.n_outputs_max = self._scored_batch
        params.n_threads = params.n_threads_batch = threads
        params.no_perf = True
        context: int = llama_cpp.llama_init_from_model(self._model, params)
        if not context:
            llama_cpp.llama_model_free(self._model)
            found = f"llama.cpp cannot open a context of {context_tokens} tokens (memory?)"
            raise StageFailed(f"{self.path.name}: {found}")
        return context

    def close(self) -> None:
        """Free the model's memory. The object cannot be used afterwards."""
        llama_cpp.llama_batch_free(self._batch)
        llama_cpp.llama_free(self._context)
        llama_cpp.llama_model_free(self._model)

    def __enter__(self) -> Llama:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def metadata(self, key: str) -> str | None:
        """A value of the GGUF header as text; None when there is no such key.

        `tokenizer.chat_template` is one.
        """
        return metadata_of(self._model, key)

    def tokenize(self, text: str) -> list[int]:
        """Token ids; special tokens in the text are recognised, none are added."""
        return self.vocabulary.tokenize(text)

    def detokenize(self, ids: Sequence[int]) -> str:
        """The text of ids, without special tokens."""
        return self.vocabulary.detokenize(ids)

    def token(self, name: str) -> str:
        """The text of the `bos` or `eos` token; empty when the file names none."""
        number = self.metadata(f"tokenizer.ggml.{name}_token_id")
        if number is None:
            return ""
        return _decoded(self.vocabulary.raw(int(number)), f"the {name} token")

    def control_tokens(self) -> list[str]:
        """The texts of all tokens that no text may say: they mark turns, or end answers."""
        return self.vocabulary.controls()

    def is_end(self, token: int) -> bool:
        """Whether llama.cpp ends an answer at this token."""
        return self.vocabulary.is_end(token)

    def logits(self, ids: Sequence[int], start: int = 0) -> Logits:
        """The logits after each token from `start` on: [len(ids) - start, vocabulary].

        For a few tokens only: they are all held at once.
        """
        self._rewind(0)
        self._read(ids[:start])
        return self._score(ids[start:])

    def log_probs(
        self, prompt: Sequence[int], continuations: Sequence[Sequence[int]]
    ) -> list[list[float]]:
        """The log-probability of each token of each continuation; the prompt is computed once."""
        self._rewind(0)
        self._read(prompt[:-1])
        first = log_softmax(self._score(prompt[-1:]))
        found = []
        for continuation in continuations:
            self._rewind(len(prompt))
            values = [float(first[0, token]) for token in continuation[:1]]
            for begin in range(1, len(continuation), SCORED_BATCH):
                targets = continuation[begin : begin + SCORED_BATCH]
                rows = log_softmax(self._score(continuation[begin - 1 : begin - 1 + len(targets)]))
                values += [float(rows[row, token]) for row, token in enumerate(targets)]
            found.append(values)
        return found

    def stream(
        self, ids: Sequence[int], max_new_tokens: int, stop_ids: Collection[int] = ()
    ) -> Iterator[int]:
        """The likeliest next tokens one by one.

        Ends before an end token or one of `stop_ids`.
        """
        self._rewind(0)
        self._read(ids[:-1])
        token = None
        for _ in range(min(max_new_tokens, self.context_tokens - len(ids))):
            # The first row is looked at whole; of the others argmax finds any NaN and any +inf.
            token = int(self._score(ids[-1:])[-1].argmax()) if token is None else self._after(token)
            if self.is_end(token) or token in stop_ids:
                return
            yield token

    def generate(
        self, ids: Sequence[int], max_new_tokens: int, stop_ids: Collection[int] = ()
    ) -> list[int]:
        """The greedy answer's ids, without the token that ended it."""
        return list(self.stream(ids, max_new_tokens, stop_ids))

    def _after(self, token: int) -> int:
        """Append one token and return the likeliest next.

        In place: every microsecond here is one of each token.
        """
        self._token[0] = token
        status = llama_cpp.llama_decode(self._context, self._one)
        if status != 0:
            raise self._refused(status)
        self._position += 1
        pointer = llama_cpp.llama_get_logits_ith(self._context, -1)
        if (place := ctypes.addressof(pointer.contents)) != self._row_place:
            self._row = np.ctypeslib.as_array(pointer, shape=(self.vocabulary_size,))
            self._row_place = place
        found = int(self._row.argmax())
        if not math.isfinite(self._row[found]):
            raise StageFailed(f"{self.path.name}: {NOT_FINITE}")
        return found

    def _rewind(self, position: int) -> None:
        """Forget everything from `position` on."""
        llama_cpp.llama_memory_seq_rm(self._memory, 0, position, -1)
        self._position = position

    def _read(self, ids: Sequence[int]) -> None:
        """Append tokens without logits."""
        for begin in range(0, len(ids), self._prompt_batch):
            self._decode(ids[begin : begin + self._prompt_batch], scored=False)

    def _score(self, ids: Sequence[int]) -> Logits:
        """Append tokens and return the logits after each."""
        rows = np.empty((len(ids), self.vocabulary_size), dtype=np.float32)
        for begin in range(0, len(ids), self._scored_batch):
            chunk = ids[begin : begin + self._scored_batch]
            self._decode(chunk, scored=True)
            pointer = llama_cpp.llama_get_logits(self._context)
            shape = (len(chunk), self.vocabulary_size)
            rows[begin : begin + len(chunk)] = np.ctypeslib.as_array(pointer, shape=shape)
        if not np.isfinite(rows).all():
            raise StageFailed(f"{self.path.name}: {NOT_FINITE}")
        return rows

    def _decode(self, ids: Sequence[int], scored: bool) -> None:
        if self._position + len(ids) > self.context_tokens:
            tokens = self._position + len(ids)
            found = f"{tokens} tokens do not fit into a context of {self.context_tokens}"
            raise StageFailed(f"{self.path.name}: {found}")
        batch = self._batch
        batch.n_tokens = len(ids)
        for index, token in enumerate(ids):
            batch.token[index] = token
            batch.pos[index] = self._position + index
            batch.n_seq_id[index] = 1
            batch.seq_id[index][0] = 0
            batch.logits[index] = scored
        status = llama_cpp.llama_decode(self._context, batch)
        if status != 0:
            raise self._refused(status)
        self._position += len(ids)

    def _refused(self, status: int) -> StageFailed:
        found = f"llama_decode returned {status} at token {self._position}"
        return StageFailed(f"{self.path.name}: {found}")


def log_softmax(logits: Logits) -> Logits:
    """Log-probabilities, row by row, in place: there are two such arrays at most."""
    logits -= logits.max(axis=-1, keepdims=True)
    logits -= np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    return logits


def metadata_of(model: int, key: str) -> str | None:
    """A value of a loaded model's GGUF header as text; None when there is no such key."""
    name = key.encode()
    tiny = ctypes.create_string_buffer(1)
    # Told of too little room, it answers how much the value needs.
    length = llama_cpp.llama_model_meta_val_str(model, name, tiny, 1)
    if length < 0:
        return None
    value = ctypes.create_string_buffer(length + 1)
    llama_cpp.llama_model_meta_val_str(model, name, value, length + 1)
    return _decoded(value.value, key)


def _decoded(text: bytes, name: str) -> str:
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError as error:
        found = f"`{name}` of its header: {error}"
        hint = "the file is damaged, or no llama.cpp wrote it"
        raise UserError(Problem("the GGUF file", found, "UTF-8", hint)) from None


def load_model(path: Path, stage: str = "export") -> int:
    """The address of a model that llama.cpp has loaded for the CPU; its taker frees it.

    Raises UserError when there is no such file, or llama.cpp cannot load it; `stage` made it.
    """
    plain_file(path, "a GGUF file", f"run the {stage} stage")
    llama_cpp.llama_backend_init()
    params = llama_cpp.llama_model_default_params()
    params.n_gpu_layers = 0
    model: int = llama_cpp.llama_model_load_from_file(str(path).encode(), params)
    if not model:
        own = f"if Stemma made it, delete it and run the {stage} stage again"
        hint = f"it may be cut off, or of a kind that this llama.cpp does not know; {own}"
        raise UserError(Problem(str(path), "llama.cpp cannot load it", "a whole GGUF file", hint))
    return model
