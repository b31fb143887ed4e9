"""The cells of a recipe's evaluation: each variant on each task, and where its samples are kept."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eval.job import Cell, Job, Variant
from eval.rows_to_score import test_files
from eval.task import Task
from eval.tasks import TASKS
from stemma.comparisons import BASELINE
from stemma.digests import digest_json
from stemma.identity import model_digest
from stemma.processes import cores
from stemma.recipe.eval_arms import split_arm, with_arm
from stemma.recipe.eval_servers import NEED_LOG_PROBS
from stemma.recipe.eval_tasks import EvalTask
from stemma.stages import Work
from stemma.templates import Template
from stemma.weights import weights_of

MEASURED = "measured"
"""Beside the run folders: recipes that share weights and rows share what was measured."""


def jobs_of(work: Work, in_context: Mapping[str, Path] | None = None) -> list[Job]:
    """The job of every variant. The reference of the rewards comes first; it and merged are
    measured even where nobody asks for their scores.

    `in_context`: files of the rows with passages, by `Cell.rows` (`eval.contexts`); an arm is
    measured on those that are given.
    """
    section = work.recipe.eval
    files = test_files(work) | dict(in_context or {})
    asked = {name: section.tasks_of(name) for name in section.variants}
    if needed := [options for options in section.tasks if TASKS[options.task].uses_merged]:
        asked = {BASELINE: asked.get(BASELINE, needed)} | asked
    if compared := [options for options in section.tasks if TASKS[options.task].uses_reference]:
        # In every arm: a reward compares two models that read the same text.
        arms = dict.fromkeys([None, *(split_arm(name)[1] for name in section.variants)])
        names = [with_arm(section.reference, arm) for arm in arms]
        asked = {name: asked.get(name, compared) for name in names} | asked
    jobs = [_job(work, name, tasks, files) for name, tasks in asked.items()]
    return [job for job in jobs if job.cells]


def _job(work: Work, name: str, tasks: list[EvalTask], files: Mapping[str, Path]) -> Job:
    variant = variant_of(work, name)
    folder = work.run.root.parent / MEASURED
    arm = split_arm(name)[1]
    if arm is None:
        cells = [cell_of(variant, options, folder, files.get(options.task)) for options in tasks]
        return Job(variant=variant, cells=cells)
    cells = [
        cell_of(variant, options, folder, files[rows]).model_copy(
            update={"arm": arm, "limit": None}  # the file holds the rows that count
        )
        for options in tasks
        if (rows := with_arm(options.task, arm)) in files
    ]
    return Job(variant=variant, cells=cells)


def variant_of(work: Work, name: str) -> Variant:
    """The variant's weights, and all else that decides what is measured on it. A server is asked
    what it holds."""
    model = split_arm(name)[0]
    if model in work.recipe.eval.servers:
        return _served(work, name)
    exported = model in work.recipe.exported()
    template = template_of(work)
    weights = work.input("export", model) if exported else weights_of(work, model)
    made_here = model != "base" or work.recipe.base
    made_by = ("export" if exported else model) if made_here else None
    return Variant(
        name=name,
        kind="gguf" if model.startswith("gguf-") else "hf",
        weights=str(weights),
        digest=_digest(work, weights, made_by, model if exported else "merged"),
        made_by=made_by,
        template=template.text,
        bos=template.bos,
        eos=template.eos,
        threads=work.recipe.eval.threads or cores(),
    )


def _served(work: Work, name: str) -> Variant:
    """A variant behind a server, known by what the server says of its model."""
    from eval.servers.ready import description  # loads the network client

    server = work.recipe.eval.servers[split_arm(name)[0]]
    decides = server.model_dump(mode="json", include={"base_url", "model", "parameters"})
    template = template_of(work)
    return Variant(
        name=name,
        kind="server",
        weights=server.base_url,
        digest=digest_json(decides | {"said": description(name, server)}),
        made_by=None,
        template=template.text,
        bos=template.bos,
        eos=template.eos,
        threads=1,
        server=server,
    )


def template_of(work: Work) -> Template:
    """The recipe's template with the special tokens of the reference: every variant has its
    tokenizer, and a GGUF file has no other."""
    return Template.read(work.recipe.template, weights_of(work, work.recipe.eval.reference))


def _digest(work: Work, weights: Path, made_by: str | None, output: str) -> str:
    """From the manifest where the weights were made here; else hashed once for all runs."""
    if made_by is None:
        return model_digest(weights, work.run.root.parent)
    return work.run.manifest(made_by).outputs[output].sha256


def cell_of(variant: Variant, options: EvalTask, folder: Path, data: Path | None) -> Cell:
    """A variant on a task, with its samples' folder below `folder`."""
    task = TASKS[options.task]
    read = options.model_dump(include={"task", *task.reads})
    measured = type(options).model_validate(read)
    key = digest_json(decisive(variant, measured))
    return Cell(
        options=measured,
        limit=options.limit,
        data=str(data) if data else None,
        folder=str(folder / f"{options.task}-{key[:32]}"),
    )


def decisive(variant: Variant, options: EvalTask) -> dict[str, Any]:
    """All that decides what is found of a row: equal in two recipes, it is measured once.

    Where files lie, what the variant is called, and how many rows are asked for is not part of it.
    """
    task: Task[Any, Any] = TASKS[options.task]
    found: dict[str, Any] = {
        "task": options.task,
        "version": task.version,
        "fields": sorted(task.sample.model_fields),
        "options": options.model_dump(mode="json", include=set(task.reads)),
        "weights": variant.digest,
        "kind": variant.kind,
        "template": variant.template,
        "bos": variant.bos,
        "eos": variant.eos,
    }
    if variant.kind == "server" and options.task not in NEED_LOG_PROBS:
        # It puts conversations into a template of its own.
        found = {
            key: value for key, value in found.items() if key not in ("template", "bos", "eos")
        }
    if task.measures_process:  # speeds hold for one machine
        found |= {"machine": platform.node(), "threads": variant.threads}
    if variant.repeat:
        found |= {"repeat": variant.repeat, "threads": variant.threads}
    return found
