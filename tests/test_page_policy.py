"""The policy of pages: digests as a browser makes them."""

from __future__ import annotations

from stemma.page_policy import page_policy

EMPTY = "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"
"""Of no bytes at all."""


def test_a_page_has_its_own_style_and_script_alone() -> None:
    assert page_policy("a {}", "x") == (
        "default-src 'none'; style-src 'sha256-mkSHzL7faOU7/U/v8Umg+058R69+vN2A2xmE3Fz1q98='; "
        "script-src 'sha256-LXEWQrcmsEQBYnyp+6wy9chTD7GQPMTbAiWHF5IaSIE='; base-uri 'none'; form-action 'none'"
    )


def test_a_page_without_a_script_runs_none() -> None:
    assert page_policy("", "", "connect-src 'self'") == (
        f"default-src 'none'; style-src {EMPTY}; connect-src 'self'; base-uri 'none'; form-action 'none'"
    )
