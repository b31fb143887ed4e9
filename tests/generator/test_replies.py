from __future__ import annotations

from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field

from stemma.generator.replies import example, parse


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    note: Annotated[str, Field(min_length=6)]
    count: Annotated[int, Field(ge=2)]
    tags: Annotated[list[str], Field(min_length=1)]
    maybe: float | None


class Verdict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    overall: Literal["A", "B", "tie"]
    why: str = "-"


class Whole(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    inner: Inner
    verdict: Verdict
    sure: bool
    kind: Literal["only"]


A = Verdict(overall="A")


@pytest.mark.parametrize(
    "text",
    [
        '{"overall": "A"}',
        '  {"overall": "A"}\n',
        '```json\n{"overall": "A"}\n```',
        'Sure! Here it is:\n{"overall": "A"}\nAnything else?',
        'The set {1, 2} is finite, so {"overall": "A"} it is.',
        '{"overall": "A"} and once more {"overall": "A"}',
        '{"n": ' + "9" * 5000 + '} {"overall": "A"}',
        # What lies inside another object is not meant.
        '{"other": {"overall": "B"}} {"overall": "A"}',
    ],
)
def test_the_value_is_found(text: str) -> None:
    assert parse(text, Verdict) == A


def test_braces_and_quotes_inside_strings_are_no_borders() -> None:
    text = r'Well: {"overall": "B", "why": "a } and a \" and {"} done'
    assert parse(text, Verdict) == Verdict(overall="B", why='a } and a " and {')


@pytest.mark.parametrize(
    "text",
    [
        "",
        "A",
        '{"overall": "A"',
        '{"overall": "C"}',
        '{"overall": "A", "extra": 1}',
        "{'overall': 'A'}",
        "{" * 5000,
        '{"overall": "A"} or rather {"overall": "B"}',
    ],
)
def test_no_value_or_two_that_differ_is_none(text: str) -> None:
    assert parse(text, Verdict) is None


def test_an_example_is_valid() -> None:
    assert example(Whole) == Whole(
        inner=Inner(note="text..", count=2, tags=["text"], maybe=0.0),
        verdict=A,
        sure=True,
        kind="only",
    )
