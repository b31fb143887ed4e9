"""Losses that fell, and such as hardly did."""

from __future__ import annotations

from typing import Any

from stemma.training.losses import what_the_loss_did


def log(*losses: float, held: tuple[float, ...] = ()) -> list[dict[str, Any]]:
    """A trainer's log; `held`: the loss on validation rows at the start, …, and at the end."""
    rows: list[dict[str, Any]] = [
        {"loss": loss, "step": 5 * i + 5} for i, loss in enumerate(losses)
    ]
    last = 5 * len(losses)
    steps = [last * i // max(1, len(held) - 1) for i in range(len(held))]
    return [*rows, *({"eval_loss": loss, "step": at} for loss, at in zip(held, steps, strict=True))]


def test_a_loss_that_fell_is_not_told() -> None:
    assert what_the_loss_did(log(*[2.0, 1.5, 1.2, 1.1] * 1, *[1.0] * 8)) == ""
    flat_but_learnt = log(*[1.0] * 12, held=(1.0, 0.9))
    assert what_the_loss_did(flat_but_learnt) == "", "single batches differ, held-out rows do not"


def test_a_loss_that_hardly_fell() -> None:
    assert what_the_loss_did(log(*[0.693] * 6, *[0.69] * 6)) == (
        "the loss hardly fell: 0.693 at first, 0.69 at last"
    )
    assert what_the_loss_did(log(*[1.93] * 12, held=(2.0, 1.995))).startswith("the loss hardly")


def test_a_loss_on_held_out_rows_that_rose() -> None:
    assert what_the_loss_did(log(*[1.0, 0.5] * 6, held=(0.6, 0.5, 0.95))) == (
        "the loss on held-out rows is higher than before this training: 0.6 at first, 0.95 at last"
    )


def test_too_few_losses_say_nothing() -> None:
    assert what_the_loss_did(log(*[1.0] * 7)) == ""
    assert what_the_loss_did([]) == ""
    assert what_the_loss_did([{"loss": "nan", "step": 1}] * 9) == ""
