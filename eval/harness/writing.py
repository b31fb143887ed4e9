"""Greedy text of a transformers model in batches, ended row by row.

Rows that have ended leave the batch when half of it has. A beginning that all prompts share is read
once. Peak memory beside the weights: keys and values of HELD_TOKENS tokens, twice while a step
appends to a layer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from eval.backends.hf import batches
from eval.backends.interface import Ids
from eval.harness import known
from eval.harness.engine import Writing, cut, has_stopped
from eval.harness.trie import SHARED_TOKENS, Tokens, common
from stemma.errors import StageFailed

HELD_TOKENS = 16_384
"""Tokens of a batch whose keys and values are held at once: prompts and what is written."""
MOST_ROWS = 32


@dataclass
class _Batch:
    """Rows being written: what the model knows of them, and what each has said."""

    cache: Any
    mask: Tensor
    """[rows, tokens known], 0 where a row is padded."""
    said: list[Ids]
    left: list[int]
    """Which of the prompts each row is."""


class Decoder:
    """A model that writes on behind prompts."""

    def __init__(
        self, model: Any, ends: set[int], detokenize: Callable[[Ids], str], can_share: bool
    ) -> None:
        """`can_share`: what one row gives does not depend on what is read beside it."""
        self._model = model
        self._ends = ends
        self._detokenize = detokenize
        self._rows = MOST_ROWS if can_share else 1
        self._prefix: tuple[Tokens, Any] = ((), None)

    def write(self, wanted: Sequence[Writing]) -> list[str]:
        """The text behind each prompt, cut before its first stop."""

        def fits(batch: Sequence[int]) -> bool:
            longest = max(len(wanted[place].prompt) + wanted[place].tokens for place in batch)
            return len(batch) <= self._rows and len(batch) * longest <= HELD_TOKENS

        # Like lengths together: little padding. Equal limits too, so that rows end together.
        order = sorted(
            range(len(wanted)), key=lambda place: (wanted[place].tokens, len(wanted[place].prompt))
        )
        texts: dict[int, str] = {}
        for batch in batches(order, fits):
            texts |= self._batch({place: wanted[place] for place in batch})
        return [texts[place] for place in range(len(wanted))]

    def _batch(self, wanted: dict[int, Writing]) -> dict[int, str]:
        rows, token = self._read({place: one.prompt for place, one in wanted.items()})
        texts: dict[int, str] = {}
        while True:
            for row, place in enumerate(rows.left):
                if place not in texts:
                    self._say(rows.said[row], int(token[row]), wanted[place])
                    if self._has_ended(rows.said[row], wanted[place]):
                        texts[place] = self._text(rows.said[row], wanted[place])
            if len(texts) == len(wanted):
                return texts
            going = [row for row, place in enumerate(rows.left) if place not in texts]
            if 2 * len(going) <= len(rows.left):
                rows, token = _only(rows, going), token[going]
            token = self._step(rows, token)

    def _say(self, said: Ids, token: int, one: Writing) -> None:
        if one.tokens:
            said.append(token)

    def _has_ended(self, said: Ids, one: Writing) -> bool:
        if len(said) >= one.tokens or said[-1] in self._ends:
            return True
        return has_stopped(said, one.stops, self._detokenize)

    def _text(self, said: Ids, one: Writing) -> str:
        kept = said[:-1] if said and said[-1] in self._ends else said
        return cut(self._detokenize(kept), one.stops)

    def _read(self, prompts: dict[int, Ids]) -> tuple[_Batch, Tensor]:
        """Read the prompts; each row's likeliest next token."""
        texts = [tuple(ids) for ids in prompts.values()]
        shared = min(common(texts[0], text) for text in texts)
        shared = min(shared, min(map(len, texts)) - 1)
        prefix = texts[0][: shared if shared >= SHARED_TOKENS and len(texts) > 1 else 0]
        tails = [list(text[len(prefix) :]) for text in texts]
        length = max(map(len, tails))
        device = self._model.device
        ids = torch.tensor([[0] * (length - len(tail)) + tail for tail in tails], device=device)
        shown = [[0] * (length - len(tail)) + [1] * len(tail) for tail in tails]
        behind = torch.tensor(shown, device=device)
        mask = torch.cat([behind.new_ones(len(tails), len(prefix)), behind], dim=1)
        cache = known.for_rows(self._known(prefix), len(tails)) if prefix else None
        batch = _Batch(cache, mask, [[] for _ in texts], list(prompts))
        return batch, self._next(batch, ids)

    def _known(self, prefix: Tokens) -> Any:
        if self._prefix[0] != prefix:
            self._prefix = ((), None)  # before the next is made
            self._prefix = (prefix, known.read(self._model, prefix))
        return self._prefix[1]

    def _step(self, rows: _Batch, token: Tensor) -> Tensor:
        rows.mask = torch.cat([rows.mask, rows.mask.new_ones(len(token), 1)], dim=1)
        return self._next(rows, token[:, None])

    def _next(self, rows: _Batch, ids: Tensor) -> Tensor:
        """Read `ids` behind what the rows know; the likeliest token behind each row."""
        # Padding stands left of a row's own tokens, behind the shared beginning.
        positions = (rows.mask.cumsum(-1) - 1).clamp(min=0)[:, -ids.shape[1] :]
        with torch.inference_mode():
            answer = self._model(
                input_ids=ids,
                attention_mask=rows.mask,
                position_ids=positions,
                past_key_values=rows.cache,
                use_cache=True,
                logits_to_keep=1,
            )
        rows.cache = answer.past_key_values
        logits = answer.logits[:, -1]
        best = logits.max(-1)
        if not bool(torch.isfinite(best.values).all()):
            raise StageFailed("logits that are not finite; the weights are damaged")
        token: Tensor = best.indices
        return token


def _only(rows: _Batch, going: list[int]) -> _Batch:
    """The batch without the rows that have ended."""
    kept = torch.tensor(going, device=rows.mask.device)
    rows.cache.batch_select_indices(kept)
    return _Batch(
        rows.cache,
        rows.mask[kept],
        [rows.said[row] for row in going],
        [rows.left[row] for row in going],
    )
