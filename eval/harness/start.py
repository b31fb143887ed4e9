"""The token that a model's own tokenizer puts before a text, and the one for an empty text."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eval.backends.interface import Ids


@dataclass(frozen=True)
class Start:
    """How a text begins for a model: as its tokenizer has it, whichever engine runs the weights."""

    first: Ids
    """What the tokenizer puts before every text: the first token (Gemma), or nothing (SmolLM2)."""
    text: str
    """The same as it is written; a text that begins with it gets no second one."""
    empty: int
    """The token that stands before an empty context: the model's first one, else its last."""


def read(folder: Path) -> Start:
    """The start of texts by the tokenizer in a model's folder."""
    from transformers import AutoTokenizer

    return of(AutoTokenizer.from_pretrained(folder))


def of(tokenizer: Any) -> Start:
    """The same of a tokenizer that is loaded."""
    bare = list(tokenizer("a", add_special_tokens=False)["input_ids"])
    whole = list(tokenizer("a")["input_ids"])
    places = [place for place in range(len(whole)) if whole[place : place + len(bare)] == bare]
    first = whole[: places[0]] if places else []
    bos = tokenizer.bos_token_id
    text = str(tokenizer.decode(first)) if first else ""
    return Start(first, text, int(tokenizer.eos_token_id if bos is None else bos))
