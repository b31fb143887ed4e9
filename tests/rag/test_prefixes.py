"""rag.prefixes: how encoders want their texts, by their files and by their names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rag.prefixes import INSTRUCTION, PROMPTS, compared_otherwise, reading
from stemma.jsonl import write_json
from stemma.recipe.rag import Encoder


def prefixes(folder: Path, **asked: str) -> tuple[str, str]:
    write_json(folder / "config.json", {"max_position_embeddings": 512})
    found = reading(folder, Encoder(model=str(folder), **asked))  # type: ignore[arg-type]
    return found.query_prefix, found.passage_prefix


@pytest.mark.parametrize(
    ("name", "query", "passage"),
    [
        ("e5-small-v2", "query: ", "passage: "),
        ("multilingual-e5-base", "query: ", "passage: "),
        ("multilingual-e5-large-instruct", "", ""),
        ("bge-small-en-v1.5", INSTRUCTION, ""),
        ("bge-base-zh-v1.5", "为这个句子生成表示以用于检索相关文章：", ""),
        ("bge-m3", "", ""),
        ("snowflake-arctic-embed-xs", INSTRUCTION, ""),
        ("snowflake-arctic-embed-m-v1.5", INSTRUCTION, ""),
        ("snowflake-arctic-embed-l-v2.0", "query: ", ""),
        ("mxbai-embed-large-v1", INSTRUCTION, ""),
        ("nomic-embed-text-v1.5", "search_query: ", "search_document: "),
        ("modernbert-embed-base", "search_query: ", "search_document: "),
        ("gte-small", "", ""),
        ("all-MiniLM-L6-v2", "", ""),
    ],
)
def test_prefixes_of_known_families(tmp_path: Path, name: str, query: str, passage: str) -> None:
    (tmp_path / name).mkdir()
    assert prefixes(tmp_path / name) == (query, passage)
    assert prefixes(tmp_path / name, query_prefix="", passage_prefix="p: ") == ("", "p: ")


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"prompts": {"query": "Q ", "document": "D "}}, ("Q ", "D ")),
        ({"prompts": {"query": "Q ", "passage": "P ", "sts": "S "}}, ("Q ", "P ")),
        ({"prompts": {"query": "Q "}}, ("Q ", "")),
        ({"prompts": {"query": "Q ", "any": "A "}, "default_prompt_name": "any"}, ("Q ", "A ")),
        ({"prompts": {"query": "", "document": ""}}, ("query: ", "passage: ")),
        ({"prompts": {}}, ("query: ", "passage: ")),
        ({"prompts": None}, ("query: ", "passage: ")),
    ],
)
def test_the_models_own_prompts_come_before_its_familys(
    tmp_path: Path, config: dict[str, Any], expected: tuple[str, str]
) -> None:
    folder = tmp_path / "e5-small-v2"
    folder.mkdir()
    write_json(folder / PROMPTS, config)
    assert prefixes(folder) == expected
    assert prefixes(folder, query_prefix="mine: ")[0] == "mine: "


def test_vectors_that_are_not_compared_by_cosine_are_told(tmp_path: Path) -> None:
    assert compared_otherwise(tmp_path, "all-MiniLM-L6-v2", False) is None
    problem = compared_otherwise(tmp_path, "sentence-transformers/msmarco-bert-base-dot-v5", False)
    assert problem
    assert problem.found == "vectors of any length, compared by `dot`"
    write_json(tmp_path / PROMPTS, {"similarity_fn_name": "euclidean"})
    assert compared_otherwise(tmp_path, "own", False)
    assert compared_otherwise(tmp_path, "own", True) is None, "of length 1 all are alike"
    write_json(tmp_path / PROMPTS, {"similarity_fn_name": "cosine"})
    assert compared_otherwise(tmp_path, "own-dot-v1", False) is None
