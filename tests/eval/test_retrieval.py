"""The stage with arms: real tiny models asked with passages, each in its own process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import eval.only
import eval.run
from eval.only import measure_only
from eval.run import run
from stemma.errors import UserError
from stemma.jsonl import read_dicts, read_json, write_jsonl
from stemma.rows import Score
from stemma.stages import Result, Work
from tests.eval.encyclopaedia import retrieval
from tests.factories.manifests import write_manifest
from tests.factories.run_to_score import make_recipe, make_work

TASKS = [{"task": "mcq"}, {"task": "generation", "max_new_tokens": 6}, {"task": "preference"}]
VARIANTS = ["gguf-F16", "gguf-F16+retrieved", "gguf-F16+gold"]


def make(root: Path, variants: list[str], tasks: list[dict[str, Any]]) -> Work:
    plain = make_recipe(["gguf-F16"], tasks, reference="base")
    work = make_work(root, plain)
    for name in ("mcq", "sft"):
        path = work.input("data", f"{name}/test")
        rows = read_dicts(path)
        for number, row in enumerate(rows):
            row["meta"] |= {"passage": f"sum-{number}"} if number < 4 else {}
        write_jsonl(path, rows)
    names = [f"{name}/test" for name in ("sft", "dpo", "mcq")]
    write_manifest(work.run, "data", {name: f"{name}.jsonl" for name in names})
    section = plain.eval.model_copy(update={"variants": variants})
    recipe = plain.model_copy(update={"evaluated_by": section})
    return Work(recipe, work.run, "eval", say=lambda _: None)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Work, Result]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(eval.run, "open_retrieval", lambda _: retrieval())
        work = make(tmp_path_factory.mktemp("arms"), VARIANTS, TASKS)
        yield work, run(work)


def scores(work: Work) -> dict[tuple[str, str, str], Score]:
    found = [Score.model_validate(value) for value in read_json(work.folder / "results.json")]
    return {(score.variant, score.task, score.metric): score for score in found}


def test_every_arm_is_scored_on_its_rows(done: tuple[Work, Result]) -> None:
    work, result = done
    found = scores(work)
    for variant, n in zip(VARIANTS, (6, 6, 4), strict=True):
        assert found[variant, "mcq", "accuracy"].n == n
    assert result.counts["mcq+gold"] == {"scored": 4, "skipped": 2}
    assert ("gguf-F16+gold", "preference", "reward_accuracy") not in found, "no pair names one"
    assert found["gguf-F16+retrieved", "preference", "reward_margin"].n == 6
    assert found["gguf-F16+gold", "mcq", "accuracy_minus_closed_book"].n == 4
    assert found["gguf-F16+retrieved", "mcq", "accuracy_minus_gold"].n == 4


def test_rewards_compare_models_that_read_the_same_text(done: tuple[Work, Result]) -> None:
    """The reference is measured in every arm, though nobody asks for its scores."""
    work, _ = done
    logs = {path.stem for path in (work.folder / "jobs").glob("*.json")}
    assert {"base+retrieved", "base"} <= logs
    shown = read_dicts(work.folder / "samples/gguf-F16+retrieved/preference.jsonl")
    closed = read_dicts(work.folder / "samples/gguf-F16/preference.jsonl")
    assert [row["ids_digest"] for row in shown] != [row["ids_digest"] for row in closed]


def test_what_was_put_in_is_written_down(done: tuple[Work, Result]) -> None:
    work, result = done
    assert "contexts/mcq+retrieved" in result.outputs
    rows = read_dicts(work.folder / result.outputs["contexts/mcq+retrieved"])
    assert [row["id"] for row in rows] == [f"m{number}" for number in range(6)]
    assert rows[2]["gold"] == ["sum-2"]
    assert "sum-2" in [passage["id"] for passage in rows[2]["passages"]]
    assert result.facts["retrieval"]["contexts"]["mcq+gold"]["rows"] == 4


def test_the_search_alone_has_figures_of_each_of_its_arms(done: tuple[Work, Result]) -> None:
    work, result = done
    found = scores(work)
    asked = read_dicts(work.folder / result.outputs["searched"])
    # Four of `mcq`, and of `generation` four, of which "What is 1 + 1?" is asked by both.
    assert found["bm25", "retrieval", "recall_at_10"].n == len(asked) == 7
    by_hand = [row["gold"][0] in row["bm25"]["ranks"][:1] for row in asked]
    assert found["bm25", "retrieval", "recall_at_1"].value == pytest.approx(sum(by_hand) / 7)
    assert ("dense", "retrieval", "mrr_at_10_minus_bm25_p_holm") in found
    risks = read_dicts(work.folder / result.outputs["retrieval_risk"])
    assert {row["variant"] for row in risks} == {
        "search: bm25",
        "search: dense",
        "gguf-F16+retrieved",
    }


def test_replies_fall_by_what_is_taken_out(done: tuple[Work, Result]) -> None:
    work, result = done
    rows = read_dicts(work.folder / result.outputs["deletion/gguf-F16+retrieved"])
    assert rows
    fall = scores(work)["gguf-F16+retrieved", "generation", "deletion_fall"]
    assert fall.n == len(rows)
    assert fall.value == pytest.approx(sum(row["fall"] for row in rows) / len(rows))
    assert any(row["fall"] != 0 for row in rows), "the text without the passage is another"


def test_a_second_evaluation_measures_nothing(
    done: tuple[Work, Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    work, _ = done
    monkeypatch.setattr(eval.run, "open_retrieval", lambda _: retrieval())
    before = (work.folder / "results.json").read_text()
    said: list[str] = []
    run(Work(work.recipe, work.run, "eval", said.append))
    assert not [line for line in said if "measuring" in line]
    assert (work.folder / "results.json").read_text() == before


def test_no_row_with_a_passage_of_its_own_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(eval.run, "open_retrieval", lambda _: retrieval([]))
    work = make(tmp_path, VARIANTS, TASKS[:1])
    with pytest.raises(UserError, match=r"no question can be asked as `\+gold`") as caught:
        run(work)
    assert "raise a task's `limit`" in caught.value.problems[0].hint
    assert "make data FORCE=1" in caught.value.problems[0].hint


def test_arms_are_cells_that_may_be_measured_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(eval.only, "open_retrieval", lambda _: retrieval())
    work = make(tmp_path, VARIANTS, TASKS[:2])
    cells = ["gguf-F16+retrieved/mcq", "gguf-F16+gold/mcq"]
    told = ["gguf-F16+retrieved/mcq: 6 samples", "gguf-F16+gold/mcq: 4 samples"]
    assert measure_only(work, cells, dry_run=True) == [f"{one} would be measured" for one in told]
    assert measure_only(work, cells) == [f"{one} are kept" for one in told]
    assert measure_only(work, ["gguf-F16+retrieved"], dry_run=True) == [
        "gguf-F16+retrieved/mcq: 0 samples would be measured",
        "gguf-F16+retrieved/generation: 6 samples would be measured",
    ]
    said: list[str] = []
    monkeypatch.setattr(eval.run, "open_retrieval", lambda _: retrieval())
    run(Work(work.recipe, work.run, "eval", said.append))
    assert [line for line in said if "+gold" in line or "+retrieved:" in line] == [
        "eval: measuring gguf-F16+retrieved: generation 6 rows",
        "eval: measuring gguf-F16+gold: generation 4 rows",
    ]


def test_a_closed_book_cell_needs_no_database_and_unknown_arms_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Work) -> None:
        raise AssertionError("no arm was asked for")

    monkeypatch.setattr(eval.only, "open_retrieval", refuse)
    work = make(tmp_path, VARIANTS, [{"task": "mcq"}, {"task": "preference"}])
    assert measure_only(work, ["gguf-F16/mcq"], dry_run=True)
    with pytest.raises(UserError) as caught:
        measure_only(work, ["gguf-F16+retreived/mcq", "gguf-F16+random"])
    assert len(caught.value.problems) == 2
    assert "did you mean `gguf-F16+retrieved/mcq`?" in caught.value.problems[0].hint
    assert "gguf-F16+gold" in caught.value.problems[0].expected
    monkeypatch.setattr(eval.only, "open_retrieval", lambda _: retrieval())
    with pytest.raises(UserError, match=r"\+gold/preference`: no row of this task names a passage"):
        measure_only(work, ["gguf-F16+gold/preference"])
