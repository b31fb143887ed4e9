"""A recipe's training stage as an Axolotl config. Pure: `show` prints it before any data exists."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stemma.recipe.models import Recipe
from stemma.recipe.sections import AnswerStage, PreferenceStage
from stemma.runs import Run

REFERENCES = "references"
"""The folder, beside the run folders, of precomputed references."""
PLUGIN = "stemma.plugin.StemmaPlugin"
LIGER = "axolotl.integrations.liger.LigerPlugin"
"""Axolotl drops Liger's keys silently unless its plugin is named: it is, where a stage sets one."""
EVALUATIONS = ("eval_steps", "evals_per_epoch", "eval_strategy")
"""Keys by which a stage says when it is evaluated while it trains."""

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
    """The places of a stage's weights and data."""

    start: Path
    """The model it starts from."""
    train: Path
    validation: Path | None
    """None when there is nothing to validate on."""
    prepared: Path
    """Axolotl's cache of tokenized rows."""
    output: Path
    references: Path
    """What DPO's reference says of whole data sets, by content.

    Every recipe and every trial of a search shares it.
    """

    @classmethod
    def planned(cls, run: Run, recipe: Recipe, stage: str) -> Paths:
        """The paths a stage will use.

        Data files get their content's digest into the name when they are written.
        """
        folder = run.folder(stage)
        is_base = stage == "base"
        return cls(
            start=folder / "init" if is_base else start_folder(run, recipe, stage),
            train=folder / "input" / "train.jsonl",
            validation=None if is_base else folder / "input" / "validation.jsonl",
            prepared=folder / "prepared",
            output=folder / "training",
            references=run.root.parent / REFERENCES,
        )


def start_folder(run: Run, recipe: Recipe, stage: str) -> Path:
    """The folder whose weights a LoRA stage trains on (for a hub model: its name)."""
    start = recipe.stage(stage).start_from
    if start == "base" and recipe.base_model is not None:
        return Path(recipe.base_model)
    return run.folder(start) / "merged"


def render(
    recipe: Recipe, stage: str, paths: Paths, stop: str = "<eos>", pad: str = ""
) -> dict[str, Any]:
    """The whole Axolotl config of one stage.

    `stop` is the template's stop token; `pad` the padding token for a model without its own.
    """
    keys = recipe.training_settings(stage)
    if keys.get("deepspeed"):
        keys["deepspeed"] = str((recipe.path.parent / keys["deepspeed"]).resolve())
    if paths.validation is None:
        keys.pop("eval_steps", None)
    elif not any(name in keys for name in EVALUATIONS):
        keys["eval_steps"] = keys["save_steps"]
    tokens = _special_tokens(stop, pad)
    if tokens:
        keys["special_tokens"] = tokens
    uses_liger = any(value for name, value in keys.items() if name.startswith("liger_"))
    config: dict[str, Any] = {
        "base_model": str(paths.start),
        "plugins": [PLUGIN, LIGER] if uses_liger else [PLUGIN],
        "datasets": [_dataset(paths.train, keys)],
    }
    if paths.validation:
        config["test_datasets"] = [_dataset(paths.validation, keys) | {"split": "train"}]
    return {
        **config,
        "dataset_prepared_path": str(paths.prepared),
        "output_dir": str(paths.output),
        "seed": recipe.seed,
        "auto_resume_from_checkpoints": True,
        **_trainer(recipe, stage, paths.references),
        **keys,
    }


def _special_tokens(stop: str, pad: str) -> dict[str, str]:
    tokens = {}
    if stop != "<eos>":
        tokens["eos_token"] = stop
    if pad:
        tokens["pad_token"] = pad
    return tokens


def _trainer(recipe: Recipe, stage: str, references: Path) -> dict[str, Any]:
    """The plugin's own keys: its DPO trainer, or its mean of losses, in place of Axolotl's."""
    section = recipe.stage(stage) if stage != "base" else None
    if isinstance(section, PreferenceStage):
        if isinstance(section.trainer, str):  # Axolotl's own
            return {}
        options = section.trainer.model_dump()
        return {"stemma_dpo": options, "stemma_references": str(references)}
    average = section.loss_average if isinstance(section, AnswerStage) else "step"
    return {"stemma_loss_average": average}


def _dataset(path: Path, keys: dict[str, Any]) -> dict[str, Any]:
    kind: Any = dict(DPO_FIELDS) if keys.get("rl") else "input_output"
    return {"path": str(path), "ds_type": "json", "split": "train", "type": kind}
