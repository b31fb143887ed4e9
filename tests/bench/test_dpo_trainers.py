"""Trainers that can be made with the installed packages, and that all of them compute one loss."""

from __future__ import annotations

import math
from importlib.util import find_spec
from typing import Any

import pytest

from bench import dpo_trainers
from bench.dpo_setting import Setting, Switches, loss_step, train_step
from bench.dpo_trainers import ON_AXOLOTL, ON_TRL, PLAIN, how_ours, make_trainer, missing
from bench.plain_dpo import PlainLoop, length, tokens

SETTING = Setting(hidden=32, layers=1, intermediate=64, vocabulary=300, rows=8)
SHARED = Switches(shared_prompts=True)


def without(monkeypatch: pytest.MonkeyPatch, *modules: str) -> None:
    monkeypatch.setattr(
        dpo_trainers, "find_spec", lambda name: None if name in modules else find_spec(name)
    )


def first_loss(trainer: Any) -> float:
    batch = trainer.data_collator([trainer.train_dataset[row] for row in range(SETTING.pairs)])
    return loss_step(trainer, trainer._prepare_inputs(batch))


def test_missing_modules_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (missing("stock"), missing("trl"), how_ours()) == ([], [], ON_AXOLOTL)
    without(monkeypatch, "axolotl")
    assert (missing("stock"), missing("trl"), how_ours()) == (["axolotl"], [], ON_TRL)
    without(monkeypatch, "axolotl", "pydantic")
    assert (missing("trl"), how_ours()) == ([], PLAIN)
    without(monkeypatch, "axolotl", "trl", "datasets", "liger_kernel")
    assert (missing("chunked"), how_ours()) == (
        ["axolotl", "trl", "datasets", "liger_kernel"],
        PLAIN,
    )
    assert missing("plain") == missing("ours") == []


def test_all_contestants_have_trls_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = first_loss(make_trainer("trl", SETTING))
    assert not math.isclose(expected, math.log(2), abs_tol=1e-6), "the adapter is not at its start"
    on_axolotl = [
        make_trainer("stock", SETTING),
        make_trainer("chunked", SETTING),
        make_trainer("ours", SETTING),
    ]
    assert [first_loss(trainer) for trainer in on_axolotl] == pytest.approx(
        [expected] * 3, abs=1e-5
    )
    assert [trainer.use_liger_kernel for trainer in on_axolotl] == [False, True, False]
    without(monkeypatch, "axolotl")
    on_trl = make_trainer("ours", SETTING, Switches())
    assert type(on_trl).__name__ == "DpoOnTrl"
    assert first_loss(on_trl) == pytest.approx(expected, abs=1e-5)
    without(monkeypatch, "axolotl", "trl")
    made = [
        make_trainer("plain", SETTING),
        *(make_trainer("ours", SETTING, how) for how in (Switches(), SHARED)),
    ]
    assert {type(trainer) for trainer in made} == {PlainLoop}
    assert [first_loss(trainer) for trainer in made] == pytest.approx([expected] * 3, abs=1e-5)


def test_the_plain_loop_trains_and_takes_every_row_once() -> None:
    loop = PlainLoop(SETTING, Switches())
    batches = list(loop.get_train_dataloader())
    assert sum(len(batch["input_ids"]) for batch in batches) == 2 * SETTING.rows
    before = {
        name: weight.clone()
        for name, weight in loop.model.named_parameters()
        if weight.requires_grad
    }
    assert math.isfinite(train_step(loop, batches[0]))
    assert all(
        (weight != before[name]).any()
        for name, weight in loop.model.named_parameters()
        if name in before
    )
    assert len(before) == 4, "A and B on q_proj and v_proj of one layer"


def test_pairs_become_tokens_by_hand() -> None:
    row = tokens({"prompt": "09", "chosen": "1", "rejected": "23"})
    assert row == {"prompt": [2, 4, 13], "chosen": [5, 1], "rejected": [6, 7, 1]}
    assert length(row) == 6
