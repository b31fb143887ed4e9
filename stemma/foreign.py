"""Which installed packages Axolotl would take into a training though nobody named them.

Since 0.20 it loads whatever registers under its entry points: such a package may change the model, the data and the
trainer of every training on this machine, and no recipe says so. Its own plugins (all of them off) are let through.
"""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points

from stemma.errors import Problem

GROUPS = ("axolotl.plugins", "axolotl.model_support")


def foreign() -> list[Problem]:
    """One problem a registration that is not Axolotl's own; none where trainings hold only what recipes name."""
    found = [point for group in GROUPS for point in entry_points(group=group) if _owner(point) != "axolotl"]
    return [_problem(point) for point in sorted(found, key=lambda point: (point.group, point.value))]


def _owner(point: EntryPoint) -> str:
    return point.dist.name.lower() if point.dist else "an unknown package"


def _problem(point: EntryPoint) -> Problem:
    owner = f"{_owner(point)} {point.dist.version}" if point.dist else _owner(point)
    found = f"Axolotl would load `{point.value}` of {owner} into every training, unnamed"
    return Problem(f"entry point {point.group}", found, "Axolotl's own only", f"pip uninstall {_owner(point)}")
