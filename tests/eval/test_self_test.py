"""The start-up self-test on backends that are set up wrongly, or whose scores are all alike."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from eval.backends import open_backend
from eval.backends.hf import HuggingFace
from eval.worker import self_test
from stemma import ROOT
from stemma.errors import StageFailed
from stemma.templates import Template
from tests.factories.models import TEMPLATE, make_gemma


def opened(tmp_path: Path) -> tuple[HuggingFace, Template]:
    backend = open_backend("hf", str(make_gemma(tmp_path / "m", hidden=32)), "<eos>", 1)
    assert isinstance(backend, HuggingFace)
    return backend, Template(TEMPLATE.read_text(encoding="utf-8"))


def test_a_lost_bos_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tokenizer that takes the template's `<bos>` for plain text, or leaves it out."""
    backend, template = opened(tmp_path)
    whole = backend.tokenize
    [bos] = whole(template.bos)

    def without(text: str) -> list[int]:
        ids = whole(text)
        return [token for token in ids if token != bos] if len(ids) > 1 else ids

    monkeypatch.setattr(backend, "tokenize", without)
    with pytest.raises(StageFailed, match="does not begin with exactly one BOS"):
        self_test(backend, template, "x")


def test_a_second_bos_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backend, template = opened(tmp_path)
    whole = backend.tokenize
    [bos] = whole(template.bos)
    monkeypatch.setattr(backend, "tokenize", lambda text: [bos, *whole(text)])
    with pytest.raises(StageFailed, match="does not begin with exactly one BOS"):
        self_test(backend, template, "x")


def test_a_wrong_delimiter_is_noticed(tmp_path: Path) -> None:
    """A template of another family: its end of a turn is no token of this model."""
    backend, _ = opened(tmp_path)
    chatml = (ROOT / "recipes/templates/chatml.jinja").read_text(encoding="utf-8")
    with pytest.raises(StageFailed, match="does not end with the stop token"):
        self_test(backend, Template(chatml, "<bos>", "<eos>"), "x")


def test_scores_that_no_text_changes_are_noticed(tmp_path: Path) -> None:
    """Every letter would score alike, and the first one win each question: silent chance."""
    backend, template = opened(tmp_path)
    self_test(backend, template, "x")
    with torch.no_grad():
        backend._model.get_input_embeddings().weight.zero_()
    with pytest.raises(StageFailed, match="x fails its self-test: predictions do not depend on"):
        self_test(backend, template, "x")
