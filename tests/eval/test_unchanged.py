"""Weights are those whose digest their samples are kept under, before and while they are measured."""

from __future__ import annotations

from pathlib import Path

import pytest

from eval.job import Variant
from eval.measuring import stamps_of
from eval.unchanged import refuse_changed, stamps_of_weights
from stemma.errors import StageFailed, UserError
from stemma.identity import model_digest
from stemma.runs import Run
from stemma.stages import Work
from tests.factories.manifests import write_manifest
from tests.factories.run_to_score import make_recipe


@pytest.fixture
def work(tmp_path: Path) -> Work:
    """A run that has exported two bytes of a model."""
    run = Run(tmp_path / "small")
    run.folder("export").mkdir(parents=True)
    (run.folder("export") / "small.gguf").write_bytes(b"ab")
    write_manifest(run, "export", {"gguf-F16": "small.gguf"})
    recipe = make_recipe(["gguf-F16"], [{"task": "mcq"}])
    return Work(recipe, run, "eval", say=lambda _: None)


def variant(weights: Path, digest: str, made_by: str | None) -> Variant:
    return Variant(
        name="x",
        kind="gguf",
        weights=str(weights),
        digest=digest,
        made_by=made_by,
        template="",
        bos="",
        eos="",
        threads=1,
    )


def test_weights_that_were_changed_after_the_stage_began_are_refused(work: Work) -> None:
    weights = work.input("export", "gguf-F16")
    asked = variant(weights, work.run.manifest("export").outputs["gguf-F16"].sha256, "export")
    assert list(stamps_of(work, asked)) == [str(weights)]
    weights.write_bytes(b"ba")
    with pytest.raises(UserError, match=r"its sha256 is another(.|\n)*make export RECIPE=small"):
        stamps_of(work, asked)


def test_a_model_made_elsewhere_is_looked_at_again_too(work: Work, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}", encoding="utf-8")
    (folder / "notes.txt").write_text("no part of the model", encoding="utf-8")
    asked = variant(folder, model_digest(folder, tmp_path), None)
    assert list(stamps_of(work, asked)) == [str(folder / "config.json")]
    (folder / "config.json").write_text("[]", encoding="utf-8")
    with pytest.raises(UserError, match="its files changed since the evaluation began"):
        stamps_of(work, asked)


def test_a_server_has_no_files(work: Work) -> None:
    served = variant(Path("http:"), "0123", None).model_copy(update={"kind": "server"})
    assert stamps_of(work, served) == {}


def test_each_file_of_a_folder_is_watched(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(b"1")
    stamps = stamps_of_weights(tmp_path, made_here=True)
    refuse_changed(stamps)
    (tmp_path / "b").write_bytes(b"2")
    with pytest.raises(StageFailed, match="b changed while it was measured"):
        refuse_changed(stamps)
