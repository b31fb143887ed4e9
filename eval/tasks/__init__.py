"""The tasks a variant can be scored on: each module of this folder is one, and this the
registry."""

from __future__ import annotations

import pkgutil
from importlib import import_module
from typing import Any

from eval.task import Task


def _load(name: str) -> Task[Any, Any]:
    task = import_module(f"{__name__}.{name}").TASK
    if not isinstance(task, Task):
        raise TypeError(f"eval/tasks/{name}.py: TASK is not a Task")
    return task


TASKS = {module.name: _load(module.name) for module in pkgutil.iter_modules(__path__)}
