"""How a sentence encoder wants its texts: prefixes, and the longest that it reads."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from stemma.errors import Problem
from stemma.jsonl import read_object
from stemma.recipe.rag import Encoder
from stemma.retrieval.embedding import Reading

PROMPTS = "config_sentence_transformers.json"
INSTRUCTION = "Represent this sentence for searching relevant passages: "
FAMILIES = (
    (r"\be5-(small|base|large)(?!.*instruct)", "query: ", "passage: "),
    (r"\bbge-(small|base|large)-en\b", INSTRUCTION, ""),
    (r"\bbge-(small|base|large)-zh\b", "为这个句子生成表示以用于检索相关文章：", ""),
    (r"\barctic-embed-.*v2", "query: ", ""),
    (r"\barctic-embed-", INSTRUCTION, ""),
    (r"\bmxbai-embed-large", INSTRUCTION, ""),
    (r"\b(nomic-embed-text|modernbert-embed)", "search_query: ", "search_document: "),
)
"""Prefixes that encoders were trained with: pattern of the name, before a query, before a passage;
the first that fits. As their model cards state them and MTEB asks these models (its
`mteb/models/{e5,bge,arctic,mxbai,nomic}_models.py`). GTE, BGE-M3 and MiniLM want none."""
QUERY = ("query",)
PASSAGE = ("document", "passage", "corpus")
"""Names of prompts, as sentence-transformers looks them up for a query and for a document."""


def reading(folder: Path, asked: Encoder) -> Reading:
    """Prefixes by the recipe, else by the model's files, else of its family; its longest text."""
    query, passage = _own(folder) or _of_family(asked.name)
    return Reading(
        query_prefix=query if asked.query_prefix is None else asked.query_prefix,
        passage_prefix=passage if asked.passage_prefix is None else asked.passage_prefix,
        max_tokens=_longest(folder),
    )


def compared_otherwise(folder: Path, name: str, has_unit_length: bool) -> Problem | None:
    """Why cosines of the model's vectors are not what it was trained for, if so: `msmarco-*-dot-v5`
    and others are compared by dot product."""
    stated = optional(folder, PROMPTS).get("similarity_fn_name")
    by_name = "dot" if re.search(r"[-_]dot([-_]|$)", name.rpartition("/")[2]) else None
    kind = stated or by_name
    if has_unit_length or kind in (None, "cosine"):
        return None
    found = f"vectors of any length, compared by `{kind}`"
    hint = "take a model whose vectors are compared by cosine"
    return Problem(str(folder), found, "vectors compared by cosine", hint)


def _own(folder: Path) -> tuple[str, str] | None:
    """The prompts that the model's files state; None where they state none at all.

    sentence-transformers saves empty ones with every model: these say nothing.
    """
    config = optional(folder, PROMPTS)
    prompts = config.get("prompts") or {}
    if not any(prompts.values()):
        return None
    usual = prompts.get(config.get("default_prompt_name"), "")
    query, passage = (
        next((prompts[name] for name in names if name in prompts), usual)
        for names in (QUERY, PASSAGE)
    )
    return query, passage


def _of_family(model: str) -> tuple[str, str]:
    name = model.rstrip("/").rpartition("/")[2].lower()
    known = ((query, passage) for pattern, query, passage in FAMILIES if re.search(pattern, name))
    return next(known, ("", ""))


def _longest(folder: Path) -> int | None:
    """Tokens that sentence-transformers reads of a text."""
    stated = optional(folder, "sentence_bert_config.json").get("max_seq_length")
    if stated:
        return int(stated)
    tokenizer = optional(folder, "tokenizer_config.json").get("model_max_length")
    positions = read_object(folder / "config.json").get("max_position_embeddings")
    return min((int(one) for one in (tokenizer, positions) if one), default=None)


def optional(folder: Path, name: str) -> dict[str, Any]:
    """A JSON file of the folder; empty where there is none."""
    path = folder / name
    return read_object(path) if path.is_file() else {}
