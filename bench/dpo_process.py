"""A contestant of `bench.dpo` in a process of its own.

TRL may be another there, and its memory is its own.

The process makes its trainer, prints what that took, and then does what its input says, a line of
JSON each: `loss` with the numbers of rows, `train` with the number of a batch of its own, `memory`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from bench import newest_trl
from bench.dpo_setting import LOSS_ONLY, Setting, Switches, loss_step, padding_share, train_step
from bench.gpu.device import FIGURE, print_figures
from stemma import ROOT
from stemma.errors import StageFailed

SIZES = ("hidden", "layers", "rows", "vocabulary")
"""The parts of a setting that the command line tells."""
AT_ONCE = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "0"}
"""Freed memory goes back at once: what is resident is in use."""


class Contestant:
    """The process from outside. `first` is what it printed when its trainer was ready."""

    def __init__(
        self, kind: str, setting: Setting, switches: Switches = LOSS_ONLY, **variables: str
    ) -> None:
        self.kind = kind
        newest = newest_trl.interpreter() if kind == newest_trl.NAME else None
        sizes = [f"--{name}={getattr(setting, name)}" for name in SIZES]
        chosen = [f"--{name}" for name, on in asdict(switches).items() if on]
        command = [
            str(newest or sys.executable),
            "-m",
            "bench.dpo_process",
            "trl" if newest else kind,
        ]
        self.process = subprocess.Popen(
            [*command, *sizes, *chosen],
            cwd=ROOT,
            env=os.environ | variables,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.first = self._answer()

    def ask(self, do: str, *numbers: int) -> dict[str, Any]:
        assert self.process.stdin
        self.process.stdin.write(json.dumps({"do": do, "numbers": numbers}) + "\n")
        self.process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        """The next figures; what an engine prints between them is passed over."""
        assert self.process.stdout
        for line in self.process.stdout:
            if line.startswith(FIGURE):
                found: dict[str, Any] = json.loads(line)
                return found
        raise StageFailed(f"{self.kind} ended with exit code {self.process.wait()}")

    def __enter__(self) -> Contestant:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.communicate()  # its input ends, and so does it


def cpu_seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    start = time.process_time()
    found = work()
    return time.process_time() - start, found


def extra_bytes(trainer: Any) -> int:
    """How far this process's resident memory rises in one loss step above what it held before."""
    batch = max(trainer.get_train_dataloader(), key=lambda batch: batch["input_ids"].numel())
    loss_step(trainer, batch)  # what is loaded or compiled once is no part of a step
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak starts anew
    before = _resident("VmRSS")
    loss_step(trainer, batch)
    return _resident("VmHWM") - before


def _resident(name: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


def serve(kind: str, setting: Setting, switches: Switches) -> None:
    from bench.dpo_trainers import make_trainer

    building, trainer = cpu_seconds(lambda: make_trainer(kind, setting, switches))
    batches = list(trainer.get_train_dataloader())
    print_figures("dpo", building=building, batches=len(batches), padding=padding_share(batches))
    for line in sys.stdin:
        command = json.loads(line)
        if command["do"] == "memory":
            print_figures("dpo", extra_bytes=extra_bytes(trainer))
        else:
            work = _work(trainer, batches, command["do"], command["numbers"])
            seconds, loss = cpu_seconds(work)
            print_figures("dpo", cpu_seconds=seconds, loss=loss)


def _work(
    trainer: Any, batches: Sequence[Any], do: str, numbers: Sequence[int]
) -> Callable[[], float]:
    if do == "train":
        return lambda: train_step(trainer, batches[numbers[0]])
    batch = trainer._prepare_inputs(
        trainer.data_collator([trainer.train_dataset[row] for row in numbers])
    )
    return lambda: loss_step(trainer, batch)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("kind")
    for name in SIZES:
        parser.add_argument(f"--{name}", type=int, default=getattr(Setting(), name))
    for field in fields(Switches):
        parser.add_argument(f"--{field.name}", action="store_true")
    given = vars(parser.parse_args())
    switches = Switches(**{field.name: given[field.name] for field in fields(Switches)})
    serve(given["kind"], Setting(**{name: given[name] for name in SIZES}), switches)


if __name__ == "__main__":
    main()
