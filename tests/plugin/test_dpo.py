"""Stemma's DPO trainer against TRL's: the licence to be fast.

Batches as Axolotl makes them, fp32, one process.

With real Axolotl, several ranks and each ZeRO stage: `test_ranks.py`.
"""

from __future__ import annotations

import gc
import sys
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from stemma.plugin.reference import _digest
from tests.factories.models import make_gemma, tiny_model
from tests.plugin.trainers import (
    GRADIENT,
    LOSS,
    PLAIN,
    adapter,
    assert_alike,
    batch,
    both,
    make_small,
    make_trainer,
    rows,
    step,
)

ADAPTER = 1e-4
"""How far 50 steps may lead apart, as a share of the way the adapter went."""


def test_equals_trl_and_says_so(tmp_path: Path) -> None:
    ours, stock = both(tiny_model(), tmp_path)
    assert_alike(ours, stock, 0, 1, 2, 3)
    assert ours.describe() == {
        "logps": "answers only, fp32",
        "batches": "at random",
        "reference": "with each batch",
    }


def test_each_row_has_the_same_rewards(tmp_path: Path) -> None:
    ours, stock = both(tiny_model(), tmp_path)
    for row in range(4):
        assert_alike(ours, stock, row)


@pytest.mark.parametrize("which", [(0, 2), (-1, 1, 0)])
@pytest.mark.parametrize("longest", [20, 30, None])
def test_equals_trl_on_odd_batches(
    tmp_path: Path, which: tuple[int, ...], longest: int | None
) -> None:
    """Padding among the chosen and among the rejected, answers cut short, rows left out."""
    assert_alike(*both(tiny_model(), tmp_path, max_length=longest), *which)


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("gemma2", {"final_logit_softcapping": 2.0}),  # a low cap, so that it bites
        ("gemma3_text", {}),
        ("qwen2", {}),
        ("qwen3", {"tie_word_embeddings": True}),
        ("llama", {}),
    ],
)
def test_equals_trl_on_other_architectures(
    tmp_path: Path, kind: str, changes: dict[str, Any]
) -> None:
    ours, stock = both(make_small(tmp_path / "start", kind, **changes), tmp_path)
    assert_alike(ours, stock, 0, 1, 2, 3)
    assert ours.describe()["logps"] == "answers only, fp32"


def test_equals_trl_with_checkpointing_and_accumulation(tmp_path: Path) -> None:
    settings = {"gradient_checkpointing": True, "gradient_accumulation_steps": 2}
    assert_alike(*both(tiny_model(), tmp_path, **settings), 0, 1)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"loss_type": ["ipo"]}, r"loss ['ipo'] with weights [1.0]"),
        ({"loss_type": ["sigmoid", "sft"]}, "loss ['sigmoid', 'sft'] with weights [1.0, 1.0]"),
        ({"f_divergence_type": "js_divergence"}, "divergence js_divergence"),
        ({"ld_alpha": 0.5}, "`ld_alpha`"),
        ({"use_weighting": True}, "`use_weighting`"),
        ({"lora": {"target_modules": ["q_proj", "lm_head"]}}, "the head is trained"),
        ({"lora": {"modules_to_save": ["lm_head"]}}, "the head is trained"),
    ],
)
def test_what_it_cannot_do_it_leaves_to_trl(
    tmp_path: Path, settings: dict[str, Any], reason: str
) -> None:
    ours, stock = both(tiny_model(), tmp_path, {"group_by_length": False}, **settings)
    assert_alike(ours, stock, 0, 1, 2, 3)
    assert ours.describe()["logps"] == f"stock trainer: {reason}"


def test_switched_off_it_is_trl(tmp_path: Path) -> None:
    ours, stock = both(tiny_model(), tmp_path, PLAIN | {"chunked_logps": False})
    assert_alike(ours, stock, 0, 1)
    assert ours.describe()["logps"] == "stock trainer: `chunked_logps: false`"


def test_a_model_that_scales_its_logits_is_noticed(tmp_path: Path) -> None:
    ours, stock = both(make_small(tmp_path / "start", "granite", logits_scaling=4.0), tmp_path)
    assert_alike(ours, stock, 0, 1, 2, 3)
    assert ours.describe()["logps"].startswith(
        "stock trainer: the model's logits are not those of its head ("
    )


def test_the_reference_is_precomputed_once_and_kept(tmp_path: Path) -> None:
    given = {"precompute_ref_log_probs": True, "eval_dataset": rows(3)}
    ours, stock = both(tiny_model(), tmp_path, {"group_by_length": False}, **given)
    for name in ("ref_chosen_logps", "ref_rejected_logps"):
        for mine, theirs in (
            (ours.train_dataset, stock.train_dataset),
            (ours.eval_dataset, stock.eval_dataset),
        ):
            assert list(mine[name]) == pytest.approx(list(theirs[name]), abs=1e-4)
    assert_alike(ours, stock, 0, 1, 2, 3)
    assert ours._metrics["train"]["reference/apart"][0] < 1e-4
    mine, theirs = (trainer.evaluate() for trainer in (ours, stock))
    named = [name for name in theirs if "/" in name or name == "eval_loss"]
    assert [mine[name] for name in named] == pytest.approx(
        [theirs[name] for name in named], abs=1e-4
    )


