"""The run that trainings of the tests begin from."""

from __future__ import annotations

from pathlib import Path

import pytest

from stemma.runs import Run
from tests.factories.run_to_train import make_run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run whose `data` and `base` are done: 16 questions to train on, 4 to validate."""
    return make_run(tmp_path / "runs")
