"""Which installed packages Axolotl would take into a training though nobody named them.

Since 0.20 it loads whatever registers under its entry points: such a package may change the model, the data and the
trainer of every training on this machine, and no recipe says so. Its own plugins (all of them off) are let through.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import EntryPoint, PackageMetadata, distributions, entry_points

from stemma.errors import Problem

GROUPS = ("axolotl.plugins", "axolotl.model_support")


def foreign() -> list[Problem]:
    """One problem a registration that is not Axolotl's own; none where trainings hold only what recipes name."""
    try:
        points = [point for group in GROUPS for point in entry_points(group=group)]
    except (ValueError, TypeError, OSError):  # what importlib.metadata raises on text that is no list of entry points
        if names := _broken():
            return list(map(_unreadable, names))
        raise
    found = [point for point in points if not _is_axolotls(point)]
    return [_problem(point) for point in sorted(found, key=lambda point: (point.group, point.value))]


def _is_axolotls(point: EntryPoint) -> bool:
    return _owner(point) == "axolotl" and point.value.startswith("axolotl.")


def _owner(point: EntryPoint) -> str:
    """The package's name; empty where its metadata is damaged and says none."""
    metadata: Mapping[str, str] | PackageMetadata = point.dist.metadata if point.dist else {}
    return str(metadata["Name"]).lower() if "Name" in metadata else ""


def _problem(point: EntryPoint) -> Problem:
    owner = _owner(point)
    version = point.dist.metadata["Version"] if point.dist and "Version" in point.dist.metadata else ""
    by = f"{owner} {version}".strip() or "a package whose metadata names none"
    found = f"Axolotl would load `{point.value}` of {by} into every training, unnamed"
    hint = f"pip uninstall {owner}" if owner else f"find it: grep -rl '{point.value}' --include=entry_points.txt .venv"
    return Problem(f"entry point {point.group}", found, "Axolotl's own only", hint)


def _broken() -> list[str]:
    """The packages whose entry points cannot be read, in which Axolotl's own search ends as well."""
    names = []
    for package in distributions():
        try:
            _ = package.entry_points
        except (ValueError, TypeError, OSError) as error:
            names.append(f"{package.metadata['Name']}: {error}")
    return names


def _unreadable(package: str) -> Problem:
    found = f"entry_points.txt of {package}"
    return Problem("installed packages", found, "readable entry points", "install that package anew")
