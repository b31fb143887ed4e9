"""Fixtures of the trials: one place for what is done in peace, and a word on what was seen."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where each stage is done once in peace."""
    return tmp_path_factory.mktemp("calm")


@pytest.fixture
def seen(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Keep a sentence on what a trial saw, for its row of docs/reliability.md."""

    def keep(text: str) -> None:
        request.node.user_properties.append(("seen", text))

    return keep
