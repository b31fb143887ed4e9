"""A trainer ends with the Stemma that started it."""

from __future__ import annotations

import subprocess

import pytest

from stemma.processes import die_with_stemma


def test_a_trainer_that_starts_after_its_stemma_was_killed_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    dead = subprocess.Popen(["true"])
    dead.wait()
    monkeypatch.setenv("STEMMA_PID", str(dead.pid))
    with pytest.raises(SystemExit, match="Stemma was killed"):
        die_with_stemma()
