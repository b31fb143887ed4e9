"""A real browser for tests of pages: Debian's Chromium, driven by Playwright, with the network off.

A test that needs it skips, saying so, where either is missing.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

QUIET = (
    "--no-sandbox",  # tests may run as root, in a container
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@dataclass
class Watched:
    """An open page, with all it asked for and complained about."""

    page: Any
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)


def chromium() -> str:
    """The path of the browser. Skips the test where there is none."""
    pytest.importorskip("playwright", reason="needs Playwright's Python package (extra `dev`)")
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    pytest.skip("needs a browser: Debian's package `chromium`")


@contextmanager
def launched() -> Iterator[Any]:
    """A browser. One at a time: Playwright runs no two side by side in a thread."""
    path = chromium()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(QUIET))
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def opened(browser: Any, url: str, width: int = 1280, height: int = 900) -> Iterator[Watched]:
    """The page at `url`, in a window of this size, without any network."""
    context = browser.new_context(viewport={"width": width, "height": height}, offline=True)
    try:
        watched = Watched(context.new_page())
        watched.page.on("request", lambda request: watched.requests.append(request.url))
        watched.page.on("pageerror", lambda error: watched.complaints.append(str(error)))
        watched.page.on("console", lambda said: watched.complaints.append(said.text))
        watched.page.goto(url)
        yield watched
    finally:
        context.close()
