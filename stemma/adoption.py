"""Work taken over from another recipe's run, where it is the same."""

from __future__ import annotations

import shutil

from stemma.errors import UserError
from stemma.freshness import holds
from stemma.recipe.models import Recipe
from stemma.runs import MANIFEST, Run, write_manifest
from stemma.workplace import empty


def adopt(run: Run, stage: str, key: str, recipe: Recipe) -> bool:
    """Take over the same work from another recipe's run; whether there was one.

    Ablations share what comes before their difference: `tiny-base-dpo` takes `tiny`'s data and
    base.
    """
    for manifest_path in sorted(run.root.parent.glob(f"*/{stage}/{MANIFEST}")):
        donor = Run(manifest_path.parent.parent)
        if donor.root == run.root or not _is_donor(donor, stage, key):
            continue
        folder = run.folder(stage)
        empty(folder)
        left_out = shutil.ignore_patterns(MANIFEST, ".*")
        shutil.copytree(donor.folder(stage), folder, dirs_exist_ok=True, ignore=left_out)
        taken_over = {"recipe": recipe.name, "reused_from": donor.root.name}
        write_manifest(run, donor.manifest(stage).model_copy(update=taken_over))
        return True
    return False


def _is_donor(run: Run, stage: str, key: str) -> bool:
    try:
        return holds(run, stage, key)
    except UserError:  # its manifest is damaged: that run's trouble, not ours
        return False
