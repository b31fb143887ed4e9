"""Starts Axolotl as a child process and believes only its completion marker: Axolotl exits 0 on Ctrl-C and on NaN."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from stemma import ROOT
from stemma.child import COMPLETED, FAILURE, die_with_parent
from stemma.errors import StageFailed
from stemma.jsonl import read_json

TENSORBOARD = "tensorboard"
LAST_LINES = 25
DEEPSPEED_STATES = ("global_step*/*optim_states.pt", "global_step*/mp_rank_*_model_states.pt")
"""Where DeepSpeed keeps its optimizer's state in a checkpoint: ZeRO-1 to 3, and ZeRO-0."""
_FIGURE = re.compile(r"'(loss|eval_loss|(?:eval_)?rewards/(?:accuracies|margins)|epoch)': '([^']+)'")


def train(config: dict[str, Any], file: Path, processes: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Run `axolotl train` on `file` (which holds `config`) until its marker says it is complete; returns the marker."""
    output = Path(config["output_dir"])
    marker = output / COMPLETED
    if not marker.is_file():
        prepare(config, output)
        code = _run(_command(file, config, processes), environment(config, file.parent), file.parent, say)
        if not marker.is_file():
            raise StageFailed(why(output, file.parent / "axolotl.log", code))
    return _checked(read_json(marker), config)


def processes() -> int:
    """Training processes on this machine: `GPUS`, or one for each visible GPU, or one."""
    import torch

    return int(os.environ.get("GPUS") or max(1, torch.cuda.device_count()))


def _command(file: Path, config: dict[str, Any], count: int) -> list[str]:
    axolotl = [str(Path(sys.executable).with_name("axolotl")), "train", str(file)]
    if config.get("deepspeed"):
        return [*axolotl, "--launcher", "torchrun", "--", f"--nproc_per_node={count}"]
    if count > 1:
        # Without DeepSpeed, CPU ranks shard the data and never synchronise gradients, silently.
        raise StageFailed(f"{count} training processes need `deepspeed` in the recipe's `train` section")
    return [*axolotl, "--launcher", "python"]


def prepare(config: dict[str, Any], output: Path) -> None:
    """A kill while preparing data leaves a folder Axolotl would trust; one while saving, a checkpoint it would load."""
    shutil.rmtree(config["dataset_prepared_path"], ignore_errors=True)
    (output / FAILURE).unlink(missing_ok=True)
    for checkpoint in output.glob("checkpoint-*"):
        if not is_complete(checkpoint):
            torn = output / "torn" / checkpoint.name
            shutil.rmtree(torn, ignore_errors=True)
            torn.parent.mkdir(exist_ok=True)
            checkpoint.rename(torn)


def is_complete(checkpoint: Path) -> bool:
    """Whether a checkpoint was written to its end: state, weights and optimizer all open."""
    try:
        state = json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))
        weights = list(checkpoint.glob("*.safetensors"))
        for path in weights:
            with safe_open(path, "pt") as file:
                file.keys()
    except (OSError, ValueError, SafetensorError):
        return False
    found = (list(checkpoint.glob(pattern)) for pattern in ("optimizer.pt", *DEEPSPEED_STATES))
    optimizer = next(filter(None, found), [])
    named = checkpoint.name == f"checkpoint-{state['global_step']}"
    return named and bool(weights) and bool(optimizer) and all(zipfile.is_zipfile(path) for path in optimizer)


def _run(command: list[str], variables: dict[str, str], folder: Path, say: Callable[[str], None]) -> int:
    """The exit code. All output goes to axolotl.log; the lines with the loss are also said."""
    with (folder / "axolotl.log").open("w", encoding="utf-8") as log:
        child = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=variables,
            preexec_fn=die_with_parent,  # noqa: PLW1509 (no other thread runs here; it must be set before the exec)
        )  # fmt: skip
        try:
            assert child.stdout is not None
            for line in child.stdout:
                log.write(line)
                log.flush()
                if figures := _FIGURE.findall(line):
                    say("  ".join(f"{name} {value}" for name, value in figures))
            return child.wait()
        finally:
            child.terminate()
            child.wait()


def environment(config: dict[str, Any], folder: Path) -> dict[str, str]:
    """The child's variables. Weights & Biases is off unless the recipe names a project; its key stays a variable."""
    quiet = {"AXOLOTL_DO_NOT_TRACK": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    wandb = config.get("wandb_project") or config.get("use_wandb")
    quiet |= {"WANDB_DIR": str(folder)} if wandb else {"WANDB_MODE": "disabled"}
    if config.get("use_tensorboard"):
        quiet["TENSORBOARD_LOGGING_DIR"] = str(folder / TENSORBOARD)
    binaries = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    caches = {"HF_DATASETS_CACHE": str(folder / "prepared" / "cache")}
    quiet["STEMMA_PID"] = str(os.getpid())  # a trainer still starting when we are killed must know
    return {**os.environ, **quiet, **caches, "HF_HUB_OFFLINE": "1", "PATH": binaries, "PYTHONPATH": str(ROOT)}


def why(output: Path, log: Path, code: int) -> str:
    if (output / FAILURE).is_file():
        return f"training stopped: {read_json(output / FAILURE)['reason']}; lower learning_rate or look at {log}"
    tail = "\n".join(log.read_text(encoding="utf-8").splitlines()[-LAST_LINES:])
    return f"axolotl ended (exit code {code}) without completing; the end of {log}:\n{tail}"


def _checked(marker: dict[str, Any], config: dict[str, Any]) -> dict[str, Any]:
    if marker["not_finite"]:
        first, count = marker["not_finite"][0], len(marker["not_finite"])
        raise StageFailed(f"training left {count} tensors with NaN or infinity, the first: {first}")
    if marker["steps"] < marker["planned_steps"] and not config.get("early_stopping_patience"):
        raise StageFailed(f"training ended at step {marker['steps']} of {marker['planned_steps']}")
    return marker