def test_a_kept_reference_is_found_again_by_what_it_was_computed_from(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"precompute_ref_log_probs": True}
    make_trainer(tiny_model(), tmp_path, {}, **settings)
    [kept] = (tmp_path / "reference").iterdir()
    known = load_file(kept)["logps"] * 0 - 7
    save_file({"logps": known}, kept, metadata=_digest(known))
    again = make_trainer(tiny_model(), tmp_path, {}, **settings)
    assert list(again.train_dataset["ref_chosen_logps"]) == [-7.0] * 4
    other = make_gemma(tmp_path / "other", seed=1)
    for start, more in (
        (other, {}),
        (tiny_model(), {"max_length": 30}),
        (tiny_model(), {"train_dataset": rows(5)}),
    ):
        assert (
            -7.0
            not in make_trainer(start, tmp_path, {}, **settings, **more).train_dataset[
                "ref_chosen_logps"
            ]
        )
    assert len(list((tmp_path / "reference").iterdir())) == 4


def test_references_may_be_kept_for_all_recipes(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"precompute_ref_log_probs": True, "kept": tmp_path / "references"}
    for output in (tmp_path / "one", tmp_path / "other"):
        make_trainer(tiny_model(), output, {}, **settings)
        assert not (output / "reference").exists()
    assert len(list((tmp_path / "references").iterdir())) == 1


def test_a_kept_reference_that_is_wrong_shows_in_the_first_batch(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"precompute_ref_log_probs": True}
    trainer = make_trainer(tiny_model(), tmp_path, {}, **settings)
    inputs = batch(trainer, 0, 1)
    inputs["ref_chosen_logps"] += 3
    _, _, metrics = step(trainer, inputs)
    assert metrics["reference/apart"] == pytest.approx(3, abs=1e-4)


def test_no_garbage_is_collected_between_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = make_trainer(tiny_model(), tmp_path, PLAIN, max_steps=2)
    callers: list[str] = []
    monkeypatch.setattr(gc, "collect", lambda *_: callers.append(sys._getframe(1).f_code.co_name))
    trainer.train()
    assert "training_step" not in callers


def test_the_sampler_groups_by_length(tmp_path: Path) -> None:
    trainer = make_trainer(tiny_model(), tmp_path, {}, train_dataset=rows(40))
    lengths = trainer._lengths(trainer.train_dataset)
    assert max(lengths) == 48, "as long as the collator leaves it"
    order = list(trainer.get_train_dataloader().batch_sampler)
    assert sorted(row for group in order for row in group) == list(range(40))
    assert max(lengths) in [lengths[row] for row in order[0]]
    assert sum(max(lengths[row] for row in group) * len(group) for group in order) < 1.1 * sum(
        lengths
    )


def make_chunked(output: Path, **settings: Any) -> Any:
    """TRL's own path that puts only the answers through the head. Liger's kernels, which need a
    GPU, are left out."""
    kernels = ("rope", "rms_norm", "geglu", "swiglu", "cross_entropy", "fused_linear_cross_entropy")
    settings |= {"use_liger_kernel": True, "liger_kernel_config": dict.fromkeys(kernels, False)}
    return make_trainer(tiny_model(), output, None, **settings)


def test_resumed_within_an_epoch_the_sampler_keeps_its_order(tmp_path: Path) -> None:
    """On two ranks accelerate's skipping of batches hides the sampler from it: `test_resume.py`
    kills and goes on."""
    trainer = make_trainer(tiny_model(), tmp_path, {}, train_dataset=rows(40))
    sampler = trainer._get_train_sampler()
    trainer.state.epoch = 2.5
    trainer.callback_handler.on_epoch_begin(trainer.args, trainer.state, trainer.control)
    assert sampler.epoch == 2


def test_equals_trls_chunked_path(tmp_path: Path) -> None:
    chunked = make_chunked(tmp_path)
    ours = make_trainer(tiny_model(), tmp_path, PLAIN)
    (loss, gradient, _), (expected, wanted, _) = (
        step(trainer, batch(trainer, 0, 1, 2, 3)) for trainer in (ours, chunked)
    )
    assert abs(loss - expected) < LOSS
    assert (gradient - wanted).norm() / wanted.norm() < GRADIENT


@pytest.mark.slow
@pytest.mark.parametrize("precomputed", [False, True])
def test_fifty_steps_lead_to_the_same_adapter(tmp_path: Path, precomputed: bool) -> None:
    settings = {"max_steps": 50, "learning_rate": 1e-3, "train_dataset": rows(60)}
    options = PLAIN | {"precompute_reference": precomputed}
    ours = make_trainer(
        tiny_model(), tmp_path, options, **settings, precompute_ref_log_probs=precomputed
    )
    stock = make_trainer(tiny_model(), tmp_path, None, **settings)
    start = adapter(stock)
    for trainer in (ours, stock):
        trainer.train()
    way = (adapter(stock) - start).norm()
    assert way > 0.1
    assert (adapter(ours) - adapter(stock)).norm() / way < ADAPTER


@pytest.mark.slow
def test_fifty_steps_of_the_chunked_path_lead_to_the_same_adapter(tmp_path: Path) -> None:
    settings = {"max_steps": 50, "learning_rate": 1e-3, "train_dataset": rows(60)}
    ours, chunked = (
        make_trainer(tiny_model(), tmp_path, PLAIN, **settings),
        make_chunked(tmp_path, **settings),
    )
    start = adapter(chunked)
    for trainer in (ours, chunked):
        trainer.train()
    way = (adapter(chunked) - start).norm()
    assert way > 0.1
    assert (adapter(ours) - adapter(chunked)).norm() / way < ADAPTER
