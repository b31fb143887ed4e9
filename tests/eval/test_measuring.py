"""Measuring with real workers: what is new is measured, what is kept is not, killed or not."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from eval.cells import jobs_of
from eval.job import Job
from eval.measured import read_kept
from eval.measuring import Measuring
from eval.rows_to_score import rows_of_tasks
from eval.run import run
from eval.tasks import TASKS
from stemma import ROOT
from stemma.digests import digest_json
from stemma.errors import StageFailed
from stemma.jsonl import read_dicts, read_json, write_json
from stemma.stages import Work
from tests.factories.run_to_score import make_recipe, make_work

MCQ = {"task": "mcq"}
GENERATION = {"task": "generation", "max_new_tokens": 8}
PREFERENCE = {"task": "preference"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Work:
    """A run with the variants merged and gguf-F16, not scored yet."""
    recipe = make_recipe(["merged", "gguf-F16"], [MCQ])
    return make_work(tmp_path_factory.mktemp("made"), recipe, rows=40)


@pytest.fixture
def work(made: Work, tmp_path: Path) -> Work:
    shutil.copytree(made.run.root, tmp_path / "small")
    return replace(made, run=type(made.run)(tmp_path / "small"))


def asking(
    work: Work, variants: list[str], *tasks: dict[str, Any], said: list[str] | None = None
) -> Work:
    """The same run asked for other variants and tasks."""
    heard = said if said is not None else []
    return replace(work, recipe=make_recipe(variants, list(tasks)), say=heard.append)


def lines(work: Work) -> dict[str, int]:
    """Kept samples by task, in all files."""
    found: dict[str, int] = {}
    for path in (work.run.root.parent / "measured").glob("*/*.jsonl"):
        task = path.parent.name.split("-")[0]
        found[task] = found.get(task, 0) + len(read_dicts(path))
    return found


def test_what_is_new_alone_is_measured(work: Work) -> None:
    said: list[str] = []
    run(asking(work, ["gguf-F16"], MCQ | {"limit": 10}, said=said))
    assert lines(work) == {"mcq": 10}
    run(asking(work, ["gguf-F16"], MCQ | {"limit": 25}, said=said))
    assert lines(work) == {"mcq": 25}
    run(asking(work, ["gguf-F16"], GENERATION | {"limit": 6}, MCQ | {"limit": 25}, said=said))
    assert lines(work) == {"mcq": 25, "generation": 6}
    run(asking(work, ["gguf-F16"], MCQ, GENERATION | {"max_new_tokens": 9, "limit": 3}, said=said))
    assert lines(work) == {"mcq": 40, "generation": 6 + 3}
    assert said == [
        "eval: measuring gguf-F16: mcq 10 rows",
        "eval: measuring gguf-F16: mcq 15 rows (10 are kept)",
        "eval: measuring gguf-F16: generation 6 rows",
        "eval: measuring gguf-F16: mcq 15 rows (25 are kept), generation 3 rows",
    ]


def test_less_and_another_order_cost_nothing(work: Work) -> None:
    run(asking(work, ["gguf-F16"], MCQ | {"limit": 12}, GENERATION | {"limit": 12}))
    whole = (work.folder / "samples/gguf-F16/mcq.jsonl").read_text()
    before = lines(work)
    said: list[str] = []
    run(asking(work, ["gguf-F16"], GENERATION | {"limit": 6}, MCQ | {"limit": 5}, said=said))
    assert said == ["eval: gguf-F16 was measured before, kept"]
    assert lines(work) == before
    again = (work.folder / "samples/gguf-F16/mcq.jsonl").read_text()
    assert whole.startswith(again)
    assert len(again.splitlines()) == 5


def test_what_was_kept_stays_until_a_forced_measurement_is_whole(work: Work) -> None:
    asked = asking(work, ["gguf-F16"], MCQ | {"limit": 3})
    run(asked)
    [job] = jobs_of(asked)
    [folder] = [Path(cell.folder) for cell in job.cells]
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    forced = replace(asked, force=True)
    measuring = Measuring(forced, rows_of_tasks(forced), work.folder / "jobs")
    nowhere = {"weights": "/no/such.gguf", "made_by": None, "digest": digest_json({})}
    broken = job.variant.model_copy(update=nowhere)
    with pytest.raises(StageFailed, match="measuring gguf-F16 ended with code"):
        measuring.measure([job.model_copy(update={"variant": broken})])
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    twice = job.variant.model_copy(update={"name": "again"})
    found = measuring.measure([job, job.model_copy(update={"variant": twice})])
    after = {path.name for path in folder.iterdir()}
    assert after != before.keys(), "measured anew, once for both names"
    assert len(after) == len(before) == 2
    assert [row["id"] for row in found["again"]["mcq"]] == ["m0", "m1", "m2"]
    assert [path.name for path in folder.parent.glob("mcq-*")] == [folder.name]


def test_another_name_of_the_same_weights_costs_nothing(work: Work) -> None:
    """In this run `dpo` and `merged` are the same files."""
    said: list[str] = []
    run(asking(work, ["merged", "dpo"], MCQ | {"limit": 3}, said=said))
    assert said == ["eval: measuring merged: mcq 3 rows", "eval: dpo was measured before, kept"]
    one, other = (work.folder / f"samples/{name}/mcq.jsonl" for name in ("merged", "dpo"))
    assert one.read_text() == other.read_text()


def test_kept_samples_that_were_edited_are_told_and_measured_again(work: Work) -> None:
    asked = asking(work, ["gguf-F16"], MCQ | {"limit": 4})
    run(asked)
    first = (work.folder / "results.json").read_bytes()
    [path] = (work.run.root.parent / "measured").glob("mcq-*/*.jsonl")
    path.write_text(
        re.sub(r'"A": -[0-9.]+', '"A": -0.0001', path.read_text(encoding="utf-8"), count=2),
        encoding="utf-8",
    )
    said: list[str] = []
    run(replace(asked, say=said.append))
    assert said == [
        f"eval: 2 samples kept in {path.parent} are not as they were written: they do not count",
        "eval: measuring gguf-F16: mcq 2 rows (2 are kept)",
    ]
    assert (work.folder / "results.json").read_bytes() == first
    run(replace(asked, say=said.append))
    assert said[2:] == ["eval: gguf-F16 was measured before, kept"]


def test_findings_of_the_older_form_are_left_alone(work: Work) -> None:
    """One JSON file a job, in the same folder."""
    old = work.run.root.parent / "measured" / "0123.json"
    write_json(old, {"key": "0123", "samples": {"mcq": [{"id": "m0"}]}})
    run(asking(work, ["gguf-F16"], MCQ | {"limit": 2}))
    assert lines(work) == {"mcq": 2}
    assert read_json(old)["key"] == "0123"


def test_a_reference_nobody_asked_for_is_measured_on_what_needs_it_alone(work: Work) -> None:
    said: list[str] = []
    recipe = make_recipe(["gguf-F16"], [MCQ | {"limit": 2}, PREFERENCE | {"limit": 2}])
    section = recipe.eval.model_copy(update={"reference": "dpo"})
    recipe = recipe.model_copy(update={"evaluated_by": section})
    run(replace(work, recipe=recipe, say=said.append))
    assert said == [
        "eval: measuring dpo: preference 2 rows",
        "eval: measuring gguf-F16: mcq 2 rows, preference 2 rows",
    ]


def wait_for(condition: Callable[[], bool], worker: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert worker.poll() is None, "the worker ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.002)


def kept_of(job: Job) -> int:
    [cell] = job.cells
    return len(read_kept(Path(cell.folder), TASKS[cell.task].sample.model_fields))


@pytest.mark.parametrize("variant", ["gguf-F16", pytest.param("merged", marks=pytest.mark.slow)])
def test_of_a_killed_worker_only_the_batch_in_flight_is_measured_again(
    work: Work, variant: str
) -> None:
    """Batches of the transformers backend are made small here, that there are several."""
    long = GENERATION | {"max_new_tokens": 400}
    asked = asking(work, [variant], long)
    [job] = jobs_of(asked)
    write_json(work.folder / "job.json", job.model_dump())
    code = "import sys, eval.backends.hf as hf; hf.BATCH_TOKENS = 900; "
    code += "from eval.worker import main; main(sys.argv[1])"
    worker = subprocess.Popen(
        [sys.executable, "-c", code, str(work.folder / "job.json")],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )
    wait_for(lambda: kept_of(job) >= 5, worker)
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    kept = kept_of(job)
    asked_rows = 40
    assert 5 <= kept < asked_rows
    said: list[str] = []
    run(replace(asked, say=said.append))
    assert said == [
        f"eval: measuring {variant}: generation {asked_rows - kept} rows ({kept} are kept)"
    ]
    [cell] = job.cells
    counts = [len(path.read_bytes().splitlines()) for path in Path(cell.folder).glob("*.jsonl")]
    # A torn line may stand beside what was kept.
    assert sum(counts) - asked_rows in (0, 1)
    assert len(read_dicts(work.folder / f"samples/{variant}/generation.jsonl")) == asked_rows
