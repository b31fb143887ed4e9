"""The whole GPU bench in one command of under 8 minutes.

Run `python -m bench.gpu` on a machine with one H100 or H200.

Matrix products, DPO (stock Axolotl, its chunked path, two TRLs, Stemma), SFT (the recipe's settings
and fast ones) on Gemma 2B's shapes with random weights. Each part is a process with a time limit of
its own; one that is cut keeps what it has printed. Prints a JSON object, then Markdown for
bench/README.md. `--device cpu --small` tries the very same code without a GPU.

It needs torch, transformers and peft, and no network. What else is installed takes part; the table
names what is not: `stock` needs axolotl, `chunked` liger-kernel besides, `trl` trl and datasets,
and `python -m bench.newest_trl` makes the environment of the newest TRL. Stemma's trainer stands on
Axolotl's, else on TRL's (with pydantic), else it is a plain loop of its parts beside a plain loop
with all logits; SFT is a plain loop where Axolotl is missing. `--wheels FOLDER` takes wheels that
lie in a folder, for this run.
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
from importlib.util import find_spec
from pathlib import Path

from bench.conditions import conditions
from bench.gpu.needs import parse, put_on_path, require
from bench.gpu.summary import report, summarise
from stemma import ROOT
from stemma.errors import UserError
from stemma.processes import die_with_parent

TOTAL_SECONDS = 465
CPU_PATIENCE = 4
"""The factor by which all may take longer on a CPU, which is there to try the code."""
LAST_LINES = 15


@dataclass(frozen=True)
class Part:
    """`seconds` is its limit on a GPU."""

    name: str
    command: tuple[str, ...]
    seconds: int


PEAK = Part("peak", ("bench.gpu.peak",), 45)
SFT = (
    Part("sft stock", ("bench.gpu.sft", "--kind", "stock"), 75),
    Part("sft fast", ("bench.gpu.sft", "--kind", "fast"), 85),
)
SFT_PLAIN = (Part("sft plain", ("bench.gpu.sft_plain",), 80),)
DPO = Part("dpo", ("bench.gpu.dpo",), 260)
"""Last and in turns: it is the longest, and a cut costs only its second turn."""


def choose_parts() -> tuple[list[Part], list[str]]:
    """Parts that can run with what is installed, and the lines of those that cannot."""
    if find_spec("axolotl"):
        return [PEAK, *SFT, DPO], []
    absent = [
        {"part": "absent", "of": "sft", "name": name, "modules": ["axolotl"]}
        for name in ("stock", "fast")
    ]
    return [PEAK, *SFT_PLAIN, DPO], list(map(json.dumps, absent))


def environment(device: str) -> dict[str, str]:
    """On a CPU what is compiled would take minutes. Telemetry is off already, for all benches."""
    found = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *_pythonpath()])}
    return found | ({"TORCHDYNAMO_DISABLE": "1"} if device == "cpu" else {})


def _pythonpath() -> list[str]:
    return [os.environ["PYTHONPATH"]] if os.environ.get("PYTHONPATH") else []


def run(part: Part, flags: list[str], seconds: float, log: Path) -> tuple[str, str | None]:
    """What the part printed, and why it did not end well, if so."""
    command = [sys.executable, "-m", *part.command, *flags]
    with log.open("w", encoding="utf-8") as output:
        device = flags[flags.index("--device") + 1]
        child = subprocess.Popen(
            command,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment(device),
            start_new_session=True,
            preexec_fn=die_with_parent,  # noqa: PLW1509 (no other thread runs here; it must be set before the exec)
        )
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
        if arguments.wheels:
            os.environ["PYTHONPATH"] = os.pathsep.join(
                [str(put_on_path(arguments.wheels)), *_pythonpath()]
            )
        require(arguments.device, arguments.small)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    flags = ["--device", arguments.device, *(["--small"] if arguments.small else [])]
    outputs, cut = run_all(flags, Path(tempfile.mkdtemp(prefix="stemma-bench-")))
    carried = ["--wheels FOLDER"] if arguments.wheels else []
    print(summed_up(arguments, " ".join(["python -m bench.gpu", *flags, *carried]), outputs, cut))
    return 1 if cut else 0


def run_all(flags: list[str], folder: Path) -> tuple[list[str], list[str]]:
    """What the parts printed, and which did not end well, with the reason."""
    patience = CPU_PATIENCE if "cpu" in flags else 1
    parts, outputs = choose_parts()
    ends = time.monotonic() + TOTAL_SECONDS * patience
    cut = []
    for part in parts:
        started = time.monotonic()
        left = max(ends - started, 1)
        seconds = left if part is DPO else min(part.seconds * patience, left)
        output, problem = run(part, flags, seconds, folder / f"{part.name}.log")
        outputs.append(output)
        print(
            f"{part.name}: {problem or 'done'}, {time.monotonic() - started:.0f} s",
            file=sys.stderr,
            flush=True,
        )
        if problem:
            cut.append(f"{part.name} ({problem})")
            print("\n".join(output.splitlines()[-LAST_LINES:]), file=sys.stderr)
    return outputs, cut


def summed_up(
    arguments: argparse.Namespace, command: str, outputs: list[str], cut: list[str]
) -> str:
    from bench.gpu.device import hardware, read_figures
    from bench.gpu.needs import TURNS
    from bench.gpu.settings import SEED, choose

    setting = choose(arguments.device, arguments.small)
    on_gpu = arguments.device == "cuda"
    sizes = (
        f"DPO: n = {setting.rows} pairs, {setting.pairs} a step, the faster of {TURNS} turns; "
        f"seed {SEED}"
    )
    context = conditions(command, hardware(arguments.device), sizes)
    found = summarise(
        [figures for output in outputs for figures in read_figures(output)], context, cut, on_gpu
    )
    return f"{json.dumps(found, indent=2)}\n\n{report(found, on_gpu)}"


if __name__ == "__main__":
    sys.exit(main())
