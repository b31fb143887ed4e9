"""Forms of the values in a task file of lm-evaluation-harness, as far as they are read here: one of
another form is told with its line, before anything else looks at it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from stemma.errors import Problem


def form_problems(values: Mapping[Any, Any], where: Callable[[str], str]) -> Iterator[Problem]:
    """Every value that is not of the form its key takes; `where` gives `file:line` of a key."""
    for key, (is_right, expected) in FORMS.items():
        value = values.get(key)
        if value is not None and not is_right(value):
            yield Problem(where(key), f"`{key}: {value}`", expected)


def members(listed: Any) -> Iterator[str]:
    """The names in a group's list of tasks, those of the groups written inside it too."""
    for one in listed if isinstance(listed, list) else [listed]:
        if isinstance(one, dict):
            yield from members(one["task"])
        else:
            yield str(one)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_mapping(value: Any) -> bool:
    return isinstance(value, dict)


def _are_texts(value: Any) -> bool:
    return _is_text(value) or (isinstance(value, list) and all(map(_is_text, value)))


def _are_members(value: Any) -> bool:
    if isinstance(value, list):
        return all(not isinstance(one, list) and _are_members(one) for one in value)
    return _are_members(value.get("task")) if _is_mapping(value) else _is_text(value)


def _are_metrics(value: Any) -> bool:
    return isinstance(value, list) and all(_is_mapping(one) and "metric" in one for one in value)


def _generates(value: Any) -> bool:
    if not _is_mapping(value):
        return False
    try:
        float(value.get("temperature") or 0)  # of YAML 1.1, where `1e-3` is a text
    except (TypeError, ValueError):
        return False
    return True


FORMS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "include": (_are_texts, "the name of a task file, or a list of names"),
    "dataset_path": (_is_text, "a data set's name, or a format of local files"),
    "dataset_kwargs": (_is_mapping, "a mapping of settings"),
    "metric_list": (_are_metrics, "a list of mappings, each with `metric`"),
    "generation_kwargs": (_generates, "a mapping of settings, `temperature` a number"),
    "task": (_are_members, "a name, or a list of names or of groups with their `task`"),
}
