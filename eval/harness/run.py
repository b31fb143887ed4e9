"""Benchmarks of every variant: what was measured before is kept by content, the rest is measured.

Findings lie beside the run folders, one file a variant and benchmark. A further benchmark costs
itself alone, other recipes' equal weights cost nothing, and several processes may measure some
(`--only`) at the same time.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from eval.cells import variant_of
from eval.harness.job import (
    FORMAT,
    BenchmarkFindings,
    BenchmarkJob,
    WantedBenchmark,
    read_findings,
)
from eval.harness.scores import scores_of
from eval.how_far import told_in
from eval.measuring import stamps_of
from eval.task import TaskScores
from stemma.digests import digest_json, digest_of
from stemma.errors import Problem, StageFailed, UserError
from stemma.heard import Hearing
from stemma.jsonl import write_json
from stemma.known_digests import stamp_of
from stemma.processes import child_environment, last_lines, run_logged
from stemma.progress import phase, tick
from stemma.recipe.lm_eval_tasks import Found, look_up, place_of
from stemma.stages import Work
from stemma.weights import weights_of

MEASURED = Path("measured", "lm_eval")
"""Beside the run folders."""


def benchmark_scores(work: Work, variants: Sequence[str]) -> dict[str, dict[str, TaskScores]]:
    """Each variant's figures by benchmark, as `lm_eval/<task>`; empty where the recipe names none.

    Raises UserError for a benchmark that cannot be measured, before anything is, and StageFailed as
    `measure` does.
    """
    jobs = benchmark_jobs(work, variants)
    kept = measure(work, jobs, work.folder / "jobs")
    scores = {
        variant: {
            name: of for one in job.wanted for name, of in scores_of(kept[variant][one.key]).items()
        }
        for variant, job in jobs.items()
    }
    _tell_other_tokens(work, scores)
    return {variant: scores.get(variant, {}) for variant in variants}


def benchmark_jobs(work: Work, variants: Sequence[str]) -> dict[str, BenchmarkJob]:
    """Each variant's job; none where the recipe names no benchmark. Raises UserError."""
    section = work.recipe.eval.benchmarks
    if section is None:
        return {}
    where = f"{work.recipe.path.name}: eval.benchmarks"
    found = look_up(section, place_of(work.recipe), where)
    if found.problems:
        raise UserError(found.problems)
    return {variant: make_job(work, variant, found) for variant in variants}


def measure(
    work: Work, jobs: Mapping[str, BenchmarkJob], logs: Path
) -> dict[str, dict[str, BenchmarkFindings]]:
    """Findings by variant and key: what is kept is read, the rest measured.

    Raises StageFailed with what failed, of every variant: one that is broken does not keep the
    others from being measured, and what was found of them is kept.
    """
    kept = {name: {} if work.force else _kept(job.wanted) for name, job in jobs.items()}
    missing = {
        name: [one for one in job.wanted if one.key not in kept[name]] for name, job in jobs.items()
    }
    if late := [job for name, job in jobs.items() if missing[name]]:
        _prepare(work, late[0], logs)
    failures = []
    for variant, job in jobs.items():
        try:
            _measure(work, job.model_copy(update={"wanted": missing[variant]}), logs)
        except StageFailed as error:
            failures.append(str(error))
        else:
            kept[variant] |= _kept(missing[variant])
    if failures:
        raise StageFailed("\n".join(failures))
    return kept


def missing_of(work: Work, job: BenchmarkJob) -> set[str]:
    """The names of a job's benchmarks that would be measured."""
    kept = {} if work.force else _kept(job.wanted)
    return {one.name for one in job.wanted if one.key not in kept}


def make_job(work: Work, name: str, found: Found) -> BenchmarkJob:
    """The job of a variant's worker."""
    recipe = work.recipe
    section = recipe.eval.benchmarks
    assert section is not None
    variant = variant_of(work, name)
    tokenizer = weights_of(work, recipe.eval.reference)
    place = place_of(recipe)
    folder = work.run.root.parent / MEASURED
    listed = [path for files in found.files.values() for path in files]
    stamps = {str(path.absolute()): stamp_of(path) for path in listed}  # before they are hashed
    digests = {path: digest_of(path) for path in dict.fromkeys(listed)}
    content = digest_json([digests[path] for path in listed])
    decisive = {
        "format": FORMAT,
        "weights": variant.digest,
        "tokenizer": digest_of(tokenizer / "tokenizer.json"),
        "template": [variant.template, variant.bos, variant.eos],
        "settings": section.model_dump(exclude={"tasks", "include_path", "revisions"}),
    }
    return BenchmarkJob(
        variant=variant,
        tokenizer=str(tokenizer),
        settings=section,
        wanted=[
            _wanted(one, decisive | {"hub": found.hub}, found.files[one], digests, folder)
            for one in section.tasks
        ],
        folders=[*map(str, dict.fromkeys(found.folders)), str(place.folder.absolute())],
        root=str(place.root.absolute()),
        # The harness knows a file by its name and time: here by its content.
        tables=str((folder / "tables" / content[:16]).absolute()),
        stamps=stamps,
        hub=found.hub,
    )


