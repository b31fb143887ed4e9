"""Texts behind `show`, `diff` and `verify`: the resolved recipe, and outputs that are damaged."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stemma.base_model.files import lacks_padding, template_of, tokenizer_folder
from stemma.chain import chain
from stemma.errors import Problem, UserError
from stemma.recipe.models import Recipe
from stemma.runs import MANIFEST, Run, write_manifest
from stemma.training.axolotl import Paths, render
from stemma.weights import attention_of
from stemma.workplace import locked
from stemma.yaml_text import to_yaml

UNKNOWN = "special tokens are added when the base model is on this machine"


def resolved(recipe: Recipe, run: Run) -> str:
    """The recipe with `extends`, overrides and defaults filled in, then each Axolotl file it
    renders to."""
    values = recipe.model_dump(mode="json", by_alias=True, exclude_none=True)
    parts = {f"recipe {recipe.name}": values}
    folder = tokenizer_folder(recipe, run)
    base = ["base"] if recipe.base else []
    for stage in [*base, *recipe.training_stages()]:
        title = f"{stage}: what `axolotl train` gets (data files get their digest into the name)"
        title += "" if folder or recipe.base else f"; {UNKNOWN}"
        parts[title] = _rendered(recipe, run, stage, folder)
    return "\n".join(f"# --- {title}\n{to_yaml(values)}" for title, values in parts.items())


def _rendered(recipe: Recipe, run: Run, stage: str, folder: Path | None) -> dict[str, Any]:
    """The Axolotl file as training writes it, as far as the base model (in `folder`) is known."""
    paths = Paths.planned(run, recipe, stage)
    template = template_of(recipe, run)
    if recipe.base or folder is None:
        stop = template.stop()
        return render(recipe, stage, paths, *([] if stop == template.eos else [stop]))
    padding = template.eos if lacks_padding(folder) else ""
    rendered = render(recipe, stage, paths, template.stop(), padding)
    if "attn_implementation" not in recipe.axolotl(stage) and (folder / "config.json").is_file():
        rendered["attn_implementation"] = attention_of(folder)
    return rendered


def difference(old: Recipe, new: Recipe) -> str:
    """A unified diff of two resolved recipes, or of one and what overrides make of it."""
    run = Run(Path("runs/RECIPE"))  # the same for both, so that only what they ask for differs
    title = new.name if new.name != old.name else f"{new.name} with {', '.join(new.overrides)}"
    before, after = (resolved(recipe, run).splitlines(keepends=True) for recipe in (old, new))
    return "".join(difflib.unified_diff(before, after, old.name, title, n=2))


def damaged(recipe: Recipe, run: Run, tell: Callable[[str], None], seal: bool) -> list[str]:
    """Manifests and outputs that are missing or not as they were written, as `stage/name`.

    Every file is read. `seal`: a manifest that carries no digest of itself, as those of earlier
    Stemmas, gets one where its outputs are whole.
    """
    found: list[str] = []
    if not any((run.folder(stage) / MANIFEST).is_file() for stage in chain(recipe)):
        nothing = "no finished stage: there is nothing to verify"
        hint = f"`make all RECIPE={run.recipe}` makes one; RUNS=FOLDER where it lies elsewhere"
        raise UserError(Problem(str(run.root), nothing, "a run", hint))
    for stage in chain(recipe):
        try:
            manifest = run.read_manifest(stage, unsealed=seal)
        except UserError as error:
            tell(f"{stage:<7} {MANIFEST:<18} DAMAGED: {error.problems[0].found}")
            tell(f"{'':<26} hint: {error.problems[0].hint}")
            found.append(f"{stage}/{MANIFEST}")
            continue
        if manifest is None:
            tell(f"{stage:<7} not done")
            continue
        damage = {problem.where: problem.found for problem in run.damage_of(manifest, anew=True)}
        width = max((18, *map(len, manifest.outputs)))
        for name, output in manifest.outputs.items():
            lost = damage.get(str(run.folder(stage) / output.path))
            tell(f"{stage:<7} {name:<{width}} {f'DAMAGED: {lost}' if lost else 'ok'}")
            if lost:
                found.append(f"{stage}/{name}")
        if seal and not damage:
            with locked(run.folder(stage)):
                write_manifest(run, manifest)
            tell(f"{stage:<7} {MANIFEST:<18} carries a digest of itself")
    return found
