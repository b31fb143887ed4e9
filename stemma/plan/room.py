"""Warnings of a plan: the room on disk that a run still needs against what is free, and stages
that end within their warm-up. Known before hours are spent."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from stemma.base_model.files import read_shapes
from stemma.chain import chain
from stemma.digests import size_of
from stemma.errors import UserError
from stemma.freshness import states
from stemma.plan.costs import export_bytes, left_bytes, stage_bytes
from stemma.plan.forecast import Plan, cost_settings
from stemma.recipe.check import warmup_warning
from stemma.recipe.models import Recipe
from stemma.runs import Run
from stemma.shapes import Shapes


def plan_warnings(recipe: Recipe, run: Run, plan: Plan) -> Iterator[str]:
    """All warnings of a plan, a sentence each; what the recipe alone shows has been told."""
    for one in plan.stages:
        keys = recipe.training_settings(one.stage)
        if one.steps is not None and not keys.get("max_steps"):
            yield from filter(None, [warmup_warning(one.stage, keys, one.steps)])
    yield from filter(None, [room_warning(recipe, run, chain(recipe))])


def room_warning(recipe: Recipe, run: Run, stages: Sequence[str]) -> str:
    """A sentence where the stages to come take more than is free; else nothing, as where the
    model's shapes are not known."""
    if recipe.is_data_only:
        return ""
    with suppress(UserError, OSError):  # told by the stages themselves
        shapes = read_shapes(recipe, run)
        known = states(recipe, run)
        coming = [stage for stage in stages if stage in known and not known[stage].is_fresh]
        there = sum(size_of(run.folder(stage)) for stage in coming)  # of an attempt before
        needed = most_bytes(recipe, shapes, coming) - there
        free = shutil.disk_usage(_existing(run.root)).free
        if needed > free:
            return (
                f"the stages to come take about {needed / 1e9:.1f} GB of disk at their fullest, "
                f"and {free / 1e9:.1f} GB are free in {run.root.parent}; hint: free some, or pass "
                "--runs FOLDER"
            )
    return ""


def most_bytes(recipe: Recipe, shapes: Shapes, stages: Sequence[str]) -> int:
    """Bytes of trainings and formats at the fullest moment: what earlier ones leave, and what the
    one at work writes, its checkpoints included."""
    kept = most = 0
    trained = [*(["base"] if recipe.base else []), *recipe.training_stages()]
    for stage in stages:
        if stage in trained:
            keys = recipe.training_settings(stage)
            training = cost_settings(recipe, stage, keys, shapes, gpus=1)
            most = max(most, kept + stage_bytes(training, keys["save_total_limit"]))
            kept += left_bytes(training)
        elif stage == "export":
            kept += sum(export_bytes(shapes, recipe.export.model_dump()).values())
            most = max(most, kept)
    return most


def _existing(folder: Path) -> Path:
    """The nearest folder that is there."""
    return next(one for one in (folder.absolute(), *folder.absolute().parents) if one.exists())
