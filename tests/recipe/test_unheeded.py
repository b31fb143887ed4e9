"""Keys that are refused as unheeded are so in the installed Axolotl and TRL."""

from __future__ import annotations

import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest

from stemma.recipe.axolotl_keys import axolotl_fields
from stemma.recipe.unheeded import GONE, ONLY_SFTS_TRAINER, SMOOTHED

LEFT_OVER = sorted(set(GONE) - {"fsdp"})


def package(name: str) -> Path:
    spec = find_spec(name)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


@cache
def words(path: str) -> set[str]:
    return set(re.findall(r"\w+", (package("axolotl") / path).read_text(encoding="utf-8")))


def test_keys_of_sfts_trainer_are_those_that_no_builder_of_dpo_knows() -> None:
    assert set(ONLY_SFTS_TRAINER) <= set(axolotl_fields())
    where = ("core/builders/causal.py", "utils/data/sft.py", "monkeypatch/relora.py")
    assert set(ONLY_SFTS_TRAINER) <= set().union(*map(words, where))
    assert "ReLoRACallback" in words("core/builders/causal.py") - words("core/builders/base.py")
    for path in (
        "core/builders/base.py",
        "core/builders/rl.py",
        "core/trainers/dpo/__init__.py",
        "utils/data/rl.py",
    ):
        assert set(ONLY_SFTS_TRAINER) & words(path) == set()


def test_left_over_keys_are_still_in_axolotls_list_and_read_nowhere() -> None:
    assert set(LEFT_OVER) <= set(axolotl_fields())
    assert "fsdp" not in axolotl_fields()
    files = [file.relative_to(package("axolotl")) for file in package("axolotl").rglob("*.py")]
    readers = [str(file) for file in files if file.parts[:2] != ("utils", "schemas")]
    assert len(readers) > 100
    assert {file: found for file in readers if (found := words(file) & set(LEFT_OVER))} == {}


def test_losses_that_heed_label_smoothing() -> None:
    text = (package("trl") / "trainer/dpo_trainer.py").read_text(encoding="utf-8")
    losses = re.split(r'(?:el)?if loss_type == "(\w+)":', text)[1:]
    heed = {
        name
        for name, body in zip(losses[::2], losses[1::2], strict=True)
        if "self.label_smoothing" in body
    }
    assert heed == SMOOTHED
    assert "sigmoid" in losses[::2]


@pytest.mark.parametrize("key", LEFT_OVER)
def test_every_reason_says_more_than_no(key: str) -> None:
    assert "Axolotl" in GONE[key]
