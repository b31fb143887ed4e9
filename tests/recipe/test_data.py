"""Sharing of `data.parts` among the sets, with `data.<set>.parts` of their own."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from stemma.recipe.data import DataSection, Parts

SETS = {
    name: {"sources": [{"source": "stem_exercises"}]} for name in ("corpus", "sft", "dpo", "mcq")
}
SHARES = {"validation": 0.05, "test": 0.2}


def section(**values: Any) -> DataSection:
    return DataSection.model_validate(values)


def test_parts_stand_once_for_all_sets_and_a_set_may_say_otherwise() -> None:
    data = section(**SETS, parts=SHARES)
    assert [data.sets()[name].parts for name in ("sft", "dpo", "mcq")] == [Parts(**SHARES)] * 3
    other = section(**{**SETS, "mcq": {**SETS["mcq"], "parts": {"test": 0}}}, parts=SHARES)
    assert other.sets()["mcq"].parts == Parts(validation=0.05, test=0)
    assert other.sets()["sft"].parts == Parts(**SHARES)


def test_rows_depend_on_the_shares_and_not_on_where_the_recipe_states_them() -> None:
    once = section(**SETS, parts=SHARES)
    each = {name: {**SETS[name], "parts": SHARES} for name in ("sft", "dpo", "mcq")}
    assert once.content() == section(**{**SETS, **each}).content()
    assert once.content() != section(**SETS).content()
    assert "parts" not in once.content()
    assert section(**once.model_dump(mode="json")).content() == once.content()


def test_wrong_shares_are_told_once() -> None:
    with pytest.raises(ValidationError) as caught:
        section(**SETS, parts={"tests": 0.1})
    assert [error["loc"] for error in caught.value.errors()] == [("parts", "tests")]
    with pytest.raises(ValidationError) as caught:
        section(**{**SETS, "dpo": {**SETS["dpo"], "parts": 3}}, parts=SHARES)
    assert [error["loc"] for error in caught.value.errors()] == [("dpo", "parts")]
