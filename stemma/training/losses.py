"""What a training's loss did, from its log: a loss that hardly fell taught nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import mean
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stemma.stages import Work
    from stemma.training.completion import Completed

HARDLY = 0.02
"""A fall of the training loss, as a share of it, that single batches explain."""
HARDLY_HELD_OUT = 0.005
"""Likewise of the loss on validation rows: the same rows each time."""
FEWEST = 8
"""Logged losses below which nothing can be said."""
HINT = "hint: look at the curves and at `learning_rate`, and at the rows with `make preview`"


def tell_of_loss(work: Work, marker: Completed) -> None:
    """Warn of a training that taught nothing, by its losses."""
    if found := what_the_loss_did(marker.history):
        work.say(f"warning: {work.stage}: {found}; {HINT}")


def what_the_loss_did(history: Sequence[Mapping[str, Any]]) -> str:
    """A sentence where the loss hardly fell, or rose on held-out rows; else nothing.

    Both losses must have stayed where they were: one that fell is a training that learnt.
    """
    held = _logged(history, "eval_loss")
    before = held[0][1] if len(held) > 1 and held[0][0] == 0 else None
    after = held[-1][1] if held else None
    trained = [loss for _, loss in _logged(history, "loss")]
    if before is not None and after is not None and after > before * (1 + HARDLY):
        return (
            f"the loss on held-out rows is higher than before this training: {before:.3g} at "
            f"first, {after:.3g} at last"
        )
    if len(trained) < FEWEST:
        return ""
    few = len(trained) // 4
    first, last = mean(trained[: min(few, 5)]), mean(trained[-few:])
    if last < first * (1 - HARDLY) or first <= 0:
        return ""
    if before is not None and after is not None and after < before * (1 - HARDLY_HELD_OUT):
        return ""
    return f"the loss hardly fell: {first:.3g} at first, {last:.3g} at last"


def _logged(history: Sequence[Mapping[str, Any]], name: str) -> list[tuple[float, float]]:
    """Steps and values of what the trainer logged under a name."""
    return [
        (row.get("step", 0), float(row[name]))
        for row in history
        if isinstance(row.get(name), int | float) and math.isfinite(row[name])
    ]
