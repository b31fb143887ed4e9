"""The stage on real tiny models, each in its own process."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from eval.backends import open_backend
from eval.run import run
from eval.worker import self_test
from stemma.errors import StageFailed, UserError
from stemma.jsonl import read_dicts, read_json, write_jsonl
from stemma.rows import Score
from stemma.stages import Work
from stemma.templates import Template
from tests.factories.manifests import write_manifest
from tests.factories.models import TEMPLATE
from tests.factories.run_to_score import make_recipe, make_work

TASKS = [
    {"task": "mcq"},
    {"task": "generation", "max_new_tokens": 8},
    {"task": "speed", "max_new_tokens": 8},
]


def scores(work: Work) -> dict[tuple[str, str, str], Score]:
    found = [Score.model_validate(value) for value in read_json(work.folder / "results.json")]
    return {(score.variant, score.task, score.metric): score for score in found}


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Work:
    recipe = make_recipe(["gguf-F16"], TASKS)
    return make_work(tmp_path_factory.mktemp("run"), recipe)


def test_a_gguf_variant_is_scored_on_every_task(work: Work) -> None:
    result = run(work)
    found = scores(work)
    assert result.outputs["samples/gguf-F16/mcq"] == "samples/gguf-F16/mcq.jsonl"
    assert result.counts == {
        "mcq": {"scored": 6, "skipped": 0},
        "generation": {"scored": 6, "skipped": 0},
    }
    assert (
        found["gguf-F16", "mcq", "accuracy"].n
        == len(read_dicts(work.folder / "samples/gguf-F16/mcq.jsonl"))
        == 6
    )
    assert found["gguf-F16", "mcq", "chance"].value == 0.25
    assert (
        found["gguf-F16", "speed", "size_bytes"].value
        == work.input("export", "gguf-F16").stat().st_size
    )
    assert found["gguf-F16", "speed", "decode_tokens_per_second"].value > 0
    assert found["gguf-F16", "speed", "peak_memory_bytes"].value > 1e6


def kept_files(work: Work) -> dict[str, int]:
    """The files of kept samples, with the times of their last change."""
    folder = work.run.root.parent / "measured"
    return {
        str(path.relative_to(folder)): path.stat().st_mtime_ns for path in folder.glob("*/*.jsonl")
    }


def test_what_a_killed_stage_has_measured_is_kept(work: Work) -> None:
    run(work)
    before = (kept_files(work), (work.folder / "results.json").read_text())
    assert sorted(name.split("-")[0] for name in before[0]) == ["generation", "mcq", "speed"]
    (work.folder / "results.json").unlink()
    run(work)
    assert (kept_files(work), (work.folder / "results.json").read_text()) == before


def test_what_was_measured_serves_another_recipe(work: Work) -> None:
    """Equal weights in another run beside it."""
    run(work)
    before = kept_files(work)
    shutil.copytree(
        work.run.root, work.run.root.with_name("other"), ignore=shutil.ignore_patterns("eval")
    )
    said: list[str] = []
    other = Work(work.recipe, type(work.run)(work.run.root.with_name("other")), "eval", said.append)
    run(other)
    assert said == ["eval: gguf-F16 was measured before, kept"]
    assert kept_files(work) == before
    forced = Work(work.recipe, other.run, "eval", said.append, force=True)
    run(forced)
    assert not kept_files(work).items() & before.items(), "asked to, it measures again"


def copy_of(work: Work, folder: Path) -> Work:
    """Another run like it, not yet scored, that may be broken."""
    shutil.copytree(work.run.root, folder / "small", ignore=shutil.ignore_patterns("eval"))
    return Work(work.recipe, type(work.run)(folder / "small"), "eval", say=lambda _: None)


def test_a_worker_that_fails_stops_the_stage_and_shows_its_log(work: Work, tmp_path: Path) -> None:
    broken = copy_of(work, tmp_path)
    broken.input("export", "gguf-F16").write_bytes(b"GGUF, cut off")
    write_manifest(broken.run, "export", {"merged": "merged", "gguf-F16": "small-F16.gguf"})
    ended = r"measuring gguf-F16 ended with code 1; its log .*gguf-F16.log ends:(.|\n)*cannot load"
    with pytest.raises(StageFailed, match=ended) as caught:
        run(broken)
    assert "Traceback" not in str(caught.value)
    assert not (broken.folder / "results.json").exists()


def test_another_models_file_in_the_run_folder_is_refused(work: Work, tmp_path: Path) -> None:
    changed = copy_of(work, tmp_path)
    changed.input("export", "gguf-F16").write_bytes(b"GGUF of another model")
    with pytest.raises(UserError) as caught:
        run(changed)
    [problem] = caught.value.problems
    assert (problem.where, problem.found) == (
        str(changed.run.folder("export") / "small-F16.gguf"),
        "21 bytes",
    )
    assert problem.expected.endswith("as stage `export` wrote it")


def test_a_file_of_the_same_size_is_told_by_its_digest(work: Work, tmp_path: Path) -> None:
    """What is found is kept by the manifest's digest and would serve other recipes."""
    changed = copy_of(work, tmp_path)
    weights, rows = changed.input("export", "gguf-F16"), changed.input("data", "mcq/test")
    whole, text = weights.read_bytes(), rows.read_text(encoding="utf-8")
    for stage, path, content in (
        ("data", rows, text.replace('"B"', '"C"').encode()),
        ("export", weights, whole[:-1] + bytes([whole[-1] ^ 1])),
    ):
        path.write_bytes(content)
        with pytest.raises(UserError) as caught:
            run(changed)
        [problem] = caught.value.problems
        assert (problem.where, problem.found) == (str(path), "other content of the same size")
        assert f"`make {stage} RECIPE=small`" in problem.hint
        assert not (tmp_path / "measured").exists()
        rows.write_text(text, encoding="utf-8")
    weights.write_bytes(whole)
    run(changed)


