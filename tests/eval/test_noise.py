"""The noise floor: what differs between two measurements of the same weights."""

from __future__ import annotations

from pathlib import Path

import pytest

from eval.cells import jobs_of
from eval.noise import _again, marked, spreads
from eval.run import run
from eval.task import Metric, TaskScores
from eval.verdicts import verdicts
from stemma.jsonl import read_json
from stemma.recipe.evaluation import EvalSection
from stemma.rows import Score
from stemma.stages import Work
from tests.factories.run_to_score import make_recipe, make_work

SECTION = EvalSection.model_validate({"variants": ["merged"], "tasks": [{"task": "mcq"}]})


def answers(right: str) -> TaskScores:
    rows = {str(i): one == "1" for i, one in enumerate(right)}
    return TaskScores(
        [Metric("accuracy", right.count("1") / len(right), len(right))], [], {"accuracy": rows}
    )


def test_a_spread_is_the_largest_less_the_smallest() -> None:
    scored = {"q4": {"mcq": answers("1100")}}
    again = [{"q4": {"mcq": answers("1110")}}, {"q4": {"mcq": answers("0110")}}]
    spread, unsteady = spreads(scored, again)
    assert (spread.metric, spread.value, spread.n) == ("accuracy_spread", 0.25, 3)
    # Rows 0 and 2 did not come out the same each time.
    assert (unsteady.metric, unsteady.value, unsteady.n) == ("accuracy_unsteady", 2, 4)
    assert spreads(scored, []) == []


def test_differences_within_the_noise_are_marked() -> None:
    scored = {
        name: {"mcq": answers(right)}
        for name, right in (("merged", "1100"), ("q8", "1101"), ("q4", "1111"))
    }
    again = [
        {
            "merged": {"mcq": answers("1000")},
            "q8": {"mcq": answers("1101")},
            "q4": {"mcq": answers("1111")},
        }
    ]
    found = marked(verdicts(scored, SECTION), spreads(scored, again))
    assert {
        one.variant: (one.difference, one.spread, one.within_noise) for one in found.comparisons
    } == {
        "q8": (0.25, 0.25, True),
        "q4": (0.5, 0.25, False),
    }
    once = marked(verdicts(scored, SECTION), [])
    assert [(one.spread, one.within_noise) for one in once.comparisons] == [(None, False)] * 2


def test_a_further_measurement_has_other_batches_threads_and_places(tmp_path: Path) -> None:
    tasks = [{"task": "mcq"}, {"task": "speed"}]
    work = make_work(tmp_path, make_recipe(["gguf-F16"], tasks, threads=4, repeat=3))
    [job] = jobs_of(work)
    process, rows = _again(job, 1)
    assert (process.variant.threads, [cell.task for cell in process.cells]) == (4, ["speed"])
    assert (rows.variant.threads, [cell.task for cell in rows.cells]) == (2, ["mcq"])
    other = list(_again(job, 2))[1]
    folders = [
        cell.folder for one in (job, rows, other) for cell in one.cells if cell.task == "mcq"
    ]
    assert len(set(folders)) == 3
    assert {Path(folder).parent for folder in folders} == {tmp_path / "measured"}


@pytest.mark.slow
def test_a_variant_measured_twice(tmp_path: Path) -> None:
    recipe = make_recipe(["gguf-F16"], [{"task": "mcq"}, {"task": "speed"}], repeat=2)
    work = make_work(tmp_path, recipe)
    said: list[str] = []
    run(Work(recipe, work.run, "eval", said.append))
    assert [text.split(":")[1] for text in said if "measuring" in text] == [
        " measuring gguf-F16",
        " measuring gguf-F16.again1.process",
        " measuring gguf-F16.again1.rows",
    ]
    found = [Score.model_validate(one) for one in read_json(work.folder / "results.json")]
    spread = {one.metric: one for one in found if one.metric.endswith("_spread")}
    assert (spread["accuracy_spread"].value, spread["accuracy_spread"].n) == (0.0, 2)
    assert spread["load_seconds_spread"].value > 0
    said.clear()
    run(Work(recipe, work.run, "eval", said.append))
    assert [text for text in said if "measuring" in text] == []
