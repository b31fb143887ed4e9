"""Killed at any moment, the same command goes on and ends the same: real Axolotl, DeepSpeed and `kill -9` (slow).

Each case trains 24 steps with a checkpoint every 3, is killed at a step drawn by a fixed seed, and is given again. On
one rank and on two, in fp32 with one thread each, the adapter and the losses equal bit by bit those of a training that
was never stopped.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from stemma import ROOT
from stemma.checkpoints import SEAL, checkpoints, last_good
from stemma.jsonl import read_dicts, read_json
from stemma.runs import Run
from tests.conftest import Write
from tests.test_train import LORA, run

__all__ = ["run"]  # the fixture: a run whose `data` and `base` are done

STEPS, EVERY = 24, 3
SETTINGS = {"train.max_steps": STEPS, "train.num_epochs": 9, "train.save_steps": EVERY, "train.warmup_steps": 2}

pytestmark = pytest.mark.slow


class Bench:
    """A recipe, and folders of runs that all begin with the same finished data and base."""

    def __init__(self, recipe: Path, runs: Path) -> None:
        self.recipe, self.runs = recipe, runs
        self.kept = runs.with_name("kept")
        shutil.copytree(runs, self.kept)

    def fresh(self, name: str) -> Path:
        return Path(shutil.copytree(self.kept, self.runs.with_name(name)))

    def start(self, stage: str, runs: Path, ranks: int, **settings: Any) -> subprocess.Popen[str]:
        """`python -m stemma STAGE` in a process group of its own."""
        given = (
            SETTINGS | {"train.micro_batch_size": 4 // ranks} | {k.replace("__", "."): v for k, v in settings.items()}
        )
        overrides = [part for key, value in given.items() for part in ("--set", f"{key}={value}")]
        command = [sys.executable, "-m", "stemma", stage, str(self.recipe), "--runs", str(runs), *overrides]
        variables = os.environ | {"OMP_NUM_THREADS": "1", "GPUS": str(ranks)}
        return subprocess.Popen(
            command, cwd=ROOT, env=variables, text=True, start_new_session=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def finish(self, stage: str, runs: Path, ranks: int, **settings: Any) -> str:
        """What it said."""
        process = self.start(stage, runs, ranks, **settings)
        out, said = process.communicate(timeout=500)
        assert process.returncode == 0, said[-3000:]
        assert out.startswith(f"{stage:<7} done")
        return said


@pytest.fixture
def bench(write_recipe: Write, run: Run) -> Bench:
    return Bench(write_recipe(("train:\n  adapter: lora\n  lora_r: 8\n", LORA)), run.root.parent)


def training(runs: Path, stage: str) -> Path:
    return runs / "small" / stage / "training"


def result(runs: Path, stage: str) -> tuple[dict[str, list[float]], list[dict[str, float]]]:
    """The adapter's every number, and the log without its clocks."""
    found = Run(runs / "small")
    tensors = load_file(found.output(stage, "adapter") / "adapter_model.safetensors")
    rows = [{k: v for k, v in row.items() if not re.search("runtime|per_second|memory|tokens", k)}
            for row in read_dicts(found.output(stage, "history"))]  # fmt: skip
    return {name: tensor.flatten().tolist() for name, tensor in tensors.items()}, rows


def wait_for_step(runs: Path, stage: str, step: int, process: subprocess.Popen[str]) -> None:
    """Until the trainer has logged `step` optimizer steps."""
    log = runs / "small" / stage / "axolotl.log"
    deadline = time.monotonic() + 300
    while not log.is_file() or len(re.findall(r"\'loss\': ", log.read_text(errors="replace"))) < step:
        assert process.poll() is None, process.communicate()[1][-3000:]
        assert time.monotonic() < deadline
        time.sleep(0.01)


def below(pid: int) -> Iterator[tuple[int, str]]:
    """All processes under this one, with their command lines."""
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        yield int(child), Path(f"/proc/{child}/cmdline").read_text().replace("\0", " ")
        yield from below(int(child))


def pids(process: subprocess.Popen[str], what: str) -> list[int]:
    """A rank, the launcher, or everything from Stemma down."""
    tree = list(below(process.pid))
    launcher = next(pid for pid, command in tree if "torchrun" in command)
    ranks = [pid for pid, command in below(launcher) if "axolotl.cli.train" in command]
    everything = [process.pid, *(pid for pid, _ in tree)]
    return {"a rank": ranks[-1:], "the launcher": [launcher], "everything": everything, "Stemma": [process.pid]}[what]


def kill(process: subprocess.Popen[str], what: str) -> None:
    """`kill -9`; then nothing that was started may be left."""
    started = [pid for pid, _ in below(process.pid)]
    for pid in pids(process, what):
        os.kill(pid, signal.SIGKILL)
    process.communicate(timeout=120)
    assert process.returncode in (1, -signal.SIGKILL), process.returncode
    deadline = time.monotonic() + 20
    while left := [pid for pid in started if Path(f"/proc/{pid}").exists() and not is_zombie(pid)]:
        assert time.monotonic() < deadline, f"{left} outlived the kill"
        time.sleep(0.05)


