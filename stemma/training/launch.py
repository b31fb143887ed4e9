"""Starts Axolotl as a child process and believes its completion marker only, and that only with exit code 0.

Axolotl exits with 0 on Ctrl-C and on NaN, too.
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

from stemma.errors import Problem, StageFailed, UserError
from stemma.jsonl import read_json, write_json
from stemma.processes import COMPLETED, FAILURE, child_environment, die_with_parent, end_survivors, last_lines
from stemma.runs import digest_json
from stemma.training.checkpoints import binding_of, last_good, put_in_order
from stemma.training.cluster import Cluster, interface_towards, read_cluster
from stemma.training.foreign_plugins import foreign
from stemma.training.precision import cpu_has_bfloat16, settle

INVITATION = "invitation.json"
RAYS_OWN = ("GPUS", "NNODES")
TENSORBOARD = "tensorboard"
LAST_LINES = 25
DEEPSPEED_STATES = ("global_step*/*optim_states.pt", "global_step*/mp_rank_*_model_states.pt")
"""Where DeepSpeed keeps its optimizer's state in a checkpoint: ZeRO-1 to 3, and ZeRO-0."""
_FIGURE = re.compile(r"'(loss|eval_loss|(?:eval_)?rewards/(?:accuracies|margins)|epoch)': '([^']+)'")


def train(config: dict[str, Any], file: Path, cluster: Cluster, say: Callable[[str], None]) -> dict[str, Any]:
    """Run `axolotl train` on `file` (which holds `config`) until its marker says it is complete; returns the marker.

    Over several machines this is machine 0, which invites the others (`join`).
    """
    output, binding = Path(config["output_dir"]), binding_of(config)
    if (marker := completed(output, binding)) is None:
        command = _command(file, config, cluster)
        for line in prepare(config, binding, cluster.world_size):
            say(line)
        with _invitation(file, config, cluster):
            code = _run(command, environment(config, file.parent, cluster), file.parent / "axolotl.log", say)
        if code:
            # Its other ranks, or what came behind the marker, failed: neither now nor by the next run to be believed.
            (output / COMPLETED).unlink(missing_ok=True)
        marker = completed(output, binding)
        if marker is None:
            raise StageFailed(why(output, file.parent / "axolotl.log", code))
    return marker


def completed(output: Path, binding: str) -> dict[str, Any] | None:
    """The marker of a training that came to its end, if it is this one: by hand, another may have run here."""
    marker = read_json(output / COMPLETED) if (output / COMPLETED).is_file() else {}
    return marker if marker.get("binding") == binding else None


def join(folder: Path, cluster: Cluster, say: Callable[[str], None]) -> None:
    """Take part, as a machine other than the first, in the training machine 0 has invited to. Raises StageFailed."""
    invited = read_json(folder / INVITATION)
    if (invited["nodes"], invited["master"]) != (cluster.nodes, cluster.master):
        found = f"NNODES={cluster.nodes} MASTER={cluster.master}, but machine 0 says {invited['nodes']} at "
        raise UserError(Problem("NNODES, MASTER", found + str(invited["master"]), "the same on all machines"))
    config = invited["config"]
    log = folder / f"axolotl.node{cluster.node}.log"
    command = _command(folder / "axolotl.yml", config, cluster)
    code = _run(command, environment(config, folder, cluster), log, say)
    if code or not (Path(config["output_dir"]) / COMPLETED).is_file():
        raise StageFailed(why(Path(config["output_dir"]), log, code))


def cluster_for(config: dict[str, Any]) -> Cluster:
    """This machine's part: `GPUS` processes, or one for each visible GPU, or one; under Ray Train, as many workers as
    the recipe says, wherever Ray puts them. Raises UserError."""
    import torch

    if not config.get("use_ray"):
        return read_cluster(os.environ, torch.cuda.device_count())
    problems = [Problem(name, "set, with `use_ray: true`", "`ray_num_workers` in the recipe") for name in RAYS_OWN]
    problems = [problem for problem in problems if problem.where in os.environ]
    if find_spec("ray") is None:
        hint = ".venv/bin/pip install -c constraints.txt -e '.[ray]'"
        problems.append(Problem("use_ray: true", "Ray is not installed", "Ray Train on every machine", hint))
    if problems:
        raise UserError(problems)
    return Cluster(processes=config.get("ray_num_workers", 1))


