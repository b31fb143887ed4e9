"""Killed at any moment, the same command resumes and ends the same (slow).

With real Axolotl, DeepSpeed and `kill -9`.

A training of 30 steps with a checkpoint every 3 is killed three times (under ZeRO-2 and 3, and in
bf16, once), each time at another place after a few steps drawn by a fixed seed, and given again. On
one rank and on two, in fp32 (DPO once in bf16) with one thread each, adapter and losses equal bit
by bit those of a training that was never stopped.
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
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from stemma import ROOT
from stemma.jsonl import read_dicts, read_json
from stemma.runs import Run
from stemma.training.checkpoints import checkpoints, last_good, read_seal
from stemma.training.completion import COMPLETED
from tests.conftest import Write
from tests.factories.recipes import LORA
from tests.training.commands import below

STEPS, EVERY, KEPT = 30, 3, 2
SETTINGS: dict[str, Any] = {
    "train.max_steps": STEPS,
    "train.num_epochs": 9,
    "train.save_steps": EVERY,
    "train.warmup_steps": 2,
    "train.save_total_limit": KEPT,
    "dpo.start_from": "base",
}

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
            SETTINGS
            | {"train.micro_batch_size": 4 // ranks}
            | {k.replace("__", "."): v for k, v in settings.items()}
        )
        overrides = [part for key, value in given.items() for part in ("--set", f"{key}={value}")]
        log_of(runs, stage).unlink(missing_ok=True)
        command = [
            sys.executable,
            "-m",
            "stemma",
            stage,
            str(self.recipe),
            "--runs",
            str(runs),
            *overrides,
        ]
        variables = os.environ | {"OMP_NUM_THREADS": "1", "GPUS": str(ranks)}
        return subprocess.Popen(
            command,
            cwd=ROOT,
            env=variables,
            text=True,
            start_new_session=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

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


def log_of(runs: Path, stage: str) -> Path:
    return runs / "small" / stage / "axolotl.log"


def result(runs: Path, stage: str) -> tuple[dict[str, list[float]], list[dict[str, float]]]:
    """The adapter's every number, and the log without its clocks.

    And without what each attempt tells of itself: counts that begin anew, and that its reference is
    the precomputed one.
    """
    found = Run(runs / "small")
    tensors = load_file(found.output(stage, "adapter") / "adapter_model.safetensors")
    rows = [
        {k: v for k, v in row.items() if not re.search("runtime|per_second|memory|tokens|apart", k)}
        for row in read_dicts(found.output(stage, "history"))
    ]
    return {name: tensor.flatten().tolist() for name, tensor in tensors.items()}, rows


def wait_for(steps: int, runs: Path, stage: str, process: subprocess.Popen[str]) -> None:
    """Until this attempt has logged so many optimizer steps."""
    log = log_of(runs, stage)
    deadline = time.monotonic() + 300
    while not log.is_file() or log.read_text(errors="replace").count("'loss': ") < steps:
        assert process.poll() is None, process.communicate()[1][-3000:]
        assert time.monotonic() < deadline
        time.sleep(0.01)


def launcher_of(process: subprocess.Popen[str]) -> int:
    return next(pid for pid, command in below(process.pid) if "torchrun" in command)


def pids(process: subprocess.Popen[str], what: str) -> list[int]:
    """A rank, the launcher, or everything from Stemma down."""
    launcher = launcher_of(process)
    ranks = [pid for pid, command in below(launcher) if "axolotl.cli.train" in command]
    everything = [process.pid, *(pid for pid, _ in below(process.pid))]
    return {
        "a rank": ranks[-1:],
        "the launcher": [launcher],
        "everything": everything,
        "Stemma": [process.pid],
    }[what]


def kill(process: subprocess.Popen[str], what: str) -> str:
    """`kill -9`; then nothing that was started may be left. Returns what Stemma said."""
    started = [pid for pid, _ in below(process.pid)]
    for pid in pids(process, what):
        os.kill(pid, signal.SIGKILL)
    said = process.communicate(timeout=120)[1]
    assert process.returncode == (-signal.SIGKILL if what in ("everything", "Stemma") else 1), said[
        -3000:
    ]
    wait_until_gone(started)
    return said


def wait_until_gone(started: list[int]) -> None:
    deadline = time.monotonic() + 60
    while left := [pid for pid in started if not is_zombie(pid)]:
        assert time.monotonic() < deadline, f"{left} outlived the kill"
        time.sleep(0.05)


def is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


@pytest.mark.parametrize(
    ("stage", "ranks", "zero", "bf16"),
    [
        ("sft", 1, 1, False),
        ("sft", 2, 1, False),
        ("dpo", 1, 1, False),
        ("dpo", 2, 1, False),
        ("sft", 2, 2, False),
        ("dpo", 2, 3, False),
        ("dpo", 2, 1, True),
    ],
)
def test_killed_it_goes_on_and_ends_the_same(
    bench: Bench, stage: str, ranks: int, zero: int, bf16: bool
) -> None:
    settings = {"train__deepspeed": f"deepspeed/zero{zero}.json", "train__bf16": bf16}
    whole, runs = bench.fresh("whole"), bench.fresh("killed")
    bench.finish(stage, whole, ranks, **settings)
    draw = random.Random(f"{stage} {ranks} {zero}")
    for what in (
        ("a rank", "the launcher", "everything") if (zero, bf16) == (1, False) else ("a rank",)
    ):
        before, steps = last_good(training(runs, stage)), draw.randint(2, 7)
        process = bench.start(stage, runs, ranks, **settings)
        wait_for(steps, runs, stage, process)
        said = kill(process, what)
        good = last_good(training(runs, stage))
        killed = f"kill -9 of {what} {steps} steps after {before}"
        print(f"{stage} on {ranks}, ZeRO-{zero}: {killed}; now {good}")
        assert what == "everything" or "axolotl ended (exit code" in said
        assert good is not None or steps <= EVERY
        assert not (training(runs, stage) / COMPLETED).exists(), (
            "an interrupted training is not a finished one"
        )
        assert Run(runs / "small").read_manifest(stage) is None
        assert_resumed(runs, stage, before)
    bench.finish(stage, runs, ranks, **settings)
    assert_resumed(runs, stage, good)
    assert result(runs, stage) == result(whole, stage)


def assert_resumed(runs: Path, stage: str, good: tuple[Path, int] | None) -> None:
    said = "Using auto-resume functionality to resume from checkpoint at "
    found = re.findall(
        re.escape(said) + r"\S*checkpoint-(\d+)", log_of(runs, stage).read_text(errors="replace")
    )
    assert set(found) == ({str(good[1])} if good else set()), "from the last good checkpoint"


def test_killed_and_moved_it_goes_on_and_ends_the_same(bench: Bench, tmp_path: Path) -> None:
    """Runs and recipe go to another folder; the reference that was computed goes along."""
    whole, runs, stage = bench.fresh("whole"), bench.fresh("killed"), "dpo"
    bench.finish(stage, whole, 1)
    process = bench.start(stage, runs, 1)
    wait_for(2 * EVERY + 1, runs, stage, process)
    kill(process, "everything")
    good = last_good(training(runs, stage))
    assert good is not None
    moved = tmp_path / "another" / "disk"
    moved.mkdir(parents=True)
    runs, bench.recipe = (
        runs.rename(moved / "runs"),
        bench.recipe.parent.rename(moved / "recipes") / bench.recipe.name,
    )
    references = sorted((runs / "references").iterdir())
    said = bench.finish(stage, runs, 1)
    assert "moved to torn/" not in said
    assert_resumed(runs, stage, (training(runs, stage) / good[0].name, good[1]))
    assert sorted((runs / "references").iterdir()) == references, "not computed again"
    assert result(runs, stage) == result(whole, stage)


@pytest.mark.parametrize("what", ["the launcher", "Stemma"])
def test_killed_while_the_ranks_start_nobody_is_left(bench: Bench, what: str) -> None:
    """They import for seconds before they can know of their parent's death."""
    runs = bench.fresh("starting")
    process = bench.start("sft", runs, 2)
    deadline = time.monotonic() + 120
    while sum("axolotl.cli.train" in command for _, command in below(process.pid)) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    kill(process, what)
    assert not list(training(runs, "sft").glob("checkpoint-*"))