def _wanted(
    name: str,
    decisive: dict[str, object],
    paths: Sequence[Path],
    digests: Mapping[Path, str],
    folder: Path,
) -> WantedBenchmark:
    files = [[path.name, digests[path]] for path in paths]
    key = digest_json(decisive | {"name": name, "files": files})
    return WantedBenchmark(name=name, key=key, out=str(folder / f"{key[:32]}.json"))


def _kept(wanted: Sequence[WantedBenchmark]) -> dict[str, BenchmarkFindings]:
    """What was measured before, by key: each file is read once, samples and all."""
    return {one.key: found for one in wanted if (found := _read(one))}


def _read(one: WantedBenchmark) -> BenchmarkFindings | None:
    out = Path(one.out)
    if not out.is_file():
        return None
    kept = read_findings(out)
    return kept if kept and kept.key == one.key else None


def _prepare(work: Work, job: BenchmarkJob, logs: Path) -> None:
    """Fetch the pinned data of the hub where it is not here yet: what measures has no network."""
    if not job.hub:
        return
    path, offline = _write(logs, job, "prepare"), child_environment()
    command = [sys.executable, "-m", "eval.harness.worker", str(path), "--only-load"]
    log = path.with_suffix(".log")
    if run_logged(command, offline, log) == 0:
        return
    named = ", ".join(f"{name}@{revision}" for name, revision in sorted(job.hub.items()))
    if os.environ.get("HF_HUB_OFFLINE") or os.environ.get("HF_DATASETS_OFFLINE"):
        expected = "data that was fetched before: HF_HUB_OFFLINE is set"
        problem = f"benchmark data is not on this machine: {named}"
        raise UserError(Problem("eval.benchmarks", problem, expected, f"see {log}"))
    phase(work.say, f"eval: fetching benchmark data: {named}")
    online = {name: value for name, value in offline.items() if name != "HF_HUB_OFFLINE"}
    if run_logged(command, online, log, tick) != 0:
        raise _failed("loading the benchmarks", log)


def _measure(work: Work, job: BenchmarkJob, logs: Path) -> None:
    if not job.wanted:
        return
    variant = job.variant
    job = job.model_copy(update={"stamps": job.stamps | stamps_of(work, variant)})
    for one in job.wanted:
        if Path(one.out).is_file() and not work.force:
            work.say(f"eval: {one.out} is not as it was written: it does not count")
    names = ", ".join(one.name for one in job.wanted)
    phase(work.say, f"eval: measuring {variant.name} on {names}")
    path = _write(logs, job, variant.name)
    log = path.with_suffix(".log")
    environment = child_environment() | {"OMP_NUM_THREADS": str(variant.threads)}
    hearing = Hearing(told_in(path), lambda at: replace(at, note=f"{variant.name}: {at.note}"))
    command = [sys.executable, "-m", "eval.harness.worker", str(path)]
    code = run_logged(command, environment, log, hearing.look)
    hearing.forget()
    if code:
        raise _failed(f"measuring {variant.name} on {names}", log)


def _write(logs: Path, job: BenchmarkJob, name: str) -> Path:
    path = logs / f"lm_eval-{name}.json"
    write_json(path, job.model_dump())
    return path


def _failed(what: str, log: Path) -> StageFailed:
    tail = last_lines(log.read_text(encoding="utf-8", errors="replace"))
    return StageFailed(f"eval: {what} failed; its log {log} ends:\n{tail}")


def _tell_other_tokens(work: Work, scores: dict[str, dict[str, TaskScores]]) -> None:
    """Say and note which variants read a benchmark as other tokens than the first one does."""
    first, *others = scores or [""]
    for variant in others:
        for name, found in scores[variant].items():
            same = scores[first][name].facts["tokens_digest"] == found.facts["tokens_digest"]
            if not same:
                found.facts["other tokens than"] = first
                work.say(f"eval: {variant} reads {name} as other tokens than {first} does")
