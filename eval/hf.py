"""The transformers backend: safetensors folders, bitsandbytes ones too, batched with left padding."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

from eval.backends import Ids, Request
from stemma.weights import attention_of

Item = TypeVar("Item")
SequenceIds = tuple[int, ...]

BATCH_TOKENS = 4096
BATCH_LOGITS = 2**26
"""Largest number of logits held at once (256 MiB in float32); a vocabulary of 256,000 makes this the tighter bound."""


class HuggingFace:
    def __init__(self, weights: str, stop: str, threads: int) -> None:
        torch.set_num_threads(threads)
        logging.getLogger("bitsandbytes").setLevel(
            logging.ERROR
        )  # int8 warns of its casts at every layer of every call
        device = "cuda" if torch.cuda.is_available() else "cpu"
        self._tokenizer: Any = AutoTokenizer.from_pretrained(weights)
        kernel = attention_of(Path(weights))
        self._model: Any = AutoModelForCausalLM.from_pretrained(
            weights, dtype="auto", device_map={"": device}, attn_implementation=kernel
        ).eval()
        self._stop = self.tokenize(stop)[0]
        self._pad = self._tokenizer.pad_token_id if self._tokenizer.pad_token_id is not None else self._stop
        # The saved file may ask for sampling (Axolotl writes do_sample: true) and name other stop tokens.
        greedy = GenerationConfig(do_sample=False, eos_token_id=self._stop, pad_token_id=self._pad)
        self._model.generation_config = greedy

    def tokenize(self, text: str) -> Ids:
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    def detokenize(self, ids: Ids) -> str:
        return str(self._tokenizer.decode(ids, skip_special_tokens=True))

    def is_stop(self, token: int) -> bool:
        return token == self._stop

    def next_log_probs(self, prompt: Ids) -> NDArray[np.float32]:
        values: NDArray[np.float32] = self._last([prompt], 1)[0, 0].cpu().numpy()
        return values

    def log_probs(self, requests: Sequence[Request]) -> list[list[list[float]]]:
        # Answers of one token differ only in what is read off: the prompt is then one sequence for all of them.
        pairs = [[(tuple(r.prompt + a[:-1]), a) for a in r.answers] for r in requests]
        kept: dict[SequenceIds, int] = {}
        for sequence, answer in (pair for row in pairs for pair in row):
            kept[sequence] = max(len(answer), kept.get(sequence, 0))
        tails = self._tails(kept)
        return [[_read(tails[sequence], answer) for sequence, answer in row] for row in pairs]

    def _tails(self, kept: dict[SequenceIds, int]) -> dict[SequenceIds, Any]:
        """For each sequence the log-probabilities at its last positions, as many as `kept` says."""
        tails: dict[SequenceIds, Any] = {}
        for batch in batches(sorted(kept, key=len), self._fits(kept)):
            width = max(kept[sequence] for sequence in batch)
            values = self._last([list(sequence) for sequence in batch], width).cpu()
            tails |= {s: row[width - kept[s] :].clone() for s, row in zip(batch, values, strict=True)}
        return tails

    def _fits(self, kept: dict[SequenceIds, int]) -> Callable[[Sequence[SequenceIds]], bool]:
        vocabulary = self._model.config.vocab_size

        def fits(batch: Sequence[SequenceIds]) -> bool:
            width = max(kept[sequence] for sequence in batch)
            tokens = len(batch) * max(map(len, batch))
            return tokens <= BATCH_TOKENS and len(batch) * width * vocabulary <= BATCH_LOGITS

        return fits

    def _last(self, sequences: list[Ids], count: int) -> Any:
        """Log-probabilities [batch, count, vocabulary] at the last `count` positions."""
        with torch.inference_mode():
            output = self._model(**self._padded(sequences), use_cache=False, logits_to_keep=count)
        return torch.log_softmax(output.logits.float(), dim=-1)

    def _padded(self, sequences: list[Ids]) -> dict[str, Any]:
        """Left-padded, with true positions: the ends align, so one slice holds every sequence's last logits."""
        length = max(map(len, sequences))
        ids = torch.tensor([[self._pad] * (length - len(s)) + s for s in sequences], device=self._model.device)
        mask = torch.tensor([[0] * (length - len(s)) + [1] * len(s) for s in sequences], device=self._model.device)
        return {"input_ids": ids, "attention_mask": mask, "position_ids": (mask.cumsum(-1) - 1).clamp(min=0)}

    def generate(self, prompts: Sequence[Ids], max_new_tokens: int) -> list[Ids]:
        order = sorted(range(len(prompts)), key=lambda index: len(prompts[index]))

        def fits(batch: Sequence[int]) -> bool:
            return len(batch) * (max(len(prompts[index]) for index in batch) + max_new_tokens) <= 2 * BATCH_TOKENS

        answers: dict[int, Ids] = {}
        for batch in batches(order, fits):
            rows = self._continue([prompts[index] for index in batch], max_new_tokens=max_new_tokens)
            answers |= {index: cut(row, self._stop) for index, row in zip(batch, rows, strict=True)}
        return [answers[index] for index in range(len(prompts))]

    def extend(self, prompt: Ids, count: int) -> Ids:
        return self._continue([prompt], max_new_tokens=count, min_new_tokens=count)[0]

    def _continue(self, prompts: list[Ids], **lengths: int) -> list[Ids]:
        padded = self._padded(prompts)
        del padded["position_ids"]  # generate() works them out from the mask, for every step
        with torch.inference_mode():
            rows = self._model.generate(**padded, **lengths)
        return [list(map(int, row)) for row in rows[:, padded["input_ids"].shape[1] :].tolist()]


def _read(tail: Any, answer: Ids) -> list[float]:
    rows = tail[tail.shape[0] - len(answer) :]
    return [float(rows[position, token]) for position, token in enumerate(answer)]


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
