"""What a stage's work depends on, as one digest: the recipe's part of it, and all it reads, by content.

No key holds a place: a run, its data, the base model and the checkout may be moved, copied or mounted elsewhere, and
all that was done stays done. Files have names that say what they are to the recipe, not where they lie.
"""

from __future__ import annotations

from pathlib import Path

from stemma.errors import Problem, UserError
from stemma.identity import model_digest
from stemma.recipe.check import pinned
from stemma.recipe.models import Recipe
from stemma.runs import Run, digest_json, digest_of


def upstream(recipe: Recipe, stage: str) -> list[str]:
    """The stages whose manifests `stage` reads, in chain order."""
    trained = recipe.training_stages()
    base = ["base"] if recipe.base else []
    if stage == "data":
        return []
    if stage == "base":
        return ["data"]
    if stage in trained:
        start = recipe.stage(stage).start_from
        return ["data", *([start] if start != "base" else base)]
    if stage == "export":
        last = recipe.export.from_
        return ["data", *base, *(trained[: trained.index(last) + 1] if last != "base" else [])]
    done = ["data", *base, *trained, "export"]
    return done if stage == "eval" else [*done, "eval"]


def key_of(recipe: Recipe, run: Run, stage: str) -> str:
    """The digest of all the stage depends on. Raises UserError if an input is missing."""
    return key_with(recipe, stage, inputs_of(recipe, run, stage))


def key_with(recipe: Recipe, stage: str, inputs: dict[str, str]) -> str:
    """The key of a stage whose inputs have these digests."""
    engine = {"axolotl": axolotl_version()} if stage == "base" or stage in recipe.training_stages() else {}
    return digest_json({"stage": stage, "section": recipe.section(stage), "inputs": inputs, **engine})


def axolotl_version() -> str:
    """Of the Axolotl that trains, as pinned: another trains another adapter from the same seed, so what it made is
    stale. Not asked of the installation: a laptop, which has none, must know a run as well."""
    version: str = pinned()["axolotl"]
    return version


def inputs_of(recipe: Recipe, run: Run, stage: str) -> dict[str, str]:
    """Digests of all a stage reads: upstream outputs, the files its section names, and a base model's local folder."""
    found: dict[str, str] = {}
    for name in upstream(recipe, stage):
        found |= {f"{name}/{output}": o.sha256 for output, o in run.manifest(name).outputs.items()}
    if stage == "report":
        searches = sorted(run.folder("sweep").glob("*/sweep.json"))
        found |= {f"sweep/{path.parent.name}": digest_of(path) for path in searches}
    return found | _files(recipe, stage) | _base_model(recipe, run, stage)


def _files(recipe: Recipe, stage: str) -> dict[str, str]:
    files = recipe.files(stage)
    missing = sorted({str(path) for path in files.values() if not path.is_file()})
    if missing:
        where, hint = f"{recipe.path.name} ({stage})", "paths in `data` start at data.root (DATA=…)"
        raise UserError(Problem(where, f"no such file: {', '.join(missing)}", "existing files", hint))
    digests = {path: digest_of(path) for path in set(files.values())}  # several sources may read one
    return {name: digests[path] for name, path in files.items()}


def _base_model(recipe: Recipe, run: Run, stage: str) -> dict[str, str]:
    """A local folder by what is in it; a hub model by its name and revision, which stand in the recipe's section."""
    if stage in ("data", "base") or not recipe.is_base_local:
        return {}
    folder = Path(str(recipe.base_model))
    if not folder.is_dir():
        found = f"base_model `{recipe.base_model}`: no such folder"
        raise UserError(Problem(recipe.path.name, found, "a model folder, or a name on the hub"))
    return {"base_model": model_digest(folder, run.root.parent)}
