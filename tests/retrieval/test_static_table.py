"""stemma.retrieval.static_table: vectors from a table, and tables that are none."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from stemma.errors import StageFailed, UserError
from stemma.jsonl import write_json
from stemma.retrieval.static_table import StaticTable
from tests.factories.tables import ROWS, write_table


def test_a_vector_is_the_mean_of_the_known_tokens(tmp_path: Path) -> None:
    table = StaticTable(write_table(tmp_path / "table"))
    found = table.passages(["North", "east far", "north unheard-of", "", "unheard"])
    # (2, 0) + (1, 1) = (3, 1), of length 3.1623
    expected = [[0, 1], [0.94868, 0.31623], [0, 1], [0, 0], [0, 0]]
    assert np.allclose(found, expected, atol=1e-5)
    assert (found.dtype, table.dimensions) == (np.float32, 2)
    assert table.queries([]).shape == (0, 2)


def test_long_and_broken_texts_are_read_whole(tmp_path: Path) -> None:
    table = StaticTable(write_table(tmp_path / "table"))
    long = "north " * 100_000 + "east " * 100_000
    assert np.allclose(table.passages([long]), [[0.70711, 0.70711]], atol=1e-4)
    assert np.allclose(table.queries(["\ud800 north \x00"]), [[0, 1]], atol=1e-5)


def test_the_digest_is_the_tables_content(tmp_path: Path) -> None:
    one, same, other = (write_table(tmp_path / name) for name in ("a", "b", "c"))
    save_file({"embeddings": ROWS * 2}, other / "model.safetensors")
    assert StaticTable(one).digest == StaticTable(same).digest != StaticTable(other).digest


def test_what_is_no_table_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no config.json, no tokenizer.json, no model.safetensors"):
        StaticTable(tmp_path)
    folder = write_table(tmp_path / "table")
    weights = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(weights[:-8])
    with pytest.raises(UserError, match=r"cannot be read: (.|\n)*run the rag stage again"):
        StaticTable(folder)
    (folder / "model.safetensors").write_bytes(weights)
    (folder / "config.json").write_text(json.dumps({"model_type": "bert"}))
    rows = load_file(folder / "model.safetensors")["embeddings"]
    rows[1] = np.nan
    save_file({"embeddings": rows}, folder / "model.safetensors")
    write_json(folder / "config.json", {"model_type": "model2vec", "normalize": True})
    with pytest.raises(StageFailed, match="text 2 of 2 is not finite"):
        StaticTable(folder).passages(["east", "north"])