def test_a_task_without_a_row_is_an_error(work: Work, tmp_path: Path) -> None:
    empty = copy_of(work, tmp_path)
    write_jsonl(empty.input("data", "sft/test"), [])
    write_manifest(
        empty.run, "data", {f"{name}/test": f"{name}/test.jsonl" for name in ("sft", "dpo", "mcq")}
    )
    with pytest.raises(UserError, match=r"task `generation` has no row to score \(0 skipped\)"):
        run(empty)


def test_the_self_test_notices_two_bos_and_a_wrong_stop(work: Work) -> None:
    backend = open_backend("gguf", str(work.input("export", "gguf-F16")), "<eos>", 1)
    text = TEMPLATE.read_text(encoding="utf-8")
    self_test(backend, Template(text), "x")
    with pytest.raises(
        StageFailed, match=r"x fails its self-test: the prompt does not begin with exactly one BOS$"
    ):
        self_test(backend, Template("{{ bos_token }}" + text), "x")
    with pytest.raises(StageFailed, match=r"the answer does not end with the stop token$"):
        self_test(backend, Template(text, eos="END"), "x")


@pytest.mark.slow
def test_every_format_against_one_reference(tmp_path: Path) -> None:
    variants = ["base", "dpo", "merged", "bnb-nf4", "gguf-F16", "gguf-Q8_0"]
    tasks = [{"task": "mcq"}, {"task": "preference"}, {"task": "generation", "max_new_tokens": 8}]
    work = make_work(tmp_path, make_recipe(variants, tasks, reference="sft"), rows=8, hidden=256)
    run(work)
    found = scores(work)
    margin = {name: found[name, "preference", "reward_margin"].value for name in variants}
    assert margin["dpo"] == margin["merged"] == pytest.approx(margin["gguf-F16"], abs=0.05)
    assert margin["merged"] == pytest.approx(margin["gguf-Q8_0"], abs=0.2)
    assert found["dpo", "mcq", "accuracy_minus_merged"].value == 0
    assert found["dpo", "mcq", "accuracy_minus_merged_p"].value == 1
    assert ("merged", "mcq", "accuracy_minus_merged") not in found
    assert not any(variant == "sft" for variant, _, _ in found)  # measured as the reference only
