"""The content policy of an HTML page: it draws its own style, runs its own script, asks nobody."""

from __future__ import annotations

import base64
import hashlib


def page_policy(style: str, script: str = "", *more: str) -> str:
    """The policy of a page by the digests of its one style and its one script: whatever else gets
    into the page does nothing. `more`: what this page needs beside that."""
    return "; ".join(
        (
            "default-src 'none'",
            f"style-src {_digest(style)}",
            *([f"script-src {_digest(script)}"] if script else []),
            *more,
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


def _digest(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