def precision_for(config: dict[str, Any]) -> dict[str, bool]:
    """What `bf16: auto` comes to here: said in Axolotl's file, so that a checkpoint is not gone on with in another."""
    import torch

    return settle(config, torch.cuda.is_available(), cpu_has_bfloat16())


@contextmanager
def _invitation(file: Path, config: dict[str, Any], cluster: Cluster) -> Iterator[None]:
    """While machine 0 trains, its stage's folder tells the others what to join."""
    path = file.parent / INVITATION
    if cluster.nodes > 1:
        write_json(path, {"nodes": cluster.nodes, "master": cluster.master, "config": config})
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def _command(file: Path, config: dict[str, Any], cluster: Cluster) -> list[str]:
    """What starts the training. Raises UserError where something would take part that nobody named, or ranks would
    train apart."""
    if problems := foreign():
        raise UserError(problems)
    axolotl = [str(Path(sys.executable).with_name("axolotl")), "train", str(file)]
    if config.get("use_ray"):
        return [*axolotl, "--use-ray"]  # the key alone would start a launcher as well
    if config.get("deepspeed"):
        return [*axolotl, "--launcher", "torchrun", "--", *cluster.torchrun(digest_json(config)[:16])]
    if cluster.world_size > 1:
        found = f"{cluster.world_size} training processes without `deepspeed`"
        reason = "on CPUs they would share out the rows and never exchange gradients, silently"
        hint = f"{reason}; set `deepspeed: deepspeed/zero1.json` in the recipe"
        raise UserError(Problem(str(file), found, "DeepSpeed, or one process", hint))
    return [*axolotl, "--launcher", "python"]


def prepare(config: dict[str, Any], binding: str, processes: int) -> list[str]:
    """What is left of a killed attempt, put right; returns what to tell of it. Prepared data is made anew: a kill while
    preparing leaves a folder Axolotl would trust."""
    output = Path(config["output_dir"])
    shutil.rmtree(config["dataset_prepared_path"], ignore_errors=True)
    for name in (FAILURE, COMPLETED):
        (output / name).unlink(missing_ok=True)
    return put_in_order(output, binding, processes)


def _run(command: list[str], variables: dict[str, str], log_path: Path, say: Callable[[str], None]) -> int:
    """The exit code. All output goes to the log; the lines with the loss are also said."""
    with log_path.open("w", encoding="utf-8") as log:
        child = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=variables,
            preexec_fn=die_with_parent,  # noqa: PLW1509 (no other thread runs here; it must be set before the exec)
        )  # fmt: skip
        # A killed launcher leaves ranks behind, in sessions of their own: they hold the pipe and the stage's folder.
        watch = threading.Thread(target=_end_with, args=[child])
        watch.start()
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
            watch.join()


def _end_with(launcher: subprocess.Popen[str]) -> None:
    launcher.wait()
    end_survivors()


def environment(config: dict[str, Any], folder: Path, cluster: Cluster) -> dict[str, str]:
    """The child's variables. Weights & Biases is off unless the recipe names a project; its key stays a variable."""
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
        # Left alone, gloo takes the address of the machine's own name: often 127.0.0.1, where nobody finds it.
        variables.setdefault("GLOO_SOCKET_IFNAME", interface)
    variables["HF_DATASETS_CACHE"] = str(folder / "prepared" / f"cache-{cluster.node}")
    variables["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{variables['PATH']}"
    variables["STEMMA_PID"] = str(os.getpid())  # a trainer still starting when we are killed must know
    return variables


def why(output: Path, log: Path, code: int) -> str:
    if (output / FAILURE).is_file():
        good = last_good(output)
        left = f"the last good checkpoint is {good[0]} (step {good[1]})" if good else "there is no good checkpoint"
        reason = read_json(output / FAILURE)["reason"]
        return f"training stopped: {reason}; {left}; lower learning_rate or look at {log}"
    tail = last_lines(log.read_text(encoding="utf-8"), LAST_LINES)
    return f"axolotl ended (exit code {code}) without completing; the end of {log}:\n{tail}"
