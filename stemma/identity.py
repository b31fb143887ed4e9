"""The identity of a model folder: a digest of weights, config and tokenizer, wherever it lies."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from stemma.digests import digest_json
from stemma.known_digests import digests_of

MODEL_FILES = ["*.json", "*.safetensors", "*.jinja", "tokenizer.model"]
PROVENANCE = "provenance.json"
"""No part of a model: where it was imported from, and when, is another after another import."""


def model_digest(folder: Path, runs: Path) -> str:
    """The digest of a model's files and their names. `runs` is where the run folders lie."""
    digests = digests_of(sorted(model_files(folder)), runs)
    return digest_json({path.name: digest for path, digest in digests.items()})


def model_files(folder: Path) -> Iterator[Path]:
    """The files of a folder that are the model: weights, config and tokenizer."""
    for pattern in MODEL_FILES:
        for path in folder.glob(pattern):
            if path.is_file() and path.name != PROVENANCE:
                yield path
