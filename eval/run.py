"""The eval stage: a fresh process for each variant, then the scores of what they measured.

Measuring (slow, in `eval.worker`) and scoring (pure) are apart: what was measured is kept beside
the run folders, by the content it was measured on, for a killed stage, for changed settings and for
other recipes (their reference is the same base model). The rewards of every format, llama.cpp's
too, are taken against the same reference figures.
"""

from __future__ import annotations

import platform
import sys
from pathlib import Path
from typing import Any

from eval.job import Findings, Job, Samples
from eval.statistics import minus
from eval.task import TaskScores
from eval.tasks import TASKS
from stemma.errors import Problem, StageFailed, UserError
from stemma.jsonl import read_json, write_json, write_jsonl
from stemma.processes import child_environment, cores, last_lines, run_logged
from stemma.rows import Score
from stemma.runs import digest_json, digest_of, digests_of_weights
from stemma.stages import Result, Work
from stemma.templates import Template
from stemma.weights import weights_of

MEASURED = "measured"
"""Beside the run folders."""
BASELINE = "merged"
"""The variant others are compared with: what training made, before any format took something
away."""

ScoredTasks = dict[str, TaskScores]
"""One variant's figures, by task."""


def run(work: Work) -> Result:
    section = work.recipe.eval
    files = test_files(work)
    counts = count_rows(work, files)
    measured = {
        variant: measure(work, make_job(work, variant, files))
        for variant in _measured_variants(work)
    }
    _same_tokens(measured, section.reference)
    scored = {variant: _score(work, variant, measured) for variant in section.variants}
    scores = [score for variant in section.variants for score in _scores(work, variant, scored)]
    write_json(work.folder / "results.json", [score.model_dump(mode="json") for score in scores])
    outputs = {"results": "results.json"} | _write_samples(work.folder, scored)
    return Result(outputs, counts, _facts(section.reference, scored))


def _facts(reference: str, scored: dict[str, ScoredTasks]) -> dict[str, Any]:
    """For the manifest: the reference in words, then by variant and task what is no score."""
    facts: dict[str, Any] = {
        "reference": f"rewards are measured against the merged weights of stage `{reference}`",
        "token_disagreements": 0,
    }
    for variant, tasks in scored.items():
        facts[variant] = {task: found.facts for task, found in tasks.items() if found.facts}
    return facts


def test_files(work: Work) -> dict[str, Path]:
    """The test rows of each task that reads some."""
    names = [options.task for options in work.recipe.eval.tasks]
    return {
        name: work.input("data", f"{source.data_set}/test")
        for name in names
        if (source := TASKS[name].rows)
    }


def count_rows(work: Work, files: dict[str, Path]) -> dict[str, Any]:
    """Test rows that each task scores and skips. Raises UserError for a task without one."""
    counts: dict[str, Any] = {}
    problems = []
    for options in work.recipe.eval.tasks:
        source = TASKS[options.task].rows
        if source is None:
            continue
        kept, skipped = source.read(files[options.task], options.limit)
        counts[options.task] = {"scored": len(kept), "skipped": skipped}
        if not kept:
            found = f"task `{options.task}` has no row to score ({skipped} skipped)"
            hint = "give its data set a larger `parts.test`"
            problems.append(Problem(str(files[options.task]), found, "at least one test row", hint))
    if problems:
        raise UserError(problems)
    return counts


def _measured_variants(work: Work) -> list[str]:
    """The reference of the rewards first, which is measured even if nobody asks for its scores."""
    section = work.recipe.eval
    compares = any(TASKS[options.task].uses_reference for options in section.tasks)
    first = [section.reference] if compares else []
    return list(dict.fromkeys([*first, *section.variants]))


def make_job(work: Work, variant: str, files: dict[str, Path]) -> Job:
    """The job of a variant's worker; `files` are the test rows by task."""
    section = work.recipe.eval
    exported = variant in work.recipe.exported()
    weights = work.input("export", variant) if exported else weights_of(work, variant)
    # The reference's folder: every variant has its tokenizer, and a GGUF file has no other.
    template = Template.read(work.recipe.template, weights_of(work, section.reference))
    job = Job(
        variant=variant,
        kind="gguf" if variant.startswith("gguf-") else "hf",
        weights=str(weights),
        template=template.text,
        bos=template.bos,
        eos=template.eos,
        tasks=section.tasks,
        data={task: str(path) for task, path in files.items()},
        threads=section.threads or cores(),
        machine=platform.node(),
        digests=_digests(work, variant, weights, files),
        out="",
    )
    out = work.run.root.parent / MEASURED / f"{job.key[:32]}.json"
    return job.model_copy(update={"out": str(out)})


def _digests(work: Work, variant: str, weights: Path, files: dict[str, Path]) -> dict[str, str]:
    """From the manifests, as far as the weights were made here."""
    data = work.run.manifest("data").outputs
    sources = {task: TASKS[task].rows for task in files}
    found = {
        task: data[f"{source.data_set}/test"].sha256 for task, source in sources.items() if source
    }
    if variant == "base" and not work.recipe.base:
        return found | {"weights": digest_json(digests_of_weights(weights))}
    stage, name = ("export", variant) if variant in work.recipe.exported() else (variant, "merged")
    return found | {"weights": work.run.manifest(stage).outputs[name].sha256}


