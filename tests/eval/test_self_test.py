"""The start-up self-test on a backend whose scores are all alike."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from eval.backends import open_backend
from eval.backends.hf import HuggingFace
from eval.worker import self_test
from stemma.errors import StageFailed
from stemma.templates import Template
from tests.factories.models import TEMPLATE, make_gemma


def test_scores_that_no_text_changes_are_noticed(tmp_path: Path) -> None:
    """Every letter would score alike, and the first one win each question: silent chance."""
    backend = open_backend("hf", str(make_gemma(tmp_path / "m", hidden=32)), "<eos>", 1)
    template = Template(TEMPLATE.read_text(encoding="utf-8"))
    self_test(backend, template, "x")
    assert isinstance(backend, HuggingFace)
    with torch.no_grad():
        backend._model.get_input_embeddings().weight.zero_()
    with pytest.raises(StageFailed, match="x fails its self-test: predictions do not depend on"):
        self_test(backend, template, "x")
