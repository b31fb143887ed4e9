"""Corpus scores against sacrebleu's own command line; intervals against its own bootstrap."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from random import Random
from time import process_time

import pytest
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from sacrebleu.significance import PairedTest

from eval.text.overlap import overlaps, signatures

WANTED = [
    "The force is mass times acceleration.",
    "Photosynthesis turns light into chemical energy.\n\nAnswer: B",
    "x = 5, since 2x = 10",
    "القوة هي الكتلة في التسارع",
    "Ice melts at 0 °C.",
]
SAID = [
    "The force is the mass times the acceleration.",
    "Plants turn light\tinto chemical energy.\n\nAnswer: C",
    "$x = 5$ since 2x = 10",
    "القوة هي التسارع",
    "",
]


def command_line(folder: Path, texts: list[str]) -> dict[str, tuple[float, str]]:
    """(score, signature) by `python -m sacrebleu` on files of one line a text."""
    for name, lines in {"said": texts, "wanted": WANTED}.items():
        written = "".join(" ".join(line.split()) + "\n" for line in lines)
        (folder / name).write_text(written, encoding="utf-8")
    command = [sys.executable, "-m", "sacrebleu", "wanted", "-i", "said", "-m", "bleu", "chrf"]
    options = ["--chrf-word-order", "2", "-w", "6", "-f", "json"]
    done = subprocess.run(
        [*command, *options], cwd=folder, capture_output=True, text=True, check=True
    )
    found = {one["name"]: one for one in json.loads(done.stdout)}
    return {
        ours: (found[theirs]["score"], found[theirs]["signature"])
        for ours, theirs in {"bleu": "BLEU", "chrf": "chrF2++"}.items()
    }


def test_scores_and_signatures_are_those_of_the_command_line(tmp_path: Path) -> None:
    theirs = command_line(tmp_path, SAID)
    ours = overlaps({"a": SAID}, WANTED, seed=1)["a"]
    for name, (score, signature) in theirs.items():
        assert ours[name].value == pytest.approx(score, abs=1e-5)
        assert signatures()[name] == signature


def test_equal_texts_score_100_and_empty_ones_0() -> None:
    ours = overlaps({"same": WANTED, "empty": [""] * 5}, WANTED, seed=1)
    assert {name: found.value for name, found in ours["same"].items()} == pytest.approx(
        {"bleu": 100.0, "chrf": 100.0}
    )
    assert {name: found.value for name, found in ours["empty"].items()} == {"bleu": 0, "chrf": 0}
    assert ours["same"]["bleu"].interval() == pytest.approx((100, 100))


def test_a_texts_own_chrf_is_that_of_the_text_alone() -> None:
    ours = overlaps({"a": SAID}, WANTED, seed=1)["a"]["chrf"].of_rows
    metric = CHRF(word_order=2)
    theirs = [
        metric.sentence_score(" ".join(one.split()), [" ".join(other.split())]).score
        for one, other in zip(SAID, WANTED, strict=True)
    ]
    assert ours == pytest.approx(theirs)


def drawn_texts(seed: int, rows: int, rate: float) -> tuple[list[str], list[str]]:
    draws = Random(seed)
    wanted = [" ".join(draws.choices("abcdefgh", k=12)) for _ in range(rows)]
    said = [
        " ".join(
            word if draws.random() < rate else draws.choice("abcdefgh") for word in line.split()
        )
        for line in wanted
    ]
    return said, wanted


def test_intervals_are_those_of_its_own_paired_bootstrap() -> None:
    better, wanted = drawn_texts(3, 200, 0.8)
    worse, _ = drawn_texts(3, 200, 0.6)
    metrics = {"BLEU": BLEU(), "chrF2++": CHRF(word_order=2)}
    _, theirs = PairedTest(
        [("merged", worse), ("dpo", better)], metrics, [wanted], test_type="bs", n_samples=1000
    )()
    ours = overlaps({"merged": worse, "dpo": better}, wanted, seed=5)
    for name, column in {"bleu": "BLEU", "chrf": "chrF2++"}.items():
        for place, system in enumerate(["merged", "dpo"]):
            result = theirs[column][place]
            low, high = ours[system][name].interval()
            assert (low + high) / 2 == pytest.approx(result.mean, rel=0.02)
            assert (high - low) / 2 == pytest.approx(result.ci, rel=0.12)
        difference, low, high = ours["dpo"][name].minus(ours["merged"][name])
        assert low < difference < high
        assert (low > 0) == (theirs[column][1].p_value < 0.05)


def test_the_seed_decides_the_interval_and_not_the_score() -> None:
    said, wanted = drawn_texts(7, 30, 0.7)
    one, again, other = (overlaps({"a": said}, wanted, seed)["a"]["bleu"] for seed in (1, 1, 2))
    assert one.interval() == again.interval() != other.interval()
    assert one.value == other.value


def test_a_thousand_replies_take_seconds() -> None:
    said, wanted = drawn_texts(9, 1000, 0.7)  # counted in blocks
    begin = process_time()
    found = overlaps({"a": said}, wanted, seed=1)["a"]
    assert process_time() - begin < 10
    assert found["bleu"].value == pytest.approx(BLEU().corpus_score(said, [wanted]).score)
    whole = CHRF(word_order=2).corpus_score(said, [wanted]).score
    assert found["chrf"].value == pytest.approx(whole)
