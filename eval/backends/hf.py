"""The transformers backend: safetensors folders, bitsandbytes ones too, batched with left padding.

Peak memory: the weights as stored, the activations of BATCH_TOKENS tokens (their widest layer three
times), and a tile of logits (`stemma.models`); of what is scored, some tens of bytes a token.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoTokenizer, GenerationConfig

from eval.backends.attention import share_keys
from eval.backends.interface import Backend, Ids, LogProbs, ScoreRequest
from stemma import models
from stemma.errors import StageFailed

Item = TypeVar("Item")
SequenceIds = tuple[int, ...]

BATCH_TOKENS = 4096
GROUP_BATCHES = 4
"""Batches' worth of requests that are scored together: handed over, or lost, as one. A request's
answers differ in length, and sequences of like length share a batch."""
PADDED = 1.06
"""Tokens with padding for each true one, at most, in a batch of more than a few. With groups of
four batches this comes to 1.04 over 428 real pairs; 1.02 where all are sorted together, and then a
killed worker loses every pair whose longer answer is still to come."""


class HuggingFace(Backend):
    """A folder of safetensors, loaded by transformers on the GPU or else on the CPU."""

    def __init__(self, weights: str, stop: str, threads: int, smaller: int = 1) -> None:
        self._smaller = smaller
        torch.set_num_threads(threads)
        # int8 warns of its casts at every layer of every call.
        logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
        device = "cuda" if torch.cuda.is_available() else "cpu"
        self._tokenizer: Any = AutoTokenizer.from_pretrained(weights)
        self._model: Any = models.load_as_stored(Path(weights), device)
        share_keys(self._model)
        self._is_quantised = getattr(self._model, "is_quantized", False)
        self._stop = self.tokenize(stop)[0]
        padding = self._tokenizer.pad_token_id
        self._pad = self._stop if padding is None else padding
        # The saved file may ask for sampling (Axolotl's does), and name other stop tokens.
        greedy = GenerationConfig(do_sample=False, eos_token_id=self._stop, pad_token_id=self._pad)
        self._model.generation_config = greedy

    def tokenize(self, text: str) -> Ids:
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    def detokenize(self, ids: Ids) -> str:
        return str(self._tokenizer.decode(ids, skip_special_tokens=True))

    def is_stop(self, token: int) -> bool:
        return token == self._stop

    def distributions(self, ids: Ids, start: int) -> NDArray[np.float32]:
        hidden = models.hidden_states(self._model, self._padded([ids]))[0, start:]
        logits = models.logits_of(self._model, hidden)
        values: NDArray[np.float32] = logits.log_softmax(-1).cpu().numpy()
        return values

    def scored(self, requests: Sequence[ScoreRequest]) -> Iterator[tuple[int, LogProbs]]:
        """Requests of like length go together: one float a token leaves a batch.

        Answers of one token differ only in what is read off: the prompt is then one sequence for
        all of them. What several requests ask is computed once.
        """
        behind: dict[SequenceIds, dict[SequenceIds, list[float]]] = {}
        for request in requests:
            for answer in request.answers:
                behind.setdefault(tuple(request.prompt + answer[:-1]), {})[tuple(answer)] = []
        late = set(behind)
        read = [_sequences(request) for request in requests]
        order = sorted(range(len(requests)), key=lambda place: max(map(len, read[place])))

        def is_group(places: Sequence[int]) -> bool:
            tokens = sum(len(ids) for place in places for ids in read[place])
            return tokens <= GROUP_BATCHES * self._batch_tokens

        for group in batches(order, is_group):
            asked = {ids for place in group for ids in read[place]}
            ready = sorted(asked & late, key=lambda ids: (len(ids), ids))
            for batch in batches(ready, _alone if self._is_quantised else self._fits):
                self._score({sequence: behind[sequence] for sequence in batch})
            late -= asked
            for place in group:
                one = requests[place]
                yield (
                    place,
                    [behind[tuple(one.prompt + a[:-1])][tuple(a)] for a in one.answers],
                )

    def _score(self, batch: dict[SequenceIds, dict[SequenceIds, list[float]]]) -> None:
        """Fill in the answers of a batch of sequences."""
        padded = self._padded([list(sequence) for sequence in batch])
        hidden = models.hidden_states(self._model, padded)
        length = hidden.shape[1]
        answers = [
            (row, *item) for row, found in enumerate(batch.values()) for item in found.items()
        ]
        places = [
            length * (row + 1) - len(answer) + i
            for row, answer, _ in answers
            for i in range(len(answer))
        ]
        if not places:  # empty answers only
            return
        said = [token for _, answer, _ in answers for token in answer]
        tokens = torch.tensor(said, device=hidden.device)
        # Several answers may be read off one position: its logits are computed once.
        positions, where = torch.tensor(places, device=hidden.device).unique(return_inverse=True)
        scored = hidden.flatten(0, 1)[positions]
        values = iter(models.log_probs(self._model, scored, where, tokens).tolist())
        for _, answer, found in answers:
            found += islice(values, len(answer))

    @property
    def _batch_tokens(self) -> int:
        return max(1, BATCH_TOKENS // self._smaller)

    def _fits(self, batch: Sequence[SequenceIds]) -> bool:
        """Whether the batch is small enough, and not too much of it padding."""
        padded = len(batch) * max(map(len, batch))
        if padded > self._batch_tokens:
            return False
        return padded <= self._batch_tokens // 4 or padded <= PADDED * sum(map(len, batch))

    def _padded(self, sequences: list[Ids]) -> dict[str, Any]:
        """Left-padded, with true positions: the ends align, so one slice holds every sequence's
        last logits."""
        length = max(map(len, sequences))
        device = self._model.device
        padded = [[self._pad] * (length - len(ids)) + ids for ids in sequences]
        shown = [[0] * (length - len(ids)) + [1] * len(ids) for ids in sequences]
        mask = torch.tensor(shown, device=device)
        return {
            "input_ids": torch.tensor(padded, device=device),
            "attention_mask": mask,
            "position_ids": (mask.cumsum(-1) - 1).clamp(min=0),
        }

    def generated(self, prompts: Sequence[Ids], max_new_tokens: int) -> Iterator[tuple[int, Ids]]:
        order = sorted(range(len(prompts)), key=lambda index: len(prompts[index]))
        most = models.tile_rows(self._model)  # each step makes one row of logits a prompt

        def fits(batch: Sequence[int]) -> bool:
            tokens = len(batch) * (max(len(prompts[index]) for index in batch) + max_new_tokens)
            return tokens <= 2 * self._batch_tokens and len(batch) <= most

        for batch in batches(order, fits):
            rows = self._continue(
                [prompts[index] for index in batch], max_new_tokens=max_new_tokens
            )
            for index, row in zip(batch, rows, strict=True):
                yield index, cut(row, self._stop)

    def extend(self, prompt: Ids, count: int) -> Ids:
        return self._continue([prompt], max_new_tokens=count, min_new_tokens=count)[0]

    def _continue(self, prompts: list[Ids], **lengths: int) -> list[Ids]:
        padded = self._padded(prompts)
        del padded["position_ids"]  # generate() works them out from the mask, for every step
        with torch.inference_mode():
            rows = self._model.generate(**padded, **lengths, logits_processor=[_refuse_not_finite])
        return [list(map(int, row)) for row in rows[:, padded["input_ids"].shape[1] :].tolist()]


def _refuse_not_finite(_ids: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
    """Raise StageFailed where a row of logits has no likeliest token: greedy decoding takes the
    first NaN for one, without a word."""
    if not logits.amax(-1).isfinite().all():
        raise StageFailed("logits that are not finite; the weights are damaged")
    return logits


def _sequences(request: ScoreRequest) -> set[SequenceIds]:
    """What the model must read to score the request: the last token of an answer is only scored."""
    return {tuple(request.prompt + answer[:-1]) for answer in request.answers}


def _alone(batch: Sequence[SequenceIds]) -> bool:
    """bitsandbytes' answer to a text depends on what else is in the batch: int8 keeps a column
    whole where any row of the batch has an outlier in it (0.27 nats of one token seen), nf4 has
    kernels by the number of rows (0.1)."""
    return len(batch) == 1


def cut(ids: Ids, stop: int) -> Ids:
    """Through the first stop token; what follows in a batch is padding."""
    return ids[: ids.index(stop) + 1] if stop in ids else ids


def batches(items: Sequence[Item], fits: Callable[[Sequence[Item]], bool]) -> Iterator[list[Item]]:
    """Consecutive groups that fit; an item too big for any group goes alone."""
    batch: list[Item] = []
    for item in items:
        if batch and not fits([*batch, item]):
            yield batch
            batch = []
        batch.append(item)
    if batch:
        yield batch
