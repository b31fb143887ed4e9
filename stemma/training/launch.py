"""The launcher: runs Axolotl as a child process and believes its completion marker alone.

And the marker only with exit code 0; the exit code says little, since Axolotl exits with 0 on
Ctrl-C and on NaN, too.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from stemma.digests import digest_json
from stemma.errors import Problem, StageFailed, UserError
from stemma.jsonl import read_json, write_json
from stemma.processes import child_environment, die_with_parent, end_survivors, last_lines
from stemma.training.checkpoints import binding_of, last_good, set_aside_unusable
from stemma.training.cluster import Cluster, interface_towards, read_cluster
from stemma.training.completion import (
    COMPLETED,
    FAILURE,
    Completed,
    read_completed,
    read_failure,
)
from stemma.training.foreign_plugins import foreign
from stemma.training.precision import cpu_has_bfloat16, settle

INVITATION = "invitation.json"
RAYS_OWN = ("GPUS", "NNODES")
TENSORBOARD = "tensorboard"
LOG = "axolotl.log"
LOG_LINES = 25
"""Of the end of the log, in the error message of a failed training."""

FIGURE = re.compile(r"'(loss|eval_loss|(?:eval_)?rewards/(?:accuracies|margins)|epoch)': '([^']+)'")
"""What of the trainer's log is also said to the user."""

Say = Callable[[str], None]


def train(config: dict[str, Any], file: Path, cluster: Cluster, say: Say) -> Completed:
    """Run `axolotl train` on `file` (which holds `config`) to its end; returns its marker.

    Over several machines this is machine 0, which invites the others (`join`). Raises UserError, or
    StageFailed with the reason.
    """
    output = Path(config["output_dir"])
    log = file.parent / LOG
    binding = binding_of(config)
    if (marker := read_completed(output, binding)) is not None:
        return marker
    command = _command(file, config, cluster)
    for line in prepare(config, binding, cluster.world_size):
        say(line)
    try:
        with _invitation(file, config, cluster):
            code = _run(command, environment(config, file.parent, cluster), log, say)
    except KeyboardInterrupt:
        say(what_is_kept(output))
        raise
    if code:
        # A rank failed, or what came after the marker did: the next run must not believe it either.
        (output / COMPLETED).unlink(missing_ok=True)
    marker = read_completed(output, binding)
    if marker is None:
        raise StageFailed(failure_reason(output, log, code))
    return marker


def what_is_kept(output: Path) -> str:
    """What an interrupted training goes on from."""
    good = last_good(output)
    if good is None:
        return "interrupted before its first checkpoint: nothing of this training is kept"
    return f"interrupted: it goes on from its checkpoint of step {good[1]:,}"


def join(folder: Path, cluster: Cluster, say: Say) -> None:
    """Take part, as a machine other than the first, in the training machine 0 has invited to.

    Raises StageFailed, or UserError where the two machines do not mean the same cluster.
    """
    invited = read_json(folder / INVITATION)
    if (invited["nodes"], invited["master"]) != (cluster.nodes, cluster.master):
        here = f"NNODES={cluster.nodes} MASTER={cluster.master}"
        found = f"{here}, but machine 0 says {invited['nodes']} at {invited['master']}"
        raise UserError(Problem("NNODES, MASTER", found, "the same on all machines"))
    config = invited["config"]
    output = Path(config["output_dir"])
    log = folder / f"axolotl.node{cluster.node}.log"
    command = _command(folder / "axolotl.yml", config, cluster)
    code = _run(command, environment(config, folder, cluster), log, say)
    if code or not (output / COMPLETED).is_file():
        raise StageFailed(failure_reason(output, log, code))


def cluster_for(config: dict[str, Any]) -> Cluster:
    """This machine's part in the training.

    `GPUS` processes, or one for each visible GPU, or one. Under Ray Train as many workers as the
    recipe says, wherever Ray puts them. Raises UserError.
    """
    import torch

    if not config.get("use_ray"):
        return read_cluster(os.environ, torch.cuda.device_count())
    problems = [
        Problem(name, "set, with `use_ray: true`", "`ray_num_workers` in the recipe")
        for name in RAYS_OWN
        if name in os.environ
    ]
    if find_spec("ray") is None:
        hint = ".venv/bin/pip install -c constraints.txt -e '.[ray]'"
        expected = "Ray Train on every machine"
        problems.append(Problem("use_ray: true", "Ray is not installed", expected, hint))
    if problems:
        raise UserError(problems)
    return Cluster(processes=config.get("ray_num_workers", 1))


def precision_for(config: dict[str, Any]) -> dict[str, bool]:
    """The keys that say what `bf16: auto` comes to here.

    They stand in Axolotl's file, so that a checkpoint is not resumed in another precision.
    """
    import torch

    return settle(config, torch.cuda.is_available(), cpu_has_bfloat16())


