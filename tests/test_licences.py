from __future__ import annotations

import pytest

from stemma.licences import UNSTATED, refusal


@pytest.mark.parametrize(
    "licence",
    ["Apache-2.0", "MIT", "CC-BY-SA-4.0", "CC0-1.0", "MIT OR CC-BY-NC-4.0", "MIT AND CC-BY-4.0"],
)
def test_what_may_be_passed_on(licence: str) -> None:
    assert refusal(licence) is None


@pytest.mark.parametrize(
    ("licence", "reason"),
    [
        ("", "its licence is not known"),
        (UNSTATED, "its licence is not known"),
        ("unlicensed", "it has no licence"),
        ("NOASSERTION", "it has no licence"),
        ("CC-BY-NC-3.0", "its licence CC-BY-NC-3.0 is non-commercial"),
        ("cc-by-nd-4.0", "its licence cc-by-nd-4.0 is no derivatives"),
        ("MIT AND CC-BY-NC-4.0", "its licence CC-BY-NC-4.0 is non-commercial"),
        ("CC-BY-NC-4.0 OR CC-BY-ND-4.0", "its licence CC-BY-NC-4.0 is non-commercial"),
    ],
)
def test_what_may_not_and_why(licence: str, reason: str) -> None:
    assert refusal(licence) == reason
