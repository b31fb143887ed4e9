from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from report.page import HTML, MARKDOWN, render
from report.run import gather
from stemma.facts import SharedQuestions
from tests.factories.run_to_report import make_recipe, make_scores, make_work, score


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
    assert (
        "always picking the longer answer: 55%), with a mean margin of +0.420. "
        "Writing freely, it gets "
    ) in said
    assert "undecided: 4%)" in said
    assert said.endswith(
        "On this machine it writes 812 tokens a second and holds 61.2 MB at its peak."
    )


def test_the_summary_says_how_many_answers_are_empty(tmp_path: Path) -> None:
    none, some = (score("gguf-Q4_K_M", "generation", "empty", n, 150) for n in (0, 7))
    assert "undecided: 4%)" in summary(tmp_path / "none", scores=[*make_scores(), none])
    assert "undecided: 4%; empty: 7)" in summary(tmp_path / "some", scores=[*make_scores(), some])


@pytest.mark.parametrize("template", [HTML, MARKDOWN])
def test_a_loss_that_hardly_fell_stands_in_the_lead(tmp_path: Path, template: str) -> None:
    evidence = gather(make_work(tmp_path))
    told = "In sft the loss hardly fell: 2 at first, 1.99 at last."
    assert told not in render(evidence, template)
    flat = [{"loss": 2.0, "step": 5}] * 6 + [{"loss": 1.99, "step": 10}] * 6
    evidence = replace(evidence, histories={**evidence.histories, "sft": flat})
    assert told in render(evidence, template)


def test_what_was_not_measured_is_not_mentioned(tmp_path: Path) -> None:
    said = summary(tmp_path, scores=[score("base", "mcq", "accuracy", 0.3, 10)])
    assert said == "base → sft → dpo → mcq, exported from mcq; gguf-Q4_K_M ships (160 kB)."
    beside = summary(tmp_path / "beside", recipe=make_recipe(mcq={"start_from": "sft"}), scores=[])
    assert beside.startswith("base → sft → mcq, exported from mcq; "), "dpo is a branch of its own"


@pytest.mark.parametrize("template", [HTML, MARKDOWN])
def test_a_split_by_pair_is_told_with_its_leak(tmp_path: Path, template: str) -> None:
    evidence = gather(make_work(tmp_path))
    said = "split by pair: 1,048 of 1,050 test questions train too, with 1,990 of 2,000 test pairs"
    assert said not in render(evidence, template)
    leak = SharedQuestions(
        train_questions=3000,
        test_questions=1050,
        shared_questions=1048,
        test_pairs=2000,
        leaked_test_pairs=1990,
    )
    told = evidence.data.model_copy(update={"split_by_pair": leak})
    assert said in render(replace(evidence, data=told), template)


@pytest.mark.parametrize("template", [HTML, MARKDOWN])
def test_a_variant_that_scored_nothing_finite_is_told(tmp_path: Path, template: str) -> None:
    scores = [
        score(name, "mcq", "accuracy", float("nan"), 10) for name in ("merged", "gguf-Q4_K_M")
    ]
    page = render(gather(make_work(tmp_path, scores=scores)), template)
    assert "not finite" in page
    assert not re.search(r"[ >\[]nan\b", page)


@pytest.mark.parametrize("template", [HTML, MARKDOWN])
def test_a_variant_that_guesses_is_told_loudly(tmp_path: Path, template: str) -> None:
    evidence = gather(make_work(tmp_path))
    line = "gguf-Q8_0 scores like chance: mcq accuracy 0.270"
    assert line not in render(evidence, template)
    eval_ = evidence.manifests["eval"]
    told = eval_.model_copy(update={"facts": eval_.facts | {"at_chance": [line]}})
    page = render(replace(evidence, manifests=evidence.manifests | {"eval": told}), template)
    assert page.count(f"<strong>{line}" if template == HTML else f"**{line}**") == 1