@pytest.mark.parametrize(("how", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, -signal.SIGTERM)])
def test_interrupted_by_hand_it_is_not_finished(
    bench: Bench, how: signal.Signals, code: int
) -> None:
    """Ctrl-C reaches the whole group: Axolotl then saves what it has as if final, and exits 0.

    SIGTERM is what a scheduler sends.
    """
    runs = bench.fresh("interrupted")
    process = bench.start("sft", runs, 1)
    wait_for(5, runs, "sft", process)
    started = [pid for pid, _ in below(process.pid)]
    os.killpg(process.pid, how)
    said = process.communicate(timeout=120)[1]
    assert process.returncode == code, said[-2000:]
    wait_until_gone(started)
    assert Run(runs / "small").read_manifest("sft") is None
    assert not (training(runs, "sft") / COMPLETED).exists()
    good = last_good(training(runs, "sft"))
    assert good is not None
    bench.finish("sft", runs, 1)
    assert_resumed(runs, "sft", good)
    assert Run(runs / "small").manifest("sft").facts["steps"] == STEPS


def test_a_torn_checkpoint_rotation_and_another_number_of_processes(bench: Bench) -> None:
    runs, stage = bench.fresh("torn"), "sft"
    process = bench.start(stage, runs, 1)
    wait_for(4 * EVERY + 1, runs, stage, process)
    kill(process, "everything")
    output = training(runs, stage)
    good = [path for path in checkpoints(output) if read_seal(path)]
    assert KEPT <= len(good) <= KEPT + 1, "an older one goes when the next is sealed, not before"
    [states] = good[-1].glob("global_step*/*optim_states.pt")
    states.write_bytes(states.read_bytes()[:-100])

    refused = bench.start(stage, runs, 2, train__micro_batch_size=4)
    said = refused.communicate(timeout=300)[1]
    assert refused.returncode == 2, said
    assert f"{good[0]}: written by 1 process, and this training has 2" in said
    assert "Traceback" not in said

    said = bench.finish(stage, runs, 1)
    assert f"{good[-1].name} is damaged, or not written to its end: moved to torn/" in said
    assert_resumed(runs, stage, (good[-2], int(good[-2].name.removeprefix("checkpoint-"))))
    whole = bench.fresh("whole")
    bench.finish(stage, whole, 1)
    assert result(runs, stage) == result(whole, stage)


