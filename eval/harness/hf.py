"""A folder of safetensors for benchmarks: transformers, with what texts share computed once.

Logits are computed only behind tokens that something is read off at. Peak memory beside the
weights: activations of a chunk (`trie`), its mask in the model's dtype once a call, keys and values
of one shared beginning, a tile of logits (`stemma.models`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import GenerationConfig

from eval.backends.hf import HuggingFace
from eval.backends.interface import Ids
from eval.harness import known, start, writing
from eval.harness.engine import Answer, Continuation, Writing
from eval.harness.trie import CHUNK_TOKENS, Chunk, Tokens, chunks
from stemma import models
from stemma.errors import StageFailed

NO_WINDOW = 2048
"""Tokens that a model is asked for at once where its config names no number."""
AGREE_NATS = 0.1
"""Two ways of computing a log-probability may differ by so much (bfloat16's rounding)."""


class HfEngine(HuggingFace):
    """A folder of safetensors, in the order and layout that computes each token once."""

    def __init__(self, weights: str, stop: str, threads: int) -> None:
        super().__init__(weights, stop, threads)
        tokenizer = self._tokenizer
        self.begin = start.of(tokenizer)
        self.window = _window(self._model.config, tokenizer)
        self.ends = {self._stop, tokenizer.eos_token_id, *_saved_ends(weights)} - {None}
        self._prefix: tuple[Tokens, Any] = ((), None)

    @property
    def facts(self) -> dict[str, str]:
        """How it computes, in words."""
        layout = "laid out as a tree" if self._can_share else "one text at a time"
        return {"scoring": f"{layout}, logits only where they are read"}

    @cached_property
    def _can_share(self) -> bool:
        """Whether the tree gives what single texts give: tried, since an architecture may look past
        the mask. bitsandbytes never: its answer depends on what else is in the batch."""
        if self._is_quantised:
            return False
        ids = self.tokenize("What is 2 + 2? It is four, and 2 + 3 is five. ")
        context = tuple((self.begin.first + ids * 4)[:48])
        probes = [Continuation(context, (*ids[:place], ids[place])) for place in range(1, 4)]
        probes += [Continuation(context, (ids[2], ids[1])), Continuation(context[:5], (ids[0],))]
        behind = _wanted(probes)
        alone = self._alone(behind)
        try:
            small = self._as_tree(behind, size=16)  # with a prefix
            packed = self._as_tree(behind)
        except (RuntimeError, TypeError, ValueError, AttributeError):
            return False
        return all(
            abs(found[one][0] - answer[0]) <= AGREE_NATS
            for found in (small, packed)
            for one, answer in alone.items()
        )

    def score(self, wanted: Sequence[Continuation]) -> list[Answer]:
        """Log-probability of each continuation, and whether it is the likeliest."""
        config = self._model.config.get_text_config()
        slides = getattr(config, "sliding_window", None)
        short: dict[Tokens, list[Continuation]] = {}
        long: dict[Tokens, list[Continuation]] = {}
        for text, behind in _wanted(wanted).items():
            fits = self._can_share and (slides is None or len(text) <= slides)
            (short if fits else long)[text] = behind
        answers = self._as_tree(short) | self._alone(long)
        broken = sum(not math.isfinite(answer[0]) for answer in answers.values())
        if broken:
            counted = f"{broken} of {len(answers)} log-probabilities are no numbers"
            raise StageFailed(f"{counted}; the weights are damaged")
        return [answers[one] for one in wanted]

    def write(self, wanted: Sequence[Writing]) -> list[str]:
        """Greedy text behind each prompt, cut before its first stop."""
        decoder = writing.Decoder(self._model, self.ends, self.detokenize, self._can_share)
        return decoder.write(wanted)

    def _alone(self, behind: Mapping[Tokens, list[Continuation]]) -> dict[Continuation, Answer]:
        """Each text by itself, unpadded."""
        found: dict[Continuation, Answer] = {}
        for text, wanted in behind.items():
            hidden = models.hidden_of(self._model, text)
            places = [
                range(len(one.context) - 1, len(one.context) - 1 + len(one.tokens))
                for one in wanted
            ]
            found |= self._read_off(hidden, wanted, [list(place) for place in places])
        return found

    def _as_tree(
        self, behind: Mapping[Tokens, list[Continuation]], size: int | None = None
    ) -> dict[Continuation, Answer]:
        """All texts, chunk by chunk."""
        first = {
            text: min(len(one.context) - 1 for one in wanted) for text, wanted in behind.items()
        }
        found: dict[Continuation, Answer] = {}
        for chunk in chunks(first, size or CHUNK_TOKENS[self._model.device.type]):
            hidden = self._hidden_of(chunk)
            wanted = [one for text in chunk.paths for one in behind[text]]
            found |= self._read_off(hidden, wanted, list(_places(chunk, wanted)))
        return found

    def _hidden_of(self, chunk: Chunk) -> Tensor:
        """Hidden states behind each token of a chunk's row: [row, hidden]."""
        model = self._model
        inputs: dict[str, Any] = {
            "input_ids": torch.tensor([chunk.tokens], device=model.device),
            "position_ids": torch.tensor([chunk.depths], device=model.device),
        }
        if chunk.prefix:
            if self._prefix[0] != chunk.prefix:
                self._prefix = ((), None)  # before the next is made
                self._prefix = (chunk.prefix, known.kept(known.read(model, chunk.prefix)))
            inputs |= {"past_key_values": self._prefix[1], "use_cache": True}
        else:
            inputs |= {"use_cache": False}
        if chunk.prefix or not chunk.is_one_branch:
            sees = torch.from_numpy(chunk.sees())
            mask = torch.zeros(sees.shape, dtype=model.dtype)
            mask.masked_fill_(~sees, torch.finfo(model.dtype).min)
            inputs["attention_mask"] = mask[None, None].to(model.device)
        with torch.inference_mode():
            hidden: Tensor = model.base_model(**inputs).last_hidden_state[0]
        return hidden

    def _read_off(
        self, hidden: Tensor, wanted: list[Continuation], places: list[Ids]
    ) -> dict[Continuation, Answer]:
        """Answers from hidden states; the logits of a place are computed once."""
        flat = torch.tensor([place for one in places for place in one])
        rows, where = flat.unique(return_inverse=True)
        tokens = torch.tensor([token for one in wanted for token in one.tokens])
        values = torch.empty(len(tokens))
        likeliest = torch.empty(len(tokens), dtype=torch.bool)
        begin = 0
        for part in hidden[rows.to(hidden.device)].split(models.tile_rows(self._model)):
            logits = models.logits_of(self._model, part)
            inside = (where >= begin) & (where < begin + len(part))
            row = (where[inside] - begin).to(logits.device)
            said = tokens[inside].to(logits.device)
            values[inside] = (logits[row, said] - logits.logsumexp(-1)[row]).cpu()
            likeliest[inside] = (logits.argmax(-1)[row] == said).cpu()
            begin += len(part)
        counts = [len(one.tokens) for one in wanted]
        sums = [float(part.double().sum()) for part in values.split(counts)]
        greedy = [bool(part.all()) for part in likeliest.split(counts)]
        return dict(zip(wanted, zip(sums, greedy, strict=True), strict=True))


def _wanted(wanted: Sequence[Continuation]) -> dict[Tokens, list[Continuation]]:
    """What is asked for, by the tokens that are to be read for it: each once."""
    found: dict[Tokens, list[Continuation]] = {}
    for one in dict.fromkeys(wanted):
        found.setdefault(one.read, []).append(one)
    return found


def _places(chunk: Chunk, wanted: list[Continuation]) -> Iterator[Ids]:
    """Where in the chunk's row each continuation is read off."""
    for one in wanted:
        path = chunk.paths[one.read]
        begin = len(one.context) - 1 - len(chunk.prefix)
        yield path[begin : begin + len(one.tokens)]


def _window(config: Any, tokenizer: Any) -> int:
    """The number of tokens a model was made for, by the names that configs have for it."""
    text = config.get_text_config()
    for name in ("n_positions", "max_position_embeddings", "n_ctx"):
        if (tokens := getattr(text, name, None)) is not None:
            return int(tokens)
    tokens = int(tokenizer.model_max_length)
    return tokens if tokens < 10**9 else NO_WINDOW


def _saved_ends(weights: str) -> Ids:
    """The tokens that the model's own files say end a text."""
    if not (Path(weights) / "generation_config.json").is_file():
        return []
    ends = GenerationConfig.from_pretrained(weights).eos_token_id
    return list(ends) if isinstance(ends, list) else [ends] if ends is not None else []
