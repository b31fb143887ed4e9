"""export: the registry covers what recipes may ask for."""

from __future__ import annotations

from export import FORMATS, Budget, budget_of
from export.convert import FLOAT_TYPES
from export.quantise import QUANTISED_TYPES
from stemma.recipe import GGUF_TYPES


def test_every_format_of_the_recipe_is_registered() -> None:
    assert set(FORMATS) == {"bnb-int8", "bnb-nf4", *(f"gguf-{name}" for name in GGUF_TYPES)}
    assert {*FLOAT_TYPES, *QUANTISED_TYPES} == set(GGUF_TYPES)


def test_fewer_bits_are_allowed_more_drift() -> None:
    ladder = [FORMATS[f"gguf-{name}"] for name in ("F32", "F16", "Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M")]
    assert [f.bits_per_weight for f in ladder] == sorted((f.bits_per_weight for f in ladder), reverse=True)
    assert [f.budget.max_kl for f in ladder] == sorted(f.budget.max_kl for f in ladder)


def test_the_recipe_sets_its_own_limit() -> None:
    assert budget_of("gguf-Q8_0", {"gguf-Q8_0": 0.5}) == Budget(0.5, FORMATS["gguf-Q8_0"].budget.min_top1)
    assert budget_of("gguf-Q6_K", {"gguf-Q8_0": 0.5}) == FORMATS["gguf-Q6_K"].budget
