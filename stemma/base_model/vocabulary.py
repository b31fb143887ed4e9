"""Check of a base model's tokenizer against its weights: each of its tokens has an embedding."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stemma.errors import Problem
from stemma.jsonl import read_json, read_object

if TYPE_CHECKING:
    from stemma.templates import Template

TOKENIZER = "tokenizer.json"
TOKENIZER_CONFIG = "tokenizer_config.json"
ROWLESS = {"gemma3_text": {"<image_soft_token>"}}
"""Tokens that published models name and have no row for: the text models of Gemma 3 share the
tokenizer of those that see pictures."""
PIECES = "tokenizer.model"
SENTENCEPIECE = ("gemma", "gemma2", "gemma3_text")
"""Families whose tokens llama.cpp's converter reads from the file `PIECES` alone."""
MADE = {"<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "<start_of_turn>", "<end_of_turn>"}
"""Special tokens of a model made on the spot (`stemma.training.base`)."""
SPECIAL_IDS = ("bos_token_id", "eos_token_id", "pad_token_id")
NAMED = 3
"""Tokens of one problem that are named, at most."""


def special_ids(folder: Path) -> dict[str, Any]:
    """The ids of the special tokens by config.json, and over them by generation_config.json, which
    may name some only or none."""
    files = [folder / name for name in ("config.json", "generation_config.json")]
    named = [read_object(path) for path in files if path.is_file()]
    return {name: one[name] for one in named for name in SPECIAL_IDS if one.get(name) is not None}


def token_problems(folder: Path, config: dict[str, Any], counted: Any) -> Iterator[Problem]:
    """Tokens and ids that do not go with the weights.

    `counted` is how many tokens have an embedding, by the weights or by config.json.
    """
    rows = counted if isinstance(counted, int) else None
    yield from _id_problems(folder, rows)
    if not (folder / TOKENIZER).is_file() or not rows:
        return
    place = str(folder / TOKENIZER)
    try:
        ids = _ids(_without_merges(folder / TOKENIZER))
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        yield Problem(place, f"not a tokenizer: no {error}", "a file as `tokenizers` saves it")
        return
    known = ROWLESS.get(config.get("model_type", ""), set())
    beyond = sorted(
        (number, token) for token, number in ids.items() if number >= rows and token not in known
    )
    if beyond:
        named = ", ".join(f"`{token}` = {number}" for number, token in beyond[:NAMED])
        found = f"{len(beyond)} of its tokens have no row in the embedding of {rows}: {named}"
        hint = (
            "tokens were added without `resize_token_embeddings`, or it is another model's "
            "tokenizer"
        )
        yield Problem(place, found, f"ids below {rows}", hint)
    elif len(ids) < rows / 2:
        found = f"{len(ids)} tokens for an embedding of {rows} rows"
        expected = "the tokenizer the model was trained with"
        yield Problem(place, found, expected, "it is another model's tokenizer")
    yield from _named_problems(folder, ids)
    if config.get("model_type") in SENTENCEPIECE and not (folder / PIECES).is_file():
        expected = "the SentencePiece model, which the GGUF converter reads"
        hint = "transformers 5 does not save it: copy it from the model that this one was made of"
        yield Problem(str(folder / PIECES), "no such file", expected, hint)


def _id_problems(folder: Path, rows: int | None) -> Iterator[Problem]:
    """End tokens that are no tokens of this model: generation stops at them.

    Other ids may be anything (-1 is used for none).
    """
    for path in (folder / "config.json", folder / "generation_config.json"):
        given = read_object(path).get("eos_token_id") if path.is_file() else None
        listed = given if isinstance(given, list) else [] if given is None else [given]
        wrong = [
            one
            for one in listed
            if type(one) is not int or one < 0 or (rows is not None and one >= rows)
        ]
        if wrong:
            below = f" below {rows}" if rows is not None else ""
            found = f"`eos_token_id` is {given!r}"
            yield Problem(
                str(path),
                found,
                f"a token's id{below}, or a list of them",
                "of the tokenizer's last token",
            )


def stop_problems(template: Template, folder: Path, place: str) -> Iterator[Problem]:
    """An end of an answer that is not one token: engines stop at ids. `place` is the template's."""
    added = {token["content"] for token in read_json(folder / TOKENIZER)["added_tokens"]}
    yield from _stops_at(template, added, place)


def made_stop_problems(template: Template, place: str) -> Iterator[Problem]:
    """The same for a model that is still to be made on the spot: its special tokens are Gemma's."""
    yield from _stops_at(template, MADE, place)


def _stops_at(template: Template, added: set[str], place: str) -> Iterator[Problem]:
    stop = template.stop()
    if stop in added:
        return
    several = sorted((token for token in added if token and token in stop), key=stop.index)
    found = f"an answer ends with {stop!r}, which is no special token of this model"
    hint = ""
    if several:
        found = f"an answer ends with {stop!r}: several tokens, and engines stop at one"
        hint = f"end it with `{several[0]}` alone, and write what follows in front of the next turn"
    yield Problem(place, found, "one of the tokenizer's special tokens", hint)


def _named_problems(folder: Path, ids: dict[str, int]) -> Iterator[Problem]:
    """First and last tokens, as templates write them, that the tokenizer does not know."""
    path = folder / TOKENIZER_CONFIG
    config = read_object(path) if path.is_file() else {}
    for name in ("bos_token", "eos_token"):
        token = config.get(name)
        text = token.get("content") if isinstance(token, dict) else token
        if text and text not in ids:
            expected = f"a token of {TOKENIZER}"
            yield Problem(
                str(path), f"`{name}` is `{text}`, which the tokenizer does not know", expected
            )


def _without_merges(path: Path) -> Any:
    """The file but for its merges: half of the time to read it, and nobody here asks for them."""
    head, found, _ = path.read_bytes().partition(b'"merges": [')
    try:
        return json.loads(head + b'"merges": []}}') if found else read_json(path)
    except ValueError:  # written in another order
        return read_json(path)


def _ids(tokenizer: dict[str, Any]) -> dict[str, int]:
    """Every token's id. A unigram's vocabulary is a list, in the order of ids."""
    vocabulary = tokenizer["model"]["vocab"]
    if isinstance(vocabulary, list):
        vocabulary = {token: number for number, (token, _) in enumerate(vocabulary)}
    return {**vocabulary, **{token["content"]: token["id"] for token in tokenizer["added_tokens"]}}


def converter_problems(folder: Path) -> list[Problem]:
    """A tokenizer at which the export would stop, when all is trained."""
    # Needs pydantic, which a bare GPU machine lacks.
    from stemma.base_model.tokenizer import converter_knows

    if converter_knows(folder):
        return []
    expected = "the byte pairs of a published model: it tells them by the ids they make of one text"
    hint = (
        "a vocabulary of one's own, or changed ids, cannot become a GGUF; take the model's own "
        "tokenizer"
    )
    found = "llama.cpp's converter does not know it"
    return [Problem(str(folder / TOKENIZER), found, expected, hint)]
