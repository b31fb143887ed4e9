"""The page in a real browser: keys and buttons give verdicts, answers are text and nothing else."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from eval.judge.page import PageServer
from eval.judge.person import JOURNAL, Sitting, read_journal
from tests.eval.judge.judges import pair_verdict
from tests.eval.judge.sittings import serving

CHROMIUM = shutil.which("chromium")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine"),
]
WON = ("2", "2")


def go_through(server: PageServer) -> list[str]:
    """Judges three pairs by key, arrow and button; what the page said in between."""
    from playwright.sync_api import sync_playwright

    said: list[str] = []
    complaints: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        page.on("dialog", lambda dialog: said.append(f"dialog: {dialog.message}"))
        page.on("console", lambda told: complaints.append(told.text))
        page.goto(server.url)
        for given, give in enumerate(
            (
                lambda: page.keyboard.press("1"),
                lambda: page.keyboard.press("ArrowRight"),
                lambda: page.click("button[data-verdict='3']"),
            )
        ):
            page.get_by_text(f"{given} of 3 judged").wait_for()  # its policy forbids evaluated code
            said.append(page.inner_text("#answer-1"))
            give()
        page.get_by_text("All pairs are judged").wait_for()
        assert page.locator("#pair").is_hidden()
        assert not [told for told in complaints if "Content Security" in told]
        page.evaluate(
            "document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=alert(3)>')"
        )
        page.wait_for_timeout(200)
        assert [told for told in complaints if "Content Security" in told], "and nothing else runs"
        browser.close()
    return said


def test_keys_buttons_and_text(tmp_path: Path) -> None:
    odd = "<script>alert(1)</script><img src=x onerror=alert(2)> $x^2$ שלום"
    pairs = [
        pair_verdict(f"s{i}", WON, question=f"q{i}", reference=odd, policy=f"{odd} {i}")
        for i in range(3)
    ]
    with serving(Sitting(pairs, tmp_path / JOURNAL, "anna", 42)) as server:
        said = go_through(server)
    assert all(text.startswith("<script>alert(1)</script><img") for text in said)
    given = read_journal(tmp_path / JOURNAL)
    assert [one.orders[0].place for one in given] == ["first", "second", "tie"]