@contextmanager
def _invitation(file: Path, config: dict[str, Any], cluster: Cluster) -> Iterator[None]:
    """Tell the other machines what to join, for as long as machine 0 trains."""
    path = file.parent / INVITATION
    if cluster.nodes > 1:
        write_json(path, {"nodes": cluster.nodes, "master": cluster.master, "config": config})
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def _command(file: Path, config: dict[str, Any], cluster: Cluster) -> list[str]:
    """The command that starts the training.

    Raises UserError where a plugin would take part that nobody named, or where ranks would train
    apart.
    """
    if problems := foreign():
        raise UserError(problems)
    axolotl = [str(Path(sys.executable).with_name("axolotl")), "train", str(file)]
    if config.get("use_ray"):
        return [*axolotl, "--use-ray"]  # the key alone would start a launcher as well
    if config.get("deepspeed"):
        meeting = digest_json(config)[:16]
        return [*axolotl, "--launcher", "torchrun", "--", *cluster.torchrun(meeting)]
    if cluster.world_size > 1:
        found = f"{cluster.world_size} training processes without `deepspeed`"
        reason = "on CPUs they would share out the rows and never exchange gradients, silently"
        hint = f"{reason}; set `deepspeed: deepspeed/zero1.json` in the recipe"
        raise UserError(Problem(str(file), found, "DeepSpeed, or one process", hint))
    return [*axolotl, "--launcher", "python"]


def prepare(config: dict[str, Any], binding: str, processes: int) -> list[str]:
    """Put right what a killed attempt left; returns what to tell of it.

    Prepared data is made anew: a kill while preparing leaves a folder that Axolotl would trust.
    """
    output = Path(config["output_dir"])
    shutil.rmtree(config["dataset_prepared_path"], ignore_errors=True)
    for name in (FAILURE, COMPLETED):
        (output / name).unlink(missing_ok=True)
    return set_aside_unusable(output, binding, processes)


def _run(command: list[str], variables: dict[str, str], log_path: Path, say: Say) -> int:
    """Run the launcher; returns its exit code.

    All output goes to the log; the lines with the loss are also said.
    """
    with log_path.open("w", encoding="utf-8") as log:
        launcher = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=variables,
            # No other thread runs yet, and it must be set before the exec.
            preexec_fn=die_with_parent,  # noqa: PLW1509
        )
        # A killed launcher leaves ranks behind, in sessions of their own: they hold the pipe, so
        # that reading from it would not end, and the stage's folder.
        watch = threading.Thread(target=_end_with, args=[launcher])
        watch.start()
        try:
            assert launcher.stdout is not None
            for line in launcher.stdout:
                log.write(line)
                log.flush()
                if figures := FIGURE.findall(line):
                    say("  ".join(f"{name} {value}" for name, value in figures))
            return launcher.wait()
        finally:
            launcher.terminate()
            watch.join()


def _end_with(launcher: subprocess.Popen[str]) -> None:
    launcher.wait()
    end_survivors()


def environment(config: dict[str, Any], folder: Path, cluster: Cluster) -> dict[str, str]:
    """The variables of a training whose stage's folder is `folder`.

    Weights & Biases is off unless the recipe names a project; its key stays a variable.
    """
    variables = child_environment()
    variables.pop("ACCELERATE_USE_CPU", None)  # it switches DeepSpeed off, silently
    if config.get("wandb_project") or config.get("use_wandb"):
        variables["WANDB_DIR"] = str(folder)
    else:
        variables["WANDB_MODE"] = "disabled"
    if config.get("use_tensorboard"):
        variables["TENSORBOARD_LOGGING_DIR"] = str(folder / TENSORBOARD)
    interface = interface_towards(cluster.master) if cluster.nodes > 1 else None
    if interface:
        # Left alone, gloo takes the address of the machine's own name: often 127.0.0.1, where no
        # other machine finds it. A user who knows better has set the variable.
        variables.setdefault("GLOO_SOCKET_IFNAME", interface)
    variables["HF_DATASETS_CACHE"] = str(folder / "prepared" / f"cache-{cluster.node}")
    variables["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{variables['PATH']}"
    # A trainer that is still starting when this process is killed must know whose it is.
    variables["STEMMA_PID"] = str(os.getpid())
    return variables


def failure_reason(output: Path, log: Path, code: int) -> str:
    """The reason of a training's failure: the trainer's own word, or the end of its log."""
    failure = read_failure(output)
    if failure is None:
        tail = last_lines(log.read_text(encoding="utf-8"), LOG_LINES)
        return f"axolotl ended (exit code {code}) without completing; the end of {log}:\n{tail}"
    good = last_good(output)
    left = "there is no good checkpoint"
    if good:
        left = f"the last good checkpoint is {good[0]} (step {good[1]})"
    return f"training stopped: {failure.reason}; {left}; lower learning_rate or look at {log}"
