"""What rank 0 tells of a training, on plain objects with the few attributes that are read.

The real command: tests/training/test_run.py.
"""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from stemma.heard import FILE
from stemma.plugin import telling
from stemma.plugin.telling import StepsTold


def state(step: int) -> Any:
    return SimpleNamespace(global_step=step, max_steps=260)


def told(folder: Path) -> dict[str, Any]:
    return json.loads((folder / FILE).read_text())  # type: ignore[no-any-return]


@pytest.fixture(autouse=True)
def _nobody_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stemma.heard.APART_SECONDS", 0.0)
    monkeypatch.setattr(telling, "_telling", telling.Telling(None))


def test_a_training_tells_what_it_prepares_then_its_steps(tmp_path: Path) -> None:
    telling.begin(tmp_path / "training")
    telling.tell("asking the reference", 3, 40, "batches")
    assert told(tmp_path / "training") == {
        "doing": "asking the reference",
        "done": 3,
        "total": 40,
        "unit": "batches",
        "note": "",
    }
    steps = StepsTold()
    steps.on_train_begin(None, state(130), None)  # resumed
    resumed = told(tmp_path / "training")
    assert (resumed["done"], resumed["total"], resumed["unit"]) == (130, 260, "steps")
    steps.on_log(None, state(130), None, logs={"loss": 0.5948, "learning_rate": 1e-5, "epoch": 1.0})
    steps.on_prediction_step(None, state(130), None)
    assert told(tmp_path / "training")["note"] == "loss 0.595, scoring held-out rows"
    logs = {"eval_loss": 0.6, "eval_rewards/accuracies": 0.8349}
    steps.on_log(None, state(130), None, logs=logs)
    steps.on_step_end(None, state(131), None)
    found = told(tmp_path / "training")
    assert (found["doing"], found["done"]) == ("training", 131)
    assert found["note"] == "loss 0.595, held-out loss 0.6, better answer preferred 83 %"
    steps.on_train_end(None, state(260), None)
    assert told(tmp_path / "training")["doing"] == "saving what was trained"


def test_of_several_ranks_the_first_alone_speaks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "1")
    telling.begin(tmp_path / "training")
    telling.tell("reading the rows")
    StepsTold().on_train_begin(None, state(0), None)
    assert list(tmp_path.iterdir()) == []
