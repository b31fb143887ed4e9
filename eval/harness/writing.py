"""Greedy text of a transformers model in batches, ended row by row.

When half of a batch has ended, those rows leave it and waiting prompts take their places: one long
text does not keep a batch of its own busy. A beginning that all prompts share is read once. Peak
memory beside the weights: keys and values of HELD_TOKENS tokens, twice while a step appends to a
layer.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

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
    token: Tensor
    """[rows]: the likeliest next token of each, not said yet."""

    @classmethod
    def empty(cls) -> _Batch:
        """No row."""
        return cls(None, torch.empty(0, 0), [], [], torch.empty(0))


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
        self._slides = getattr(model.config.get_text_config(), "sliding_window", None)
        self._prefix: tuple[Tokens, Any] = ((), None)

    def write(self, wanted: Sequence[Writing]) -> list[str]:
        """The text behind each prompt, cut before its first stop."""
        # Like lengths together: little padding. Equal limits too, so that rows end together.
        waiting = deque(
            sorted(
                range(len(wanted)), key=lambda one: (wanted[one].tokens, len(wanted[one].prompt))
            )
        )
        texts: dict[int, str] = {}
        rows = _Batch.empty()
        while waiting or rows.left:
            admitted = self._admitted(waiting, rows.left, wanted)
            if admitted:
                rows = _joined(rows, self._read({one: wanted[one].prompt for one in admitted}))
            rows = self._until_half_ended(rows, wanted, texts)
        return [texts[place] for place in range(len(wanted))]

    def _admitted(
        self, waiting: deque[int], going: Sequence[int], wanted: Sequence[Writing]
    ) -> list[int]:
        """Take the prompts off the queue that there is room for; into an empty batch one at
        least."""
        found: list[int] = []
        while waiting:
            batch = [*going, *found, waiting[0]]
            longest = max(len(wanted[place].prompt) + wanted[place].tokens for place in batch)
            fits = len(batch) <= self._rows and len(batch) * longest <= HELD_TOKENS
            if len(batch) > 1 and not fits:
                break
            found.append(waiting.popleft())
        return found

    def _until_half_ended(
        self, rows: _Batch, wanted: Sequence[Writing], texts: dict[int, str]
    ) -> _Batch:
        """Write on until half of the rows have ended; the rows that have not."""
        while True:
            for row, place in enumerate(rows.left):
                if place not in texts:
                    self._say(rows.said[row], int(rows.token[row]), wanted[place])
                    if self._has_ended(rows.said[row], wanted[place]):
                        texts[place] = self._text(rows.said[row], wanted[place])
            going = [row for row, place in enumerate(rows.left) if place not in texts]
            ended = 2 * len(going) <= len(rows.left)
            if ended:
                rows = _only(rows, going)
            if going:
                rows = self._step(rows)
            if ended:
                return rows

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

    def _read(self, prompts: dict[int, Ids]) -> _Batch:
        """Read the prompts; each row's likeliest next token is the batch's."""
        texts = [tuple(ids) for ids in prompts.values()]
        prefix = self._shared(texts)
        tails = [list(text[len(prefix) :]) for text in texts]
        length = max(map(len, tails))
        device = self._model.device
        ids = torch.tensor([[0] * (length - len(tail)) + tail for tail in tails], device=device)
        shown = [[0] * (length - len(tail)) + [1] * len(tail) for tail in tails]
        behind = torch.tensor(shown, device=device)
        mask = torch.cat([behind.new_ones(len(tails), len(prefix)), behind], dim=1)
        # A cache of our own also without a beginning: the model's would forget what lies outside a
        # sliding window, and rows that are joined later have theirs elsewhere.
        cache = known.for_rows(self._known(prefix), len(tails)) if prefix else DynamicCache()
        batch = _Batch(cache, mask, [[] for _ in texts], list(prompts), ids[:, -1])
        return self._next(batch, ids)

    def _shared(self, texts: list[Tokens]) -> Tokens:
        """The beginning that all texts have in common, where it is worth a step of its own.

        Padding stands between it and a row's own tokens, which would shift a sliding window.
        """
        slides = self._slides is not None and max(map(len, texts)) > self._slides
        if slides or self._rows == 1:
            return ()
        known = self._prefix[0]
        if known and all(len(text) > len(known) == common(known, text) for text in texts):
            return known
        shared = min(common(texts[0], text) for text in texts)
        shared = min(shared, min(map(len, texts)) - 1)
        return texts[0][: shared if shared >= SHARED_TOKENS and len(texts) > 1 else 0]

    def _known(self, prefix: Tokens) -> Any:
        if self._prefix[0] != prefix:
            self._prefix = ((), None)  # before the next is made
            self._prefix = (prefix, known.read(self._model, prefix))
        return self._prefix[1]

    def _step(self, rows: _Batch) -> _Batch:
        rows.mask = torch.cat([rows.mask, rows.mask.new_ones(len(rows.token), 1)], dim=1)
        return self._next(rows, rows.token[:, None])

    def _next(self, rows: _Batch, ids: Tensor) -> _Batch:
        """Read `ids` behind what the rows know; the likeliest token behind each row."""
        # Padding stands left of a row's tokens, or between the shared beginning and its own.
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
        best = answer.logits[:, -1].max(-1)
        if not bool(torch.isfinite(best.values).all()):
            raise StageFailed("logits that are not finite; the weights are damaged")
        rows.token = best.indices
        return rows


def _only(rows: _Batch, going: list[int]) -> _Batch:
    """The batch without the rows that have ended, and without columns that then nobody sees."""
    kept = torch.tensor(going, dtype=torch.long, device=rows.mask.device)
    mask = rows.mask[kept]
    seen = mask.any(0).nonzero()
    unseen = int(seen[0]) if len(seen) else 0
    rows.cache.batch_select_indices(kept)
    known.drop_left(rows.cache, unseen)
    return _Batch(
        rows.cache,
        mask[:, unseen:],
        [rows.said[row] for row in going],
        [rows.left[row] for row in going],
        rows.token[kept],
    )


def _joined(rows: _Batch, new: _Batch) -> _Batch:
    """Both batches as one: the shorter one's rows are padded at their left."""
    if not rows.left:
        return new
    width = max(rows.mask.shape[1], new.mask.shape[1])
    masks = [
        torch.nn.functional.pad(one.mask, (width - one.mask.shape[1], 0)) for one in (rows, new)
    ]
    return _Batch(
        known.joined(rows.cache, new.cache, width),
        torch.cat(masks),
        [*rows.said, *new.said],
        [*rows.left, *new.left],
        torch.cat([rows.token, new.token]),
    )
