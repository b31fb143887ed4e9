from fractions import Fraction

import pytest

from stemma.answers import is_right, numbers


@pytest.mark.parametrize(
    ("reply", "gold", "right"),
    [
        ("19", "19", True),
        ("12 + 7 = 19.", "19", True),
        ("19 is 12 + 7", "19", False),  # the last number counts
        ("The cost is $1,234.50", "1234.5", True),
        ("19.0", "19", True),
        ("190", "19", False),
        ("-3", "3", False),
        ("5-3", "3", True),  # a minus between numbers is an operator
        ("the rate is 9.8 m/s^2", "9.8", True),  # the exponent of a unit is no number
        ("2/3", "2/3", True),
        ("4/6", "2/3", True),
        ("3e8", "300000000", True),
        ("about .5", "0.5", True),
        ("", "5", False),
        ("no number", "5", False),
        ("Newton.", "newton", True),
        ("It is the newton", "newton", True),
        ("newtonian", "newton", False),
        ("a hash table, mostly", "Hash table", True),
        ("table hash", "hash table", False),
        ("it moves 12 km", "12 km", True),
        ("it moves 120 km", "12 km", False),
        ("", "newton", False),
    ],
)
def test_is_right(reply: str, gold: str, right: bool) -> None:
    assert is_right(reply, gold) is right


def test_numbers() -> None:
    assert numbers("x2 costs 1,000, v1.5, 2.5. and 1/4; 7/0") == [1000, Fraction(5, 2), Fraction(1, 4), 7, 0]


@pytest.mark.parametrize(
    "reply", ["1e99999999", "1e-99999999", "1" * 9000, "." + "1" * 9000, "1/" + "1" * 9000, "1e" + "9" * 9000]
)
def test_a_reply_without_end_is_wrong_at_once(reply: str) -> None:
    """10 to the 99,999,999 takes minutes to compute, and Python reads no more than 4,300 digits."""
    assert is_right(reply, "3") is False
    assert is_right(f"{reply} is 3", "3") is True