def measure(work: Work, job: Job) -> Findings:
    """The findings of one variant: kept of an equal job, or measured now."""
    out = Path(job.out)
    if not work.force and out.is_file():
        kept = Findings.model_validate(read_json(out))
        if kept.key == job.key:
            work.say(f"eval: {job.variant} was measured before, kept ({out})")
            return kept
    _refuse_changed(work, job)
    work.say(f"eval: measuring {job.variant}")
    job_path = work.folder / "jobs" / f"{job.variant}.json"
    write_json(job_path, job.model_dump())
    _start(job_path, job_path.with_suffix(".log"), job)
    return Findings.model_validate(read_json(out))


def _refuse_changed(work: Work, job: Job) -> None:
    """Raises UserError where weights or test rows are not those their manifest speaks of.

    Findings are kept by the manifests' digests, for other recipes too: what has changed since would
    be taken for what was made.
    """
    files = {task: (Path(path), "data") for task, path in job.data.items()}
    # Of a model that was not made here the digest was taken just now.
    if job.variant != "base" or work.recipe.base:
        stage = "export" if job.variant in work.recipe.exported() else job.variant
        files["weights"] = Path(job.weights), stage
    problems = [
        _changed(path, stage, work.recipe.name)
        for name, (path, stage) in files.items()
        if digest_of(path) != job.digests[name]
    ]
    if problems:
        raise UserError(problems)


def _changed(path: Path, stage: str, recipe: str) -> Problem:
    again = f"`make {stage} RECIPE={recipe} FORCE=1` makes it anew"
    return Problem(
        str(path),
        "its sha256 is another",
        f"the one in the manifest of stage `{stage}`",
        f"it was changed by hand or by its disk: {again}",
    )


def _start(job_path: Path, log_path: Path, job: Job) -> None:
    command = [sys.executable, "-m", "eval.worker", str(job_path)]
    environment = child_environment() | {"OMP_NUM_THREADS": str(job.threads)}
    code = run_logged(command, environment, log_path)
    if code != 0:
        tail = last_lines(log_path.read_text(encoding="utf-8", errors="replace"))
        ended = f"measuring {job.variant} ended with code {code}"
        raise StageFailed(f"eval: {ended}; its log {log_path} ends:\n{tail}")


def _same_tokens(measured: dict[str, Findings], reference: str) -> None:
    """Every engine must have scored the same token ids."""
    yardstick = reference if reference in measured else next(iter(measured))
    for variant, found in measured.items():
        rows = token_disagreements(found.samples, measured[yardstick].samples)
        if rows:
            shown = ", ".join(rows[:5])
            turned = f"turn {len(rows)} rows into other token ids: {shown}"
            raise StageFailed(f"eval: {variant} and {yardstick} {turned}")


def token_disagreements(samples: Samples, yardstick: Samples) -> list[str]:
    """Rows, as task/id, whose token ids differ from the yardstick's."""
    known = {
        (task, row["id"]): row["ids_digest"] for task, rows in yardstick.items() for row in rows
    }
    found = [(task, row["id"], row["ids_digest"]) for task, rows in samples.items() for row in rows]
    return [f"{task}/{row}" for task, row, digest in found if digest != known[task, row]]


def _score(work: Work, variant: str, measured: dict[str, Findings]) -> ScoredTasks:
    section = work.recipe.eval
    found = measured[variant].samples
    # Only rewards need the reference, and it is measured wherever rewards are asked for.
    anchors = measured[section.reference].samples if section.reference in measured else found
    return {
        task: TASKS[task].score_records(rows, anchors[task], work.recipe.seed, section.beta)
        for task, rows in found.items()
    }


def _scores(work: Work, variant: str, scored: dict[str, ScoredTasks]) -> list[Score]:
    """The variant's rows of results.json: each task's figures, then its changes from merged."""
    rows: list[Score] = []
    for task, found in scored[variant].items():
        metrics = list(found.metrics)
        if variant != BASELINE and BASELINE in scored:
            metrics += minus(found, scored[BASELINE][task], work.recipe.seed)
        for metric in metrics:
            rows.append(
                Score(
                    variant=variant,
                    task=task,
                    metric=metric.name,
                    value=metric.value,
                    n=metric.n,
                    low=metric.low,
                    high=metric.high,
                    samples=f"samples/{variant}/{task}.jsonl",
                )
            )
    return rows


def _write_samples(folder: Path, scored: dict[str, ScoredTasks]) -> dict[str, str]:
    outputs = {}
    for variant, tasks in scored.items():
        for task, found in tasks.items():
            name = f"samples/{variant}/{task}"
            write_jsonl(folder / f"{name}.jsonl", found.samples)
            outputs[name] = f"{name}.jsonl"
    return outputs
