from __future__ import annotations

import pytest

from data_builders.filters.number_words import read_numbers


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("two blocks of forty five kg", "2 blocks of 45 kg"),
        ("a hundred and one", "a 101"),
        ("two hundred and forty five and six", "245 and 6"),
        ("three thousand four hundred men", "3400 men"),
        ("one hundred thousand", "100000"),
        ("two million three thousand", "2003000"),
        ("two three", "2 3"),
        ("twenty ten", "20 10"),
        ("this one and that one", "this one and that one"),
        ("this one and two", "this one and 2"),
        ("hundred and", "100 and"),
        ("five hundred", "500"),
        ("thousand", "1000"),
        ("five thousand thousand", "5000 1000"),
        ("", ""),
    ],
)
def test_numbers_that_are_written_out(written: str, read: str) -> None:
    assert read_numbers(written.split()) == read.split()
