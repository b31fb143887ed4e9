"""A causal language model in memory, asked so that its logits never lie there all at once.

Logits are by far the widest thing a model makes: with Gemma's vocabulary 1 MB a token. So the
layers run first, which gives hidden states (8 KB a token), and the model's own head then answers
for a few positions at a time.

Peak memory, beside the weights: of `load_model` the largest tensor once or twice more, as stored;
of `hidden_states` one batch's activations; of `LogitsCompared` COMPARED rows of logits thrice in
float64; of the rest `TILE_LOGITS` values in the model's dtype and twice in float32.
"""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stemma.tensors import Tensors
from stemma.weights import attention_of

TILE_LOGITS = {"cpu": 2**23, "cuda": 2**26}
"""Logits computed at once (32 MiB in float32 on a CPU): 32 positions of Gemma's vocabulary."""
COMPARED = 8
"""Positions whose logits are compared at once, in float64: 3 x 16 MB with Gemma's vocabulary."""
M_MMAP_THRESHOLD = -3
"""glibc's name for its number (malloc.h)."""

Logits: TypeAlias = "Tensor | NDArray[np.float32]"
"""[positions, vocabulary], from transformers or from llama.cpp."""


def load_model(folder: Path) -> Any:
    """The model in `folder`, computing in float32, ready to be asked.

    transformers maps weight files into memory, so while it converts them a process holds the stored
    weights beside the converted ones. Handed tensors that are read one by one it holds the
    converted ones only.
    """
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, AutoConfig

    _let_go()
    config = AutoConfig.from_pretrained(folder)
    model = MODEL_FOR_CAUSAL_LM_MAPPING[type(config)].from_pretrained(
        None,
        config=config,
        state_dict=dict(Tensors(folder)),
        dtype=torch.float32,
        attn_implementation=attention_of(folder),
    )
    return model.to("cuda" if torch.cuda.is_available() else "cpu").eval()


def load_as_stored(folder: Path, device: str) -> Any:
    """The model in `folder` as a user would run it: dtype and quantisation as they are stored."""
    from transformers import AutoModelForCausalLM

    model: Any = AutoModelForCausalLM.from_pretrained(
        folder,
        dtype="auto",
        device_map={"": device},
        attn_implementation=attention_of(folder),
    )
    return model.eval()


def _let_go() -> None:
    """Give memory back before a model is loaded.

    An earlier model may lie here still, since models and PEFT's wrappers hold each other. And glibc
    keeps freed blocks of up to 32 MB, scattered among what stays, hundreds of them after a model:
    from now on each megabyte is mapped by itself, and freed means given back.
    """
    gc.collect()
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(M_MMAP_THRESHOLD, 2**20)
        libc.malloc_trim(0)


def hidden_states(model: Any, inputs: Mapping[str, Tensor]) -> Tensor:
    """The last hidden states, which the head would be given: [batch, length, hidden]."""
    with torch.inference_mode():
        hidden: Tensor = model.base_model(**inputs, use_cache=False).last_hidden_state
    return hidden


def hidden_of(model: Any, ids: Sequence[int]) -> Tensor:
    """The same of one sequence: [length, hidden]. Unpadded, so that padding can hide nothing."""
    return hidden_states(model, {"input_ids": torch.tensor([list(ids)], device=model.device)})[0]


def logits_of(model: Any, hidden: Tensor) -> Tensor:
    """Float32 logits [n, vocabulary] of hidden states [n, hidden].

    By the model's own forward pass, whose layers answer with what is known already: what an
    architecture does behind its head (Gemma 2 caps the logits, others scale them) is done too.
    """
    from transformers.modeling_outputs import BaseModelOutputWithPast

    known = BaseModelOutputWithPast(last_hidden_state=hidden[None])
    with torch.inference_mode(), _answering(model.base_model, known):
        unread = torch.zeros((1, len(hidden)), dtype=torch.long, device=hidden.device)
        logits: Tensor = model(input_ids=unread, use_cache=False).logits[0]
    return logits.float()


def tile_rows(model: Any) -> int:
    """The number of positions whose logits may be held at once."""
    return max(1, TILE_LOGITS[model.device.type] // model.config.get_text_config().vocab_size)


def log_probs(model: Any, hidden: Tensor, where: Tensor, tokens: Tensor) -> Tensor:
    """log p of each of the `tokens` behind the hidden state `hidden[where]`: one float32 a token,
    on the CPU."""
    found = torch.empty(len(tokens), device=hidden.device)
    begin = 0
    for part in hidden.split(tile_rows(model)):
        logits = logits_of(model, part)
        inside = (where >= begin) & (where < begin + len(part))
        rows = where[inside] - begin
        found[inside] = logits[rows, tokens[inside]] - logits.logsumexp(-1)[rows]
        begin += len(part)
    return found.cpu()


@dataclass(frozen=True)
class Agreement:
    """The agreement of two models' next-token predictions, over some positions."""

    max_difference: float
    """Between two logits of the same token, at most."""
    kl: float
    """Mean KL(one || other) in nats a position."""
    top1: float
    """Share of positions where the other's likeliest token is the one's likeliest too."""
    positions: int


class LogitsCompared:
    """Two models' logits compared as they come, a few positions at a time.

    `tie_nats`: tokens that the one puts within so much of its likeliest count as its likeliest.
    """

    def __init__(self, tie_nats: float = 0.0) -> None:
        self._tie_nats = tie_nats
        self._kl = 0.0
        self._same = 0
        self._positions = 0
        self._furthest = 0.0

    def add(self, one: Logits, other: Logits) -> None:
        """Both models' logits of the same positions."""
        tiles = zip(
            torch.as_tensor(one).split(COMPARED),
            torch.as_tensor(other).split(COMPARED),
            strict=True,
        )
        # Plain numbers are kept: small tensors that stay would each pin a hole of the heap where
        # large ones were.
        for a, b in tiles:
            difference = float((a - b).abs().max())
            self._furthest = float(np.maximum(self._furthest, difference))  # a NaN stays
            self._positions += len(a)
            p = a.double().log_softmax(-1)
            q = b.double().log_softmax(-1)
            lead = p.amax(-1) - p.gather(-1, q.argmax(-1, keepdim=True))[:, 0]
            self._same += int((lead <= self._tie_nats).sum())
            q.sub_(p).neg_()
            self._kl += float(p.exp_().mul_(q).sum(-1).clamp(min=0).sum())

    def agreement(self) -> Agreement:
        """Over all positions so far. Nothing compared is an error (ZeroDivisionError)."""
        count = self._positions
        return Agreement(self._furthest, self._kl / count, self._same / count, count)


def compare(pairs: Iterable[tuple[Logits, Logits]]) -> Agreement:
    """The agreement of two models' logits, given position by position or text by text."""
    comparison = LogitsCompared()
    for one, other in pairs:
        comparison.add(one, other)
        del one, other  # before the next are made
    return comparison.agreement()


@contextmanager
def _answering(module: Any, answer: Any) -> Iterator[None]:
    """Meanwhile calling `module` returns `answer`."""
    own = module.__dict__.get("forward")
    module.forward = lambda *_, **__: answer
    try:
        yield
    finally:
        del module.forward
        if own is not None:
            module.forward = own
