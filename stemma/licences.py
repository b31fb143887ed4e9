"""The licences that let data be passed on, as SPDX identifiers; `unlicensed`: nobody gave the right
to it."""

from __future__ import annotations

import re

UNSTATED = "not stated"
_NO_LICENCE = {"unlicensed", "none", "noassertion"}
_LIMITS = {"NC": "non-commercial", "ND": "no derivatives"}


def refusal(licence: str) -> str | None:
    """The reason why data under this licence may not be in a public release, or None.

    Of alternatives (`MIT OR CC-BY-NC-4.0`) one is enough; otherwise every part must allow it.
    """
    reasons = [_refusal(alternative) for alternative in re.split(r"\s+OR\s+", licence.strip("() "))]
    return None if None in reasons else reasons[0]


def _refusal(licence: str) -> str | None:
    for name in re.split(r"\s+AND\s+", licence):
        if name in ("", UNSTATED):
            return "its licence is not known"
        if name.casefold() in _NO_LICENCE:
            return "it has no licence"
        for mark in name.upper().split("-"):
            if mark in _LIMITS:
                return f"its licence {name} is {_LIMITS[mark]}"
    return None
