"""The eval stage: starts a fresh process for each variant, then scores what they measured.

Measuring (slow, in `eval.worker`) and scoring (pure, here) are apart: what a killed stage has measured is kept, and the
rewards of every format, llama.cpp's too, are taken against the same reference figures.
"""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from eval.measure import Context, Job, Measured, Scored
from eval.scoring import CHIEF, minus, scores_of, token_disagreements
from eval.variants import kind_of, weights_of
from stemma import ROOT
from stemma.errors import Problem, StageFailed, UserError
from stemma.jsonl import read_json, write_json, write_jsonl
from stemma.rows import Score
from stemma.runs import digest_json
from stemma.stages import Result, Work

LOG_LINES = 15


def run(work: Work) -> Result:
    section = work.recipe.eval
    counts = count_rows(work)
    measured = {job.variant: measure(work, job) for job in jobs(work)}
    _same_tokens(measured, section.reference)
    scored = {variant: _score(work, variant, measured) for variant in section.variants}
    scores = [score for variant in section.variants for score in _scores(work, variant, scored)]
    write_json(work.folder / "results.json", [score.model_dump(mode="json") for score in scores])
    outputs = {"results": "results.json"} | _write_samples(work.folder, scored)
    return Result(outputs, counts, {"reference": _reference_words(work), "token_disagreements": 0} | _facts(scored))


def task_module(name: str) -> ModuleType:
    return import_module(f"eval.tasks.{name}")


def count_rows(work: Work) -> dict[str, Any]:
    """How many test rows each task scores and skips. Raises UserError for a task without a single one."""
    counts: dict[str, Any] = {}
    problems = []
    for options in work.recipe.eval.tasks:
        path = _test_file(work, options.task)
        if path is None:
            continue
        kept, skipped = task_module(options.task).read(path, options.limit)
        counts[options.task] = {"scored": len(kept), "skipped": skipped}
        if not kept:
            found = f"task `{options.task}` has no row to score ({skipped} skipped)"
            hint = "give its data set a larger `parts.test`"
            problems.append(Problem(str(path), found, "at least one test row", hint))
    if problems:
        raise UserError(problems)
    return counts


def _test_file(work: Work, task: str) -> Path | None:
    part = task_module(task).PART
    if part is None:
        return None
    if part not in work.recipe.data.sets():
        found, hint = f"task `{task}` has no test rows", "add the data set, or drop the task"
        raise UserError(Problem("eval.tasks", found, f"a data set `data.{part}`", hint))
    return work.input("data", f"{part}/test")


def jobs(work: Work) -> list[Job]:
    """One job a variant; the reference of the rewards comes first and is measured even if it is not asked for."""
    section = work.recipe.eval
    rewards = any(options.task == "preference" for options in section.tasks)
    names = list(dict.fromkeys([*([section.reference] if rewards else []), *section.variants]))
    return [_job(work, name) for name in names]


def _job(work: Work, variant: str) -> Job:
    section = work.recipe.eval
    files = {options.task: _test_file(work, options.task) for options in section.tasks}
    return Job(
        variant=variant, kind=kind_of(variant), weights=str(weights_of(work, variant)),
        template=work.recipe.template.read_text(encoding="utf-8"), tasks=section.tasks,
        data={task: str(path) for task, path in files.items() if path},
        threads=section.threads or os.cpu_count() or 1,
        out=str(work.folder / "measured" / f"{variant}.json"),
    )  # fmt: skip


def measure(work: Work, job: Job) -> Measured:
    """The findings of one variant: kept from a killed attempt at the same job, or measured now."""
    out = Path(job.out)
    key = digest_json(job.model_dump(mode="json"))
    if out.is_file() and (kept := Measured.model_validate(read_json(out))).key == key:
        work.say(f"eval: {job.variant} was measured before the stop, kept")
        return kept
    work.say(f"eval: measuring {job.variant}")
    folder = work.folder / "jobs"
    write_json(folder / f"{job.variant}.json", job.model_dump(mode="json"))
    _start(folder / f"{job.variant}.json", folder / f"{job.variant}.log", job)
    return Measured.model_validate(read_json(out))


def _start(job_path: Path, log_path: Path, job: Job) -> None:
    offline = {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    env = os.environ | offline | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": str(job.threads)}
    with log_path.open("w", encoding="utf-8") as log:
        command = [sys.executable, "-m", "eval.worker", str(job_path)]
        done = subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, env=env, cwd=ROOT, check=False)
    if done.returncode != 0:
        tail = "\n".join(log_path.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_LINES:])
        code = done.returncode
        raise StageFailed(f"eval: measuring {job.variant} ended with code {code}; its log {log_path} ends:\n{tail}")


def _same_tokens(measured: dict[str, Measured], reference: str) -> None:
    """Every engine must have scored the same token ids."""
    yardstick = reference if reference in measured else next(iter(measured))
    for variant, found in measured.items():
        rows = token_disagreements(found.samples, measured[yardstick].samples)
        if rows:
            shown = ", ".join(rows[:5])
            raise StageFailed(f"eval: {variant} and {yardstick} turn {len(rows)} rows into other token ids: {shown}")


def _score(work: Work, variant: str, measured: dict[str, Measured]) -> dict[str, Scored]:
    section = work.recipe.eval
    found = measured[variant].samples
    # Only rewards need the reference, and `jobs` has measured it wherever rewards are asked for.
    anchors = measured[section.reference].samples if section.reference in measured else found
    return {
        task: task_module(task).score(rows, Context(work.recipe.seed, section.beta, anchors[task]))
        for task, rows in found.items()
    }


def _scores(work: Work, variant: str, scored: dict[str, dict[str, Scored]]) -> list[Score]:
    """The variant's rows of results.json: each task's figures, then what it loses or gains against the merged model."""
    rows: list[Score] = []
    for task, found in scored[variant].items():
        rows += scores_of(variant, task, found.metrics)
        if variant != CHIEF and CHIEF in scored:
            rows += scores_of(variant, task, minus(found, scored[CHIEF][task], work.recipe.seed))
    return rows


def _write_samples(folder: Path, scored: dict[str, dict[str, Scored]]) -> dict[str, str]:
    outputs = {}
    for variant, tasks in scored.items():
        for task, found in tasks.items():
            name = f"samples/{variant}/{task}"
            write_jsonl(folder / f"{name}.jsonl", found.samples)
            outputs[name] = f"{name}.jsonl"
    return outputs


def _reference_words(work: Work) -> str:
    reference = work.recipe.eval.reference
    return f"rewards are measured against the merged weights of stage `{reference}`"


def _facts(scored: dict[str, dict[str, Scored]]) -> dict[str, Any]:
    return {
        variant: {task: found.facts for task, found in tasks.items() if found.facts}
        for variant, tasks in scored.items()
    }
