"""The language that texts are written in."""

from __future__ import annotations

import pytest

from data_builders.language import language_of


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["Wie groß ist die Kraft auf einen Körper von zwei Kilogramm?"], "de"),
        (["Quelle est la vitesse d'un corps qui tombe depuis une seconde ?"], "fr"),
        (["What is the force on a body of two kilograms, and why is it so?"], "en"),
        (["两千克的物体在地球上受到的重力是多少牛顿?"], "zh"),
        (["物体的速度是多少？", "速度是多少米？"], "zh"),
        (["12 * 7", "A", "84 N"], "en"),
        ([], "en"),
    ],
)
def test_the_language_is_seen(texts: list[str], expected: str) -> None:
    assert language_of(texts) == expected
