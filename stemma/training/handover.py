"""The hand-over of a finished training: adapter, history, logs, and the proof of DeepSpeed."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from stemma.digests import digest_json, digests_of_weights
from stemma.errors import StageFailed
from stemma.facts import Trainable, TrainingFacts
from stemma.files import new_folder, write_text
from stemma.jsonl import read_json, write_json, write_jsonl
from stemma.stages import Work
from stemma.training.checkpoints import ASIDE, PREFIX, optimizer_states
from stemma.training.completion import Completed
from stemma.training.launch import TENSORBOARD
from stemma.training.pitfalls import rows_a_step

PROOF = "deepspeed.json"
ADAPTER = "adapter_model.safetensors"
SETTINGS = "adapter_config.json"


def training_record(
    start: str, marker: Completed, config: dict[str, Any], processes: int
) -> TrainingFacts:
    """A training as its manifest tells it. `start`: in words, the weights it started from."""
    return TrainingFacts(
        start=start,
        trainable=Trainable(
            trainable_parameters=marker.trainable_parameters,
            parameters=marker.parameters,
            share=marker.trainable_parameters / marker.parameters,
        ),
        computed_in=marker.dtype,
        peak_memory=marker.peak_memory,
        steps=marker.steps,
        processes=processes,
        rows_a_step=rows_a_step(config, processes),
        trainer=marker.trainer,
        plugins=marker.plugins,
        deepspeed=deepspeed_proof(config),
    )


def hand_over_adapter(work: Work, start: Path, config: dict[str, Any]) -> Path:
    """Copy the adapter, with the digest of its base and without this machine's paths."""
    output = Path(config["output_dir"])
    base = work.recipe.stage(work.stage).start_from
    name_on_hub = work.recipe.base_name if base == "base" else None
    settings = read_json(output / SETTINGS)
    modules = settings["target_modules"]
    if not isinstance(modules, str):  # a regular expression stays one
        # PEFT writes them in the order of a set, another one each run: equal adapters must have
        # equal digests.
        settings["target_modules"] = sorted(modules)
    name_here = f"{work.recipe.name}/{base}/merged"
    settings["base_model_name_or_path"] = name_on_hub or name_here
    adapter = work.folder / "adapter"
    with new_folder(adapter) as part:
        shutil.copyfile(output / ADAPTER, part / ADAPTER)
        write_json(part / SETTINGS, settings)
        write_text(part / "base.sha256", weights_digest(start) + "\n")
    return adapter


def weights_digest(folder: Path) -> str:
    """One digest of all weights files of a model folder."""
    return digest_json(digests_of_weights(folder))


def write_history(work: Work, marker: Completed) -> None:
    """Write the trainer's log of the whole run, one row a logged step.

    Without `train_loss`: a resumed run divides the losses since then by all steps.
    """
    rows = (
        {name: value for name, value in row.items() if name != "train_loss"}
        for row in marker.history
    )
    write_jsonl(work.folder / "history.jsonl", rows)


def logs(config: dict[str, Any]) -> dict[str, str]:
    """The logs the recipe asked for, as outputs."""
    return {TENSORBOARD: TENSORBOARD} if config.get("use_tensorboard") else {}


def deepspeed_proof(config: dict[str, Any]) -> str:
    """The file of DeepSpeed's own optimizer state, written down before checkpoints go.

    Raises StageFailed where the recipe asks for DeepSpeed and there is none.
    """
    if not config.get("deepspeed"):
        return "not asked for"
    output = Path(config["output_dir"])
    if not (output / PROOF).is_file():
        found = optimizer_states(output)
        if not found:
            where = f"no checkpoint in {output} holds its optimizer state"
            raise StageFailed(f"the recipe asks for DeepSpeed, but {where}")
        write_json(output / PROOF, found[-1])
    return str(read_json(output / PROOF))


def trim(config: dict[str, Any]) -> None:
    """Remove what only resuming needed, and the full model DPO leaves beside its adapter."""
    output = Path(config["output_dir"])
    prepared = Path(config["dataset_prepared_path"])
    for folder in (*output.glob(f"{PREFIX}*"), output / ASIDE, prepared):
        shutil.rmtree(folder, ignore_errors=True)
    (output / "model.safetensors").unlink(missing_ok=True)