def is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize("stage", ["sft", "dpo"])
def test_killed_it_goes_on_and_ends_the_same(bench: Bench, stage: str, ranks: int) -> None:
    if stage == "dpo":
        bench.finish("sft", bench.kept, 1)
    whole = bench.fresh("whole")
    bench.finish(stage, whole, ranks)
    adapter, history = result(whole, stage)
    draw = random.Random(f"{stage} {ranks}")
    for what in ("a rank", "the launcher", "everything", "Stemma"):
        runs, step = bench.fresh(what.replace(" ", "-")), draw.randrange(2, STEPS - 1)
        print(f"{stage} on {ranks}: kill -9 of {what} after step {step}")
        process = bench.start(stage, runs, ranks)
        wait_for_step(runs, stage, step, process)
        kill(process, what)
        assert Run(runs / "small").read_manifest(stage) is None, "an interrupted training is not a finished one"
        assert not (training(runs, stage) / "completed.json").exists()
        good = last_good(training(runs, stage))
        assert (good is not None) or step < 2 * EVERY
        bench.finish(stage, runs, ranks)
        again = (runs / "small" / stage / "axolotl.log").read_text(errors="replace")
        if good:
            assert f"checkpoint-{good[1]}" in again, "it went on from the last good checkpoint"
        assert result(runs, stage) == (adapter, history)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_by_hand_it_is_not_finished(bench: Bench, how: signal.Signals) -> None:
    """Ctrl-C reaches the whole group, and Axolotl then saves what it has and exits 0."""
    runs = bench.fresh("interrupted")
    process = bench.start("sft", runs, 1)
    wait_for_step(runs, "sft", 5, process)
    started = [pid for pid, _ in below(process.pid)]
    os.killpg(process.pid, how)
    process.communicate(timeout=120)
    assert process.returncode == (130 if how == signal.SIGINT else -signal.SIGTERM)
    time.sleep(1)
    assert [pid for pid in started if not is_zombie(pid)] == []
    assert Run(runs / "small").read_manifest("sft") is None
    assert not (training(runs, "sft") / "completed.json").exists()
    bench.finish("sft", runs, 1)
    assert Run(runs / "small").manifest("sft").facts["steps"] == STEPS


def test_a_torn_checkpoint_other_work_and_another_number_of_processes(bench: Bench) -> None:
    runs, stage = bench.fresh("torn"), "sft"
    process = bench.start(stage, runs, 1)
    wait_for_step(runs, stage, 11, process)
    kill(process, "everything")
    output = training(runs, stage)
    good = [path for path in checkpoints(output) if (path / SEAL).is_file()]
    assert len(good) == 2, "older ones were rotated away"
    [states] = good[1].glob("global_step*/*optim_states.pt")
    states.write_bytes(states.read_bytes()[:-100])

    refused = bench.start(stage, runs, 2, train__micro_batch_size=4)
    said = refused.communicate(timeout=300)[1]
    assert refused.returncode == 2, said
    assert f"{good[0]}: written by 1 processes, and this training has 2" in said
    assert "Traceback" not in said

    said = bench.finish(stage, runs, 1)
    assert f"{good[1].name} is not written to its end: moved to torn/" in said
    assert good[0].name in (runs / "small" / stage / "axolotl.log").read_text(errors="replace")
    whole = bench.fresh("whole")
    bench.finish(stage, whole, 1)
    assert result(runs, stage) == result(whole, stage)


def test_the_plugin_guards_a_training_by_hand(bench: Bench) -> None:
    """`axolotl train` on the rendered file, whose folder holds another work's checkpoint."""
    runs = bench.fresh("by-hand")
    process = bench.start("sft", runs, 1)
    wait_for_step(runs, "sft", 8, process)
    kill(process, "everything")
    file = runs / "small" / "sft" / "axolotl.yml"
    file.write_text(file.read_text().replace("learning_rate: 0.0002", "learning_rate: 0.0001")
                    .replace("stemma_binding: ", "stemma_binding: another"))  # fmt: skip
    axolotl = str(Path(sys.executable).with_name("axolotl"))
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    quiet = {"AXOLOTL_DO_NOT_TRACK": "1", "HF_HUB_OFFLINE": "1", "WANDB_MODE": "disabled", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [axolotl, "train", str(file), "--launcher", "torchrun", "--", "--standalone", "--nproc_per_node=1"],
        env=os.environ | quiet | {"PATH": path, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "is of another recipe, other data or other weights: moved to torn/" in done.stdout + done.stderr
    history = read_json(training(runs, "sft") / "completed.json")["history"]
    assert [row["step"] for row in history if "loss" in row] == list(range(1, STEPS + 1)), "from the first step"


@pytest.mark.parametrize("ranks", [1, 2])
def test_a_loss_that_is_no_number_names_the_last_good_checkpoint(bench: Bench, ranks: int) -> None:
    """The rate grows until the weights burst: the checkpoint between that and the first bad loss is not good."""
    runs = bench.fresh("nan")
    burst = {
        "sft__learning_rate": "1e18",
        "train__warmup_steps": 20,
        "train__save_steps": 1,
        "train__lr_scheduler": "linear",
    }
    said = []
    for _ in range(2):  # the second time it goes on from the last good one, and stops at the same step
        process = bench.start("sft", runs, ranks, **burst)
        said.append(process.communicate(timeout=300)[1])
        assert process.returncode == 1
    stop = re.compile(r"the loss of step (\d+) is (?:nan|inf).*; the last good checkpoint is (\S+) \(step (\d+)\)")
    [first, second] = [match.groups() for text in said if (match := stop.search(text))]
    assert first == second
    assert 1 <= int(first[2]) < int(first[0])
    assert last_good(training(runs, "sft")) == (Path(first[1]), int(first[2]))
    assert "Traceback" not in said[0]


def test_two_runs_are_equal_bit_by_bit(bench: Bench) -> None:
    one, other = bench.fresh("one"), bench.fresh("other")
    for runs in (one, other):
        bench.finish("sft", runs, 1)
    assert result(one, "sft") == result(other, "sft")
    reseeded = bench.fresh("reseeded")
    bench.finish("sft", reseeded, 1, seed=7)
    assert result(reseeded, "sft") != result(one, "sft")
