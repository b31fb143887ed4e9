"""The installed packages that Axolotl would take into a training though nobody named them.

Since 0.20 it loads whatever registers under its entry points: such a package may change the model,
the data and the trainer of every training on this machine, and no recipe says so. Axolotl's own
plugins (all of them off) are let through.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import EntryPoint, PackageMetadata, distributions, entry_points

from stemma.errors import Problem

GROUPS = ("axolotl.plugins", "axolotl.model_support")
UNREADABLE = (ValueError, TypeError, OSError)
"""What importlib.metadata raises on text that is no list of entry points."""


def foreign() -> list[Problem]:
    """One problem for each registration that is not Axolotl's own."""
    try:
        points = [point for group in GROUPS for point in entry_points(group=group)]
    except UNREADABLE:
        broken = _broken()
        if not broken:
            raise
        return [_unreadable(package) for package in broken]
    found = [point for point in points if not _is_axolotls(point)]
    found.sort(key=lambda point: (point.group, point.value))
    return [_problem(point) for point in found]


def _is_axolotls(point: EntryPoint) -> bool:
    return _owner(point) == "axolotl" and point.value.startswith("axolotl.")


def _owner(point: EntryPoint) -> str:
    """The package's name; empty where its metadata is damaged and says none."""
    metadata: Mapping[str, str] | PackageMetadata = point.dist.metadata if point.dist else {}
    return str(metadata["Name"]).lower() if "Name" in metadata else ""


def _problem(point: EntryPoint) -> Problem:
    owner = _owner(point)
    version = ""
    if point.dist and "Version" in point.dist.metadata:
        version = point.dist.metadata["Version"]
    by = f"{owner} {version}".strip() or "a package whose metadata names none"
    found = f"Axolotl would load `{point.value}` of {by} into every training, unnamed"
    search = f"find it: grep -rl '{point.value}' --include=entry_points.txt .venv"
    hint = f"pip uninstall {owner}" if owner else search
    return Problem(f"entry point {point.group}", found, "Axolotl's own only", hint)


def _broken() -> list[str]:
    """The packages whose entry points cannot be read: Axolotl's own search ends there as well."""
    names = []
    for package in distributions():
        try:
            _ = package.entry_points
        except UNREADABLE as error:
            names.append(f"{package.metadata['Name']}: {error}")
    return names


def _unreadable(package: str) -> Problem:
    found = f"entry_points.txt of {package}"
    hint = "install that package anew"
    return Problem("installed packages", found, "readable entry points", hint)
