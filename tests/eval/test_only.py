"""Some cells alone: by several processes at once, and merged by a later evaluation."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

import pytest

from eval.cells import jobs_of
from eval.only import chosen, measure_only
from eval.run import run
from stemma import ROOT
from stemma.errors import UserError
from stemma.jsonl import read_dicts
from stemma.stages import Work
from tests.factories.run_to_score import make_recipe, make_work

TASKS = [{"task": "mcq"}, {"task": "generation", "max_new_tokens": 8}]


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Work:
    recipe = make_recipe(["gguf-F16", "gguf-BF16"], TASKS)
    return make_work(tmp_path_factory.mktemp("run"), recipe, rows=12)


def cells(work: Work, *asked: str) -> list[str]:
    jobs = chosen(jobs_of(work), asked)
    return [f"{job.variant.name}/{cell.task}" for job in jobs for cell in job.cells]


def test_cells_are_named_by_variant_or_variant_and_task(work: Work) -> None:
    assert cells(work, "gguf-BF16") == ["gguf-BF16/mcq", "gguf-BF16/generation"]
    assert cells(work, "gguf-BF16/generation", "gguf-F16/mcq") == [
        "gguf-F16/mcq",
        "gguf-BF16/generation",
    ]
    assert cells(work, "gguf-F16", "gguf-F16/mcq") == ["gguf-F16/mcq", "gguf-F16/generation"]


def test_every_unknown_name_is_told(work: Work) -> None:
    with pytest.raises(UserError) as caught:
        measure_only(work, ["gguf-F15", "gguf-F16/mqc", "gguf-F16"])
    assert [problem.found for problem in caught.value.problems] == [
        "`gguf-F15` is no variant, and no variant's task, of this recipe",
        "`gguf-F16/mqc` is no variant, and no variant's task, of this recipe",
    ]
    assert "did you mean `gguf-F16/mcq`?" in caught.value.problems[1].hint
    assert caught.value.problems[0].expected == "one of gguf-F16, gguf-BF16, or VARIANT/TASK"


PROCESS = """
import sys
from pathlib import Path
from eval.only import measure_only
from stemma.runs import Run
from stemma.stages import Work
from tests.eval.test_only import TASKS
from tests.factories.run_to_score import make_recipe
recipe = make_recipe(["gguf-F16", "gguf-BF16"], TASKS)
work = Work(recipe, Run(Path(sys.argv[1])), "eval", say=print)
for line in measure_only(work, sys.argv[2:]):
    print(line)
"""


def test_two_processes_on_the_same_cells_and_then_the_whole(work: Work) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", PROCESS, str(work.run.root), "gguf-F16", "gguf-BF16/mcq"]
    both = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    for process in both:
        told, _ = process.communicate(timeout=300)
        assert process.returncode == 0
        assert told.splitlines()[-3:] == [
            "gguf-F16/mcq: 12 samples are kept",
            "gguf-F16/generation: 12 samples are kept",
            "gguf-BF16/mcq: 12 samples are kept",
        ]
    assert not work.folder.exists(), "neither scores nor a manifest"
    measured = work.run.root.parent / "measured"
    assert not list((measured / "jobs").iterdir()), "logs are kept of failures alone"
    assert measure_only(work, ["gguf-BF16"], dry_run=True) == [
        "gguf-BF16/mcq: 0 samples would be measured",
        "gguf-BF16/generation: 12 samples would be measured",
    ]
    said: list[str] = []
    run(replace(work, say=said.append))
    assert said == [
        "eval: gguf-F16 was measured before, kept",
        "eval: measuring gguf-BF16: generation 12 rows",
    ]
    for variant in ("gguf-F16", "gguf-BF16"):
        rows = read_dicts(work.folder / f"samples/{variant}/mcq.jsonl")
        assert [row["id"] for row in rows] == [f"m{i}" for i in range(12)]
