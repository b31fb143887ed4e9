"""The whole GPU bench in one command of under 10 minutes: `python -m bench.gpu` on a machine with one H100 or H200.

Matrix products, DPO (stock Axolotl, TRL, Liger, Stemma), SFT (the recipe's settings and fast ones) on Gemma 2B's shapes
with random weights. Each part is a process with a time limit of its own; one that is cut keeps what it has said.
Prints a JSON object, then Markdown for bench/README.md. `--device cpu --small` tries the very same code without a GPU.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from bench.conditions import conditions
from bench.gpu.needs import parse, require
from bench.gpu.summary import report, summarise
from stemma import ROOT
from stemma.child import die_with_parent
from stemma.errors import UserError

TOTAL_SECONDS = 560
CPU_PATIENCE = 4
"""How many times as long all may take on a CPU, which is there to try the code."""
LAST_LINES = 15


@dataclass(frozen=True)
class Part:
    """`seconds` is its limit on a GPU."""

    name: str
    command: tuple[str, ...]
    seconds: int


PARTS = (
    Part("peak", ("bench.gpu.peak",), 50),
    Part("sft stock", ("bench.gpu.sft", "--kind", "stock"), 90),
    Part("sft fast", ("bench.gpu.sft", "--kind", "fast"), 100),
    Part("dpo", ("bench.gpu.dpo",), 320),
)
"""DPO last and in turns: it is the longest, and a cut costs only its second turn."""


def environment(device: str) -> dict[str, str]:
    """On a CPU Liger's loss would be compiled for minutes. Telemetry is off already, for all benches."""
    found = {**os.environ, "PYTHONPATH": str(ROOT)}
    return found | ({"TORCHDYNAMO_DISABLE": "1"} if device == "cpu" else {})


def run(part: Part, flags: list[str], seconds: float, log: Path) -> tuple[str, str | None]:
    """What the part printed, and why it did not end well, if so."""
    command = [sys.executable, "-m", *part.command, *flags]
    with log.open("w", encoding="utf-8") as output:
        device = flags[flags.index("--device") + 1]
        child = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, env=environment(device), start_new_session=True,
            preexec_fn=die_with_parent,  # noqa: PLW1509 (no other thread runs here; it must be set before the exec)
        )  # fmt: skip
        problem = None
        try:
            code = child.wait(timeout=seconds)
            problem = f"ended with exit code {code}, see {log}" if code else None
        except subprocess.TimeoutExpired:
            problem = f"cut after {seconds:.0f} s"
        finally:
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
    return log.read_text(encoding="utf-8", errors="replace"), problem


def main() -> int:
    arguments = parse(__doc__)
    try:
        require(arguments.device, arguments.small)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    flags = ["--device", arguments.device, *(["--small"] if arguments.small else [])]
    outputs, cut = run_all(flags, Path(tempfile.mkdtemp(prefix="stemma-bench-")))
    print(summed_up(arguments, " ".join(["python -m bench.gpu", *flags]), outputs, cut))
    return 1 if cut else 0


def run_all(flags: list[str], folder: Path) -> tuple[list[str], list[str]]:
    """What the parts printed, and which did not end well, with the reason."""
    patience = CPU_PATIENCE if "cpu" in flags else 1
    ends, outputs, cut = time.monotonic() + TOTAL_SECONDS * patience, [], []
    for part in PARTS:
        started = time.monotonic()
        seconds = min(part.seconds * patience, max(ends - started, 1))
        output, problem = run(part, flags, seconds, folder / f"{part.name}.log")
        outputs.append(output)
        print(f"{part.name}: {problem or 'done'}, {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
        if problem:
            cut.append(f"{part.name} ({problem})")
            print("\n".join(output.splitlines()[-LAST_LINES:]), file=sys.stderr)
    return outputs, cut


def summed_up(arguments: argparse.Namespace, command: str, outputs: list[str], cut: list[str]) -> str:
    from bench.gpu.device import hardware, said
    from bench.gpu.settings import SEED, TURNS, choose

    setting, on_gpu = choose(arguments.device, arguments.small), arguments.device == "cuda"
    sizes = f"DPO: n = {setting.rows} pairs, {setting.pairs} a step, the faster of {TURNS} turns; seed {SEED}"
    context = conditions(command, hardware(arguments.device), sizes)
    found = summarise([figures for output in outputs for figures in said(output)], context, cut, on_gpu)
    return f"{json.dumps(found, indent=2)}\n\n{report(found, on_gpu)}"


if __name__ == "__main__":
    sys.exit(main())
