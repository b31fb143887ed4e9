"""Tasks of lm-evaluation-harness, loaded from the folders that are needed and from local files.

The harness indexes 13,000 task files of its own before it loads one (40 s); here only the folders
that hold what the recipe names.
"""

from __future__ import annotations

import random
import traceback
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import StrictUndefined
from jinja2.utils import htmlsafe_json_dumps, pass_environment
from lm_eval import utils as harness
from lm_eval.api.group import ConfigurableGroup
from lm_eval.api.task import ConfigurableTask
from lm_eval.defaults import DEFAULT_OTHER_SEED, DEFAULT_RANDOM_SEED
from lm_eval.tasks import TaskManager, get_task_dict

from eval.harness.job import BenchmarkJob
from stemma.errors import StageFailed
from stemma.jinja_filters import WIDEST_INDENT
from stemma.jinja_prices import HTML
from stemma.metered_jinja import MeteredEnvironment, MeteredTemplate
from stemma.recipe.lm_eval_tasks import LOCAL, resolved

SEEDS = {"random": DEFAULT_RANDOM_SEED, "worked examples": DEFAULT_OTHER_SEED}
"""The harness's own, so that figures compare with published ones."""

TaskDict = dict[Any, Any]
"""Tasks by name; under a group a dictionary of its tasks."""


class Tasks(TaskManager):
    """The tasks of a job's folders, their data files found and their hub data pinned."""

    def __init__(self, job: BenchmarkJob) -> None:
        folders = [folder for folder in job.folders if Path(folder).is_dir()]
        super().__init__(include_path=folders, include_defaults=False)
        self._job = job

    def _get_config(self, name: str) -> dict[str, Any]:
        config: dict[str, Any] = super()._get_config(name)
        path = self._get_yaml_path(name)
        source = config.get("dataset_path")
        settings = dict(config.get("dataset_kwargs") or {})
        if source in LOCAL:
            beside = Path(path).parent
            files = settings.get("data_files")
            settings["data_files"] = resolved(files, beside, Path(self._job.root))
            settings["cache_dir"] = self._job.tables
        elif revision := self._job.settings.revisions.get(str(source)):
            settings["revision"] = revision
        return config | ({"dataset_kwargs": settings} if settings else {})


def load(manager: Tasks, name: str, shots: int | None) -> TaskDict:
    """One benchmark ready to be asked. Raises StageFailed where its file or data does not fit.

    A task that says it has no worked examples keeps none, as the harness has it. Templates of task
    files render in our sandbox.
    """
    harness.apply_template = fill_in
    try:
        found: TaskDict = get_task_dict([name], manager)
    except Exception as error:
        traceback.print_exc()
        raise StageFailed(f"benchmark `{name}` cannot be loaded: {_one_line(error)}") from None
    for task in leaves(found).values():
        given = task.get_config("num_fewshot")
        if shots is not None and given != 0:
            task.set_config("num_fewshot", shots)
        elif given is None:
            task.set_config("num_fewshot", 0)
        task.set_fewshot_seed(seed=SEEDS["worked examples"])
    random.seed(SEEDS["random"])
    np.random.seed(SEEDS["worked examples"])
    return found


def fill_in(template: str, row: dict[str, Any]) -> str:
    """A task file's template with a row's values, as the harness renders it. Raises TemplateFault
    where it does not render."""
    return _compiled(template).render(**row)


@lru_cache(maxsize=1000)
def _compiled(template: str) -> MeteredTemplate:
    environment = MeteredEnvironment(
        undefined=StrictUndefined,
        trim_blocks=False,
        lstrip_blocks=False,
        keep_trailing_newline=True,
    )
    environment.filters["regex_replace"] = pass_environment(_replaced)
    environment.filters["tojson"] = pass_environment(_as_json)
    return MeteredTemplate(environment, template, f"the task's template {template[:60]!r}")


def _replaced(environment: MeteredEnvironment, text: str, *given: Any, **named: Any) -> str:
    environment.meter.text(16 * len(text))
    return str(environment.meter.made(harness.regex_replace(text, *given, **named)))


def _as_json(environment: MeteredEnvironment, value: Any, indent: int | None = None) -> Any:
    """Jinja's own filter, as the harness has it; chat templates have that of transformers."""
    nodes, characters, depth = environment.meter.weigh(value)
    wide = min(abs(indent or 0), WIDEST_INDENT)
    environment.meter.fits(2 * HTML * characters + nodes * wide * depth)
    text = htmlsafe_json_dumps(value, sort_keys=True, indent=wide if indent is not None else None)
    return environment.meter.made(text)


def leaves(tasks: TaskDict) -> dict[str, ConfigurableTask]:
    """The tasks themselves, those of groups too."""
    found: dict[str, ConfigurableTask] = {}
    for name, task in tasks.items():
        found |= leaves(task) if isinstance(task, dict) else {str(name): task}
    return found


def groups(tasks: TaskDict) -> dict[str, list[str]]:
    """The groups, and the tasks below each."""
    found: dict[str, list[str]] = {}
    for group, task in tasks.items():
        if isinstance(task, dict):
            name = group.group_name if isinstance(group, ConfigurableGroup) else str(group)
            found |= {name: list(leaves(task))} | groups(task)
    return found


def _one_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else 'no reason given'}"
