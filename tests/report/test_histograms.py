from __future__ import annotations

from pathlib import Path

from report.histograms import histograms
from report.page import HTML, render
from report.run import gather
from tests.factories.run_to_report import make_work


def test_what_has_more_than_one_bar_is_drawn(tmp_path: Path) -> None:
    evidence = gather(make_work(tmp_path))
    found = histograms(evidence)
    assert [one.title for one in found] == ["mcq · words of prompt", "mcq · rows by subject"]
    page = render(evidence, HTML)
    assert '<figure><b>mcq · rows by subject</b>\n<svg viewBox="0 0 300 52" role="img"' in page
    assert "&lt;algebra&gt;" in page
    assert "<algebra>" not in page


def test_bars_are_as_long_as_their_counts(tmp_path: Path) -> None:
    words, subjects = histograms(gather(make_work(tmp_path)))
    assert 'd="M0 19H100.0"' in words.svg  # a third of the width, for 100 of at most 300
    assert 'd="M0 45H300.0"' in words.svg
    assert 'd="M0 45H200.0"' in subjects.svg
    assert ">240</text>" in subjects.svg
