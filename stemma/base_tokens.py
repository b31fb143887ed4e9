"""Whether a base model's tokenizer goes with its weights: every token it can write has a row in the embedding."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stemma.errors import Problem
from stemma.jsonl import read_json

TOKENIZER, TOKENIZER_CONFIG = "tokenizer.json", "tokenizer_config.json"
ROWLESS = {"gemma3_text": {"<image_soft_token>"}}
"""Tokens that published models name and have no row for: the text models of Gemma 3 share the tokenizer of those that
see pictures."""
NAMED = 3


def token_problems(folder: Path, config: dict[str, Any], rows: int | None) -> Iterator[Problem]:
    """`rows` is how many tokens have an embedding."""
    if not (folder / TOKENIZER).is_file() or not rows:
        return
    place = str(folder / TOKENIZER)
    try:
        ids = _ids(read_json(folder / TOKENIZER))
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        yield Problem(place, f"not a tokenizer: no {error}", "a file as `tokenizers` saves it")
        return
    known = ROWLESS.get(config.get("model_type", ""), set())
    beyond = sorted((number, token) for token, number in ids.items() if number >= rows and token not in known)
    if beyond:
        named = ", ".join(f"`{token}` = {number}" for number, token in beyond[:NAMED])
        found = f"{len(beyond)} of its tokens have no row in the embedding of {rows}: {named}"
        hint = "tokens were added without `resize_token_embeddings`, or it is another model's tokenizer"
        yield Problem(place, found, f"ids below {rows}", hint)
    elif len(ids) < rows / 2:
        found = f"{len(ids)} tokens for an embedding of {rows} rows"
        yield Problem(place, found, "the tokenizer the model was trained with", "it is another model's tokenizer")
    yield from _named_problems(folder, ids)


def _named_problems(folder: Path, ids: dict[str, int]) -> Iterator[Problem]:
    """The first and last token that templates write must be tokens."""
    path = folder / TOKENIZER_CONFIG
    config = read_json(path) if path.is_file() else {}
    for name in ("bos_token", "eos_token"):
        token = config.get(name)
        text = token.get("content") if isinstance(token, dict) else token
        if text and text not in ids:
            expected = f"a token of {TOKENIZER}"
            yield Problem(str(path), f"`{name}` is `{text}`, which the tokenizer does not know", expected)


def _ids(tokenizer: dict[str, Any]) -> dict[str, int]:
    """Every token's id. A unigram's vocabulary is a list, in the order of ids."""
    vocabulary = tokenizer["model"]["vocab"]
    if isinstance(vocabulary, list):
        vocabulary = {token: number for number, (token, _) in enumerate(vocabulary)}
    return {**vocabulary, **{token["content"]: token["id"] for token in tokenizer["added_tokens"]}}
