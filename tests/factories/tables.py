"""A small static table of word vectors, by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from stemma.jsonl import write_json

WORDS = {"[UNK]": 0, "north": 1, "east": 2, "far": 3}
ROWS = np.array([[9, 9], [0, 2], [2, 0], [1, 1]], dtype=np.float32)


def write_table(folder: Path) -> Path:
    """Write a table of three words on a plane, by hand."""
    folder.mkdir()
    tokenizer = Tokenizer(models.WordLevel(WORDS, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    save_file({"embeddings": ROWS}, folder / "model.safetensors")
    config = {"model_type": "model2vec", "normalize": True, "hidden_dim": 2, "seq_length": 1000000}
    write_json(folder / "config.json", config)
    return folder
