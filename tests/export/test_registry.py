"""export: the registry covers what recipes may ask for."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from export import FORMATS, budget_of
from export.quantise import QUANTISED_TYPES
from stemma.gate import Budget
from stemma.gguf_converter import FLOAT_TYPES
from stemma.recipe.sections import GGUF_TYPES, Gates


def test_every_format_of_the_recipe_is_registered() -> None:
    assert set(FORMATS) == {"bnb-int8", "bnb-nf4", *(f"gguf-{name}" for name in GGUF_TYPES)}
    assert {*FLOAT_TYPES, *QUANTISED_TYPES} == set(GGUF_TYPES)


def test_fewer_bits_are_allowed_more_drift() -> None:
    ladder = [
        FORMATS[f"gguf-{name}"] for name in ("F32", "F16", "Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M")
    ]
    assert [f.bits_per_weight for f in ladder] == sorted(
        (f.bits_per_weight for f in ladder), reverse=True
    )
    assert [f.budget.max_kl for f in ladder] == sorted(f.budget.max_kl for f in ladder)


def test_the_recipe_sets_its_own_limits() -> None:
    built_in = FORMATS["gguf-Q8_0"].budget
    gates = Gates(max_kl={"gguf-Q8_0": 0.5}, min_top1={"bnb-nf4": 0.6})
    assert budget_of("gguf-Q8_0", gates) == Budget(0.5, built_in.min_top1)
    assert budget_of("bnb-nf4", gates) == Budget(FORMATS["bnb-nf4"].budget.max_kl, 0.6)
    assert budget_of("gguf-Q6_K", gates) == FORMATS["gguf-Q6_K"].budget


def test_limits_of_formats_that_do_not_exist_are_refused() -> None:
    with pytest.raises(ValidationError, match="unknown nf4; formats are bnb-int8, bnb-nf4, gguf-"):
        Gates(min_top1={"nf4": 0.6})
