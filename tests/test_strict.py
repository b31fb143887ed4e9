"""The base models: what they refuse, and what a model made of them may still allow."""

import pytest
from pydantic import ConfigDict, ValidationError

from stemma.strict import Record, StrictRecord


class Point(Record):
    x: int


class StrictPoint(StrictRecord):
    x: int


class Open(StrictRecord):
    model_config = ConfigDict(extra="allow")

    x: int


@pytest.mark.parametrize("model", [Point, StrictPoint])
def test_an_unknown_key_is_refused_and_nothing_changes(model: type[Record]) -> None:
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        model.model_validate({"x": 1, "y": 2})
    point = model.model_validate({"x": 1})
    with pytest.raises(ValidationError, match="Instance is frozen"):
        point.x = 2  # type: ignore[attr-defined]


def test_only_the_strict_one_asks_for_the_very_type() -> None:
    assert Point.model_validate({"x": "1"}).x == 1
    for model in (StrictPoint, Open):
        with pytest.raises(ValidationError, match="Input should be a valid integer"):
            model.model_validate({"x": "1"})


def test_a_model_may_allow_further_keys() -> None:
    assert Open.model_validate({"x": 1, "y": "2"}).model_extra == {"y": "2"}
