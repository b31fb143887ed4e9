from __future__ import annotations

from pathlib import Path

from report.run import gather
from report.summary import sentences, tiles
from tests.report.run_folder import make_work, score


def test_the_summary_says_figures_with_n_interval_and_chance(tmp_path: Path) -> None:
    said = [sentence.replace("\u00a0", " ") for sentence in sentences(gather(make_work(tmp_path)))]
    assert said[:3] == [
        "base → sft → dpo → mcq, exported from mcq; gguf-Q4_K_M ships (160 kB).",
        "It answers 61 % of 240 held-out multiple-choice questions right "
        "(95 % interval 55 % to 67 %; chance 25 %; the base model: 34 %).",
        "Against the merged model that is −11.0 points (−16.0 to −6.0): a real loss.",
    ]
    assert said[3].endswith("always picking the longer answer: 55 %), with a mean margin of +0.420.")


def test_what_was_not_measured_is_not_mentioned(tmp_path: Path) -> None:
    evidence = gather(make_work(tmp_path, scores=[score("base", "mcq", "accuracy", 0.3, 10)]))
    assert sentences(evidence) == ["base → sft → dpo → mcq, exported from mcq; gguf-Q4_K_M ships (160 kB)."]
    assert [tile.title for tile in tiles(evidence)] == ["Size on disk"]
