"""The stage's part on a real tiny model: texts of all rows, those without a gold answer too."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest
from pydantic import ValidationError

from eval.run import run
from stemma.errors import UserError
from stemma.jsonl import read_dicts, read_json
from stemma.rows import Score
from stemma.runs import write_manifest
from tests.factories.run_to_score import make_recipe, make_work

TASKS = [{"task": "generation", "max_new_tokens": 8}]


def test_the_stage_scores_texts_beside_its_tasks(tmp_path: Path) -> None:
    recipe = make_recipe(["gguf-F16"], TASKS, text={"tagger": "light", "k": 2})
    work = make_work(tmp_path, recipe)
    result = run(work)
    scores = [Score.model_validate(one) for one in read_json(work.folder / "results.json")]
    found = {(score.task, score.metric): score for score in scores}
    assert found["text", "bleu"].n == found["generation", "stopped"].n == 6
    assert found["generation", "accuracy"].n == 4, "two rows have no gold answer"
    assert result.outputs["samples/gguf-F16/text"] == "samples/gguf-F16/text.jsonl"
    rows = read_dicts(work.folder / "samples/gguf-F16/text.jsonl")
    assert [row["id"] for row in rows] == [f"s{at}" for at in range(6)]
    assert result.facts["text"]["k"] == 2


def test_nouns_are_looked_for_in_english_alone(tmp_path: Path) -> None:
    work = make_work(tmp_path, make_recipe(["gguf-F16"], TASKS, text={"tagger": "light"}))
    manifest = work.run.manifest("data")
    write_manifest(
        work.run, manifest.model_copy(update={"facts": manifest.facts | {"language": "de"}})
    )
    run(work)
    scores = read_json(work.folder / "results.json")
    found = {score["metric"] for score in scores if score["task"] == "text"}
    assert "bleu" in found
    assert not any(metric.startswith("entity_graph") for metric in found)


def test_without_the_key_nothing_of_it_is_done(tmp_path: Path) -> None:
    work = make_work(tmp_path, make_recipe(["gguf-F16"], TASKS))
    result = run(work)
    assert not [name for name in result.outputs if name.endswith("/text")]
    assert "text" not in result.facts


@pytest.mark.skipif(find_spec("spacy") is not None, reason="spaCy is installed here")
def test_a_missing_tagger_is_told_before_anything_is_measured(tmp_path: Path) -> None:
    work = make_work(tmp_path, make_recipe(["gguf-F16"], TASKS, text={}))
    with pytest.raises(UserError, match="spaCy cannot be imported"):
        run(work)
    assert not work.folder.exists() or not list(work.folder.rglob("*.log"))


def test_texts_without_replies_are_refused() -> None:
    with pytest.raises(ValidationError, match="`tasks` has no `generation`"):
        make_recipe(["gguf-F16"], [{"task": "mcq"}], text={"tagger": "light"})
