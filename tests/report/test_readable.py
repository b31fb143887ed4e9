from __future__ import annotations

import pytest

from report import readable


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (3.0, "3"),
        (0.71234, "0.712"),
        (12.345, "12.3"),
        (5321.4, "5,321"),
        (-0.5, "−0.500"),
        (1e-6, "1e-6"),
    ],
)
def test_numbers_have_three_figures(value: float, text: str) -> None:
    assert readable.number(value) == text


def test_a_number_that_is_none_is_said_so() -> None:
    assert readable.number(float("nan")) == "not finite"


@pytest.mark.parametrize(
    ("count", "text"),
    [(512, "512 B"), (160_000, "160 kB"), (999_900, "1.00 MB"), (1_620_000_000, "1.62 GB")],
)
def test_sizes_are_decimal(count: int, text: str) -> None:
    assert readable.size(count) == text


def test_intervals_never_join_two_minus_signs() -> None:
    assert readable.interval(0.66, 0.76) == "[0.66–0.76]"
    assert readable.interval(-0.1, 0.1) == "[−0.10 to 0.10]"
    assert readable.interval(-0.03, 0.006, 3, signed=True) == "[−0.030 to +0.006]"
    assert readable.interval(None, None) == ""


def test_a_difference_that_rounds_to_zero_has_no_sign() -> None:
    assert readable.fixed(-0.0001, 2, signed=True) == "0.00"
    assert readable.fixed(0.0123, 3, signed=True) == "+0.012"


def test_times_taken_and_days() -> None:
    assert readable.took("2026-11-22T10:00:00+00:00", "2026-11-22T12:01:30+00:00") == "2:01:30"
    assert readable.day("2026-11-22T10:06:48+00:00") == "22 November 2026, 10:06 UTC"


def test_cells_and_facts_of_any_shape_fit_on_a_line() -> None:
    assert readable.words({"max_kl": 0.25, "ok": True, "of": [1, "two"], "none": None}) == (
        "max kl 0.250, ok yes, of 1, two, none –"
    )
    assert readable.words({"gguf-Q4_K_M": 1}) == "gguf-Q4_K_M 1"
    assert [readable.words(value) for value in (None, {}, 0, "two\nlines")] == [
        "–",
        "–",
        "0",
        "two lines",
    ]


def test_what_is_not_finite_is_said() -> None:
    assert readable.fixed(float("nan"), 2) == readable.percent(float("inf")) == "not finite"
    assert readable.words("a\u202eb\x07") == "a⟨U+202E⟩b␇"
