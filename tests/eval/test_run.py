"""The stage on real tiny models, each in its own process."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from eval.backends import open_backend
from eval.run import make_job, run
from eval.run import test_files as files_to_score
from eval.worker import self_test
from stemma.errors import StageFailed, UserError
from stemma.jsonl import read_dicts, read_json, write_jsonl
from stemma.rows import Score
from stemma.stages import Work
from stemma.templates import Template
from tests.eval.small_run import make_recipe, make_work
from tests.models import TEMPLATE

TASKS = [{"task": "mcq"}, {"task": "generation", "max_new_tokens": 8}, {"task": "speed", "max_new_tokens": 8}]


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
    assert result.counts == {"mcq": {"scored": 6, "skipped": 0}, "generation": {"scored": 4, "skipped": 2}}
    assert found["gguf-F16", "mcq", "accuracy"].n == len(read_dicts(work.folder / "samples/gguf-F16/mcq.jsonl")) == 6
    assert found["gguf-F16", "mcq", "chance"].value == 0.25
    assert found["gguf-F16", "speed", "size_bytes"].value == work.input("export", "gguf-F16").stat().st_size
    assert found["gguf-F16", "speed", "decode_tokens_per_second"].value > 0
    assert found["gguf-F16", "speed", "peak_memory_bytes"].value > 1e6


def test_what_a_killed_stage_has_measured_is_kept(work: Work) -> None:
    run(work)
    [measured] = (work.run.root.parent / "measured").iterdir()
    before = (measured.stat().st_mtime_ns, (work.folder / "results.json").read_text())
    (work.folder / "results.json").unlink()
    run(work)
    assert (measured.stat().st_mtime_ns, (work.folder / "results.json").read_text()) == before


def test_what_was_measured_serves_another_recipe(work: Work, tmp_path: Path) -> None:
    """Equal weights under another name, in another run beside it; other rows or another task are another job."""
    run(work)
    [measured] = (work.run.root.parent / "measured").iterdir()
    before = measured.stat().st_mtime_ns
    shutil.copytree(work.run.root, work.run.root.with_name("other"), ignore=shutil.ignore_patterns("eval"))
    said: list[str] = []
    other = Work(work.recipe, type(work.run)(work.run.root.with_name("other")), "eval", said.append)
    run(other)
    assert said == [f"eval: gguf-F16 was measured before, kept ({measured})"]
    assert measured.stat().st_mtime_ns == before
    forced = Work(work.recipe, other.run, "eval", said.append, force=True)
    run(forced)
    assert measured.stat().st_mtime_ns != before, "asked to, it measures again"
    job = make_job(work, "gguf-F16", files := files_to_score(work))
    assert job.key == make_job(other, "gguf-F16", files_to_score(other)).key
    assert job.key != job.model_copy(update={"digests": job.digests | {"mcq": "other rows"}}).key
    assert job.key != make_job(work, "gguf-F16", {"mcq": files["mcq"]}).key


def test_a_worker_that_fails_stops_the_stage_and_shows_its_log(work: Work, tmp_path: Path) -> None:
    shutil.copytree(work.run.root, tmp_path / "small")
    broken = Work(work.recipe, type(work.run)(tmp_path / "small"), "eval", say=lambda _: None)
    shutil.rmtree(broken.folder, ignore_errors=True)
    broken.input("export", "gguf-F16").write_bytes(b"GGUF, cut off")
    with pytest.raises(
        StageFailed, match=r"measuring gguf-F16 ended with code 1; its log .*gguf-F16.log ends:(.|\n)*cannot load"
    ):
        run(broken)
    assert not (broken.folder / "results.json").exists()


def test_a_task_without_a_row_is_an_error(work: Work, tmp_path: Path) -> None:
    shutil.copytree(work.run.root, tmp_path / "small", ignore=shutil.ignore_patterns("eval"))
    empty = Work(work.recipe, type(work.run)(tmp_path / "small"), "eval", say=lambda _: None)
    rows = read_dicts(empty.input("data", "sft/test"))
    write_jsonl(empty.input("data", "sft/test"), [row | {"meta": {}} for row in rows])
    with pytest.raises(UserError, match=r"task `generation` has no row to score \(6 skipped\)"):
        run(empty)


def test_the_self_test_notices_two_bos_and_a_wrong_stop(work: Work) -> None:
    backend = open_backend("gguf", str(work.input("export", "gguf-F16")), "<eos>", 1)
    text = TEMPLATE.read_text(encoding="utf-8")
    self_test(backend, Template(text), "x")
    with pytest.raises(StageFailed, match=r"x fails its self-test: the prompt does not begin with exactly one BOS$"):
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