def test_the_plugin_guards_a_training_by_hand(bench: Bench) -> None:
    """`axolotl train` on the rendered file, changed since a checkpoint was written; Stemma does not
    take it over."""
    runs = bench.fresh("by-hand")
    process = bench.start("sft", runs, 1)
    wait_for(8, runs, "sft", process)
    kill(process, "everything")
    file = runs / "small" / "sft" / "axolotl.yml"
    text = file.read_text()
    assert "learning_rate: 0.0002" in text
    file.write_text(text.replace("learning_rate: 0.0002", "learning_rate: 0.0001"))
    axolotl = str(Path(sys.executable).with_name("axolotl"))
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    quiet = {
        "AXOLOTL_DO_NOT_TRACK": "1",
        "HF_HUB_OFFLINE": "1",
        "WANDB_MODE": "disabled",
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(
        [
            axolotl,
            "train",
            str(file),
            "--launcher",
            "torchrun",
            "--",
            "--standalone",
            "--nproc_per_node=1",
        ],
        env=os.environ | quiet | {"PATH": path, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (
        "is of another recipe, other data or other weights: moved to torn/"
        in done.stdout + done.stderr
    )
    history = read_json(training(runs, "sft") / "completed.json")["history"]
    assert [row["step"] for row in history if "loss" in row] == list(range(1, STEPS + 1)), (
        "from the first step"
    )

    said = bench.finish("sft", runs, 1)
    assert "is of another recipe, other data or other weights: moved to torn/" in said
    rates = [row["learning_rate"] for row in result(runs, "sft")[1] if "learning_rate" in row]
    assert max(rates) == 2e-4, "the recipe's training, not the one by hand"


@pytest.mark.parametrize("ranks", [1, 2])
def test_a_loss_that_is_no_number_names_the_last_good_checkpoint(bench: Bench, ranks: int) -> None:
    """The rate grows until the weights burst: the checkpoint between that and the first bad loss is
    not good."""
    runs = bench.fresh("nan")
    burst = {
        "sft__learning_rate": "1e18",
        "train__warmup_steps": 20,
        "train__save_steps": 1,
        "train__lr_scheduler": "linear",
    }
    said = []
    for _ in range(
        2
    ):  # the second time it resumes from the last good one, and stops at the same step
        process = bench.start("sft", runs, ranks, **burst)
        said.append(process.communicate(timeout=300)[1])
        assert process.returncode == 1
    # Whichever is first, by torch's order of sums.
    bad = r"(?:loss|gradient) of step (\d+) is (?:nan|inf|not finite)"
    stop = re.compile(bad + r".*; the last good checkpoint is (\S+) \(step (\d+)\)")
    [first, second] = [match.groups() for text in said if (match := stop.search(text))]
    assert first == second
    assert 1 <= int(first[2]) < int(first[0])
    assert last_good(training(runs, "sft")) == (Path(first[1]), int(first[2]))
    assert "Traceback" not in said[0]


def test_early_stopping_goes_on_counting(bench: Bench) -> None:
    """A rate at which no validation loss falls: the first is the best, and the third after it ends
    the training."""
    stops = {"sft__early_stopping_patience": 3, "sft__learning_rate": "1e-30"}
    runs = bench.fresh("early")
    process = bench.start("sft", runs, 1, **stops)
    wait_for(2 * EVERY + 1, runs, "sft", process)
    kill(process, "everything")
    assert last_good(training(runs, "sft")) == (
        training(runs, "sft") / f"checkpoint-{2 * EVERY}",
        2 * EVERY,
    )
    bench.finish("sft", runs, 1, **stops)
    assert Run(runs / "small").manifest("sft").facts["steps"] == 4 * EVERY
    evaluated = [row["step"] for row in result(runs, "sft")[1] if "eval_loss" in row]
    assert evaluated == [0, EVERY, 2 * EVERY, 3 * EVERY, 4 * EVERY], "each once"


def test_two_runs_are_equal_bit_by_bit(bench: Bench) -> None:
    one, other = bench.fresh("one"), bench.fresh("other")
    for runs in (one, other):
        bench.finish("sft", runs, 1)
    assert result(one, "sft") == result(other, "sft")
    reseeded = bench.fresh("reseeded")
    bench.finish("sft", reseeded, 1, seed=7)
    assert result(reseeded, "sft") != result(one, "sft")
