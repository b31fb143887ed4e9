"""The key of a stage's work: the digest of all that it depends on.

A key is sha256 over its part of the recipe and the content of all it reads. No key holds a place: a
run, its data, the base model and the checkout may be moved, copied or mounted elsewhere, and all
that was done stays done. Files are named by what they are to the recipe, not by where they lie.
"""

from __future__ import annotations

from pathlib import Path

from stemma.chain import TRAINED, upstream
from stemma.digests import digest_json, digest_of
from stemma.errors import Problem, UserError
from stemma.identity import model_digest
from stemma.known_digests import digests_of
from stemma.plain_files import not_plain
from stemma.recipe.axolotl_keys import pinned
from stemma.recipe.models import Recipe
from stemma.runs import Run


def key_of(recipe: Recipe, run: Run, stage: str) -> str:
    """The stage's key. Raises UserError if an input is missing."""
    return key_with(recipe, stage, inputs_of(recipe, run, stage))


def key_with(recipe: Recipe, stage: str, inputs: dict[str, str]) -> str:
    """The key of a stage whose inputs have these digests."""
    engine = {"axolotl": axolotl_version()} if stage in TRAINED else {}
    return digest_json(
        {"stage": stage, "section": recipe.section(stage), "inputs": inputs, **engine}
    )


def axolotl_version() -> str:
    """The version of Axolotl that trains, as pinned.

    Another one trains another adapter from the same seed, so what it made is stale. The
    installation is not asked: a laptop, which has none, must know a run as well.
    """
    version: str = pinned()["axolotl"]
    return version


def inputs_of(recipe: Recipe, run: Run, stage: str) -> dict[str, str]:
    """Digests of all a stage reads: upstream outputs, files of its section, a local base model."""
    found: dict[str, str] = {}
    for name in upstream(recipe, stage):
        outputs = run.manifest(name).outputs
        found |= {f"{name}/{output}": of.sha256 for output, of in outputs.items()}
    if stage == "report":
        searches = sorted(run.folder("sweep").glob("*/sweep.json"))
        found |= {f"sweep/{path.parent.name}": digest_of(path) for path in searches}
    return found | _files(recipe, run, stage) | _base_model(recipe, run, stage)


def _files(recipe: Recipe, run: Run, stage: str) -> dict[str, str]:
    files = recipe.files(stage)
    wrong: dict[str, list[str]] = {}
    for path in sorted(set(files.values())):
        if found := not_plain(path):
            wrong.setdefault(found, []).append(str(path))
    if wrong:
        where = f"{recipe.path.name} ({stage})"
        hint = "paths in `data` start at data.root (DATA=…)"
        told = [f"{found}: {', '.join(paths)}" for found, paths in wrong.items()]
        raise UserError(Problem(where, one, "existing files", hint) for one in told)
    # Several sources may read one file: it is hashed once.
    digests = digests_of(set(files.values()), run.root.parent)
    return {name: digests[path] for name, path in files.items()}


def _base_model(recipe: Recipe, run: Run, stage: str) -> dict[str, str]:
    """The digest of a local base model's folder.

    A hub model is known by its name and revision, which stand in the recipe's section.
    """
    if stage in ("data", "base", "rag") or not recipe.is_base_local:
        return {}
    folder = Path(str(recipe.base_model))
    if not folder.is_dir():
        found = f"base_model `{recipe.base_model}`: no such folder"
        raise UserError(Problem(recipe.path.name, found, "a model folder, or a name on the hub"))
    return {"base_model": model_digest(folder, run.root.parent)}
