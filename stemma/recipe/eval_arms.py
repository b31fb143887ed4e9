"""Arms of an evaluation: the same weights, asked with passages put before each question.

`dpo+retrieved` in `eval.variants` is the variant `dpo` whose questions come with what the search
finds for them; `dpo` alone is asked closed-book.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, get_args

from stemma.recipe.eval_tasks import ARM_TASKS

Arm = Literal["retrieved", "random", "gold"]
ARMS: dict[Arm, str] = {
    "retrieved": "what the search finds for the question; nothing where it abstains",
    "random": "as many passages, drawn by the seed; never the question's own",
    "gold": "the question's own passage alone; rows without one are left out",
}
"""What each arm puts before a question."""
BETWEEN = "+"


def split_arm(variant: str) -> tuple[str, Arm | None]:
    """(name of the weights, arm) of a variant; None: closed-book, or no arm that there is."""
    weights, _, arm = variant.partition(BETWEEN)
    for known in get_args(Arm):
        if arm == known:
            return weights, known
    return variant, None


def with_arm(weights: str, arm: Arm | None) -> str:
    """The name of the variant."""
    return f"{weights}{BETWEEN}{arm}" if arm else weights


def has_arms(variants: Iterable[str]) -> bool:
    """Whether some variant is asked with passages."""
    return any(split_arm(name)[1] for name in variants)


def answers_in_arms(task: str, arm: Arm | None) -> bool:
    """Whether a variant of this arm is scored on a task: speeds, and predictions against merged's
    on the same text, are closed-book figures."""
    return arm is None or task in ARM_TASKS
