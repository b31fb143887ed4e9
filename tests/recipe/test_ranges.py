from __future__ import annotations

import pytest

from stemma.errors import UserError
from stemma.recipe.load import load
from stemma.recipe.ranges import expected_of
from tests.conftest import Write


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("lora_r", 0, "at least 1"),
        ("micro_batch_size", 0, "at least 1"),
        ("learning_rate", 0.0, "above 0"),
        ("num_epochs", 0, "above 0"),
        ("lora_dropout", 1.0, "at least 0 and below 1"),
        ("warmup_steps", -1, "at least 0"),
        ("warmup_ratio", 1.5, "at least 0 and at most 1"),
        ("lora_r", 1, ""),
        ("num_epochs", 0.5, ""),
        ("warmup_ratio", 1, ""),
        ("learning_rate", None, ""),
        ("max_grad_norm", True, ""),
        ("unheard_of", -1, ""),
    ],
)
def test_what_a_number_must_be(key: str, value: float | None, expected: str) -> None:
    assert expected_of(key, value) == expected


def test_check_names_them_all(write_recipe: Write) -> None:
    """`plan` counted a rank of 0 as training of the whole model, and divided by a batch of 0."""
    write_recipe(("  lora_r: 8", "  lora_r: 0"))
    with pytest.raises(UserError) as caught:
        load("small", ["sft.micro_batch_size=0", "sft.learning_rate=0"])
    found = {problem.found for problem in caught.value.problems}
    assert found == {
        "`train.lora_r` is 0",
        "`sft.micro_batch_size` is 0",
        "`sft.learning_rate` is 0",
    }
