from __future__ import annotations

from pathlib import Path

from report.page import MARKDOWN, render
from report.run import gather
from tests.report.run_folder import make_work, score


def summary(root: Path, **changes: object) -> str:
    """The opening paragraph of the Markdown page, on one line."""
    text = render(gather(make_work(root, **changes)), MARKDOWN)  # type: ignore[arg-type]
    return " ".join(text.split("\n\n")[2].split())


def test_the_summary_says_figures_with_n_interval_and_chance(tmp_path: Path) -> None:
    said = summary(tmp_path)
    assert said.startswith(
        "base → sft → dpo → mcq, exported from mcq; gguf-Q4_K_M ships (160 kB). "
        "It answers 61% of 240 held-out multiple-choice questions right "
        "(95% interval 55% to 67%; chance 25%; the base model: 34%). "
        "Against the merged model that is −11.0 points (−16.0 to −6.0): a real loss. "
    )
    assert "always picking the longer answer: 55%), with a mean margin of +0.420. Writing freely, it gets " in said
    assert "undecided: 4%)" in said
    assert said.endswith("On this machine it writes 812 tokens a second and holds 61.2 MB at its peak.")


def test_what_was_not_measured_is_not_mentioned(tmp_path: Path) -> None:
    said = summary(tmp_path, scores=[score("base", "mcq", "accuracy", 0.3, 10)])
    assert said == "base → sft → dpo → mcq, exported from mcq; gguf-Q4_K_M ships (160 kB)."
