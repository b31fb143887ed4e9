"""The folder of a stage's merged weights: made here, a local one, or fetched from the hub."""

from __future__ import annotations

from pathlib import Path

from stemma.base_model.folder import refuse_unfit
from stemma.errors import Problem, UserError
from stemma.hub import hub_problem
from stemma.identity import MODEL_FILES
from stemma.jsonl import read_json
from stemma.stages import Work

NEEDED = ("config.json", "tokenizer.json", "tokenizer_config.json", "*.safetensors")


def weights_of(work: Work, stage: str) -> Path:
    """The folder of `base` or of a training stage.

    Raises UserError when `base_model` is not to be had.
    """
    recipe = work.recipe
    if stage != "base" or recipe.base:
        return work.input(stage, "merged")
    folder = recipe.base_folder or _fetch(work)
    lacking = [name for name in NEEDED if not any(folder.glob(name))]
    if lacking:
        found = f"base_model `{recipe.base_model}`: {folder} has no {', no '.join(lacking)}"
        raise UserError(Problem(recipe.path.name, found, "a model folder as transformers saves it"))
    refuse_unfit(folder)
    return folder


def attention_of(folder: Path) -> str:
    """The implementation of attention that a model needs.

    transformers' sdpa silently leaves out the cap on scores that Gemma 2 has.
    """
    return "eager" if read_json(folder / "config.json").get("attn_logit_softcapping") else "sdpa"


def _fetch(work: Work) -> Path:
    from huggingface_hub import snapshot_download

    name = str(work.recipe.base_model)
    try:
        return Path(
            snapshot_download(name, revision=work.recipe.base_revision, allow_patterns=MODEL_FILES)
        )
    except (OSError, ValueError) as error:  # the hub's own errors derive from these
        problem = hub_problem(work.recipe.path.name, "base_model", name, error)
        raise UserError(problem) from None
