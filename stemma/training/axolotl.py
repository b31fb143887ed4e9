"""A recipe's training stage as an Axolotl config: pure, so that `stemma show` prints it before any data exists."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stemma.recipe.models import Recipe
from stemma.recipe.sections import AnswerStage, PreferenceStage
from stemma.runs import Run

REFERENCES = "references"
"""Beside the run folders."""
PLUGIN, LIGER = "stemma.plugin.StemmaPlugin", "axolotl.integrations.liger.LigerPlugin"
"""Axolotl drops Liger's keys silently unless its plugin is named: it is, where a stage sets one."""

DPO_FIELDS = {
    "field_prompt": "prompt",
    "field_chosen": "chosen",
    "field_rejected": "rejected",
    "prompt_format": "{prompt}",
    "chosen_format": "{chosen}",
    "rejected_format": "{rejected}",
}


@dataclass(frozen=True)
class Paths:
    """Where a stage's weights and data lie. `validation` is None when there is nothing to validate on."""

    start: Path
    train: Path
    validation: Path | None
    prepared: Path
    output: Path
    references: Path
    """What DPO's reference says of whole data sets, by content: for every recipe and every trial of a search."""

    @classmethod
    def planned(cls, run: Run, recipe: Recipe, stage: str) -> Paths:
        """The paths a stage will use; data files get their content's digest into the name when they are written."""
        folder = run.folder(stage)
        start = run.folder("base") / "init" if stage == "base" else start_folder(run, recipe, stage)
        validation = None if stage == "base" else folder / "input" / "validation.jsonl"
        train, references = folder / "input" / "train.jsonl", run.root.parent / REFERENCES
        return cls(start, train, validation, folder / "prepared", folder / "training", references)


def start_folder(run: Run, recipe: Recipe, stage: str) -> Path:
    """The folder whose weights a LoRA stage trains on (for a hub model: its name)."""
    start = recipe.stage(stage).start_from
    if start == "base" and recipe.base_model is not None:
        return Path(recipe.base_model)
    return run.folder(start) / "merged"


def render(recipe: Recipe, stage: str, paths: Paths, stop: str = "<eos>", pad: str = "") -> dict[str, Any]:
    """The whole Axolotl config of one stage. `stop` is the template's stop token; `pad` for a model without its own."""
    keys = recipe.training_settings(stage)
    if keys.get("deepspeed"):
        keys["deepspeed"] = str((recipe.path.parent / keys["deepspeed"]).resolve())
    if paths.validation is None:
        keys.pop("eval_steps", None)
    elif not {"eval_steps", "evals_per_epoch", "eval_strategy"} & keys.keys():
        keys["eval_steps"] = keys["save_steps"]
    tokens = ({"eos_token": stop} if stop != "<eos>" else {}) | ({"pad_token": pad} if pad else {})
    if tokens:
        keys["special_tokens"] = tokens
    return {
        "base_model": str(paths.start),
        "plugins": [PLUGIN, *([LIGER] if any(keys[key] for key in keys if key.startswith("liger_")) else [])],
        "datasets": [_dataset(paths.train, keys)],
        **({"test_datasets": [_dataset(paths.validation, keys) | {"split": "train"}]} if paths.validation else {}),
        "dataset_prepared_path": str(paths.prepared),
        "output_dir": str(paths.output),
        "seed": recipe.seed,
        "auto_resume_from_checkpoints": True,
        **_trainer(recipe, stage, paths.references),
        **keys,
    }


def _trainer(recipe: Recipe, stage: str, references: Path) -> dict[str, Any]:
    """The keys by which the plugin puts its own DPO trainer, and its own mean of losses, in place of Axolotl's."""
    section = recipe.stage(stage) if stage != "base" else None
    if isinstance(section, PreferenceStage):
        ours = {} if isinstance(section.trainer, str) else {"stemma_dpo": section.trainer.model_dump()}
        return ours | ({"stemma_references": str(references)} if ours else {})
    return {"stemma_loss_average": section.loss_average if isinstance(section, AnswerStage) else "step"}


def _dataset(path: Path, keys: dict[str, Any]) -> dict[str, Any]:
    kind: Any = dict(DPO_FIELDS) if keys.get("rl") else "input_output"
    return {"path": str(path), "ds_type": "json", "split": "train", "type": kind}
