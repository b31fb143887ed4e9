"""Threads and how they wait, on an idle machine and beside a load.

`python -m bench.busy` (--load, --rounds).

Each setting is a choice of variables that a training, or llama.cpp, is started with. A child of its
own for every setting trains a small Gemma (the demo's shape, AdamW, float32) in a plain torch loop,
or scores tokens one by one with llama.cpp, when it is its turn; turns are interleaved, so that all
settings meet the same disturbance. The load is processes that count.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from bench.conditions import conditions, processor, sentence
from stemma import ROOT
from stemma.table import markdown

SEED = 42
ROWS = 2
TOKENS = 256
WARM = 3
TRAIN = "train"
OPENMP = ("OMP_", "GOMP_", "KMP_", "MKL_")
SETTINGS: dict[str, dict[str, str]] = {
    "nothing set": {},
    "GOMP_SPINCOUNT=10000": {"GOMP_SPINCOUNT": "10000"},
    "GOMP_SPINCOUNT=1000": {"GOMP_SPINCOUNT": "1000"},
    "OMP_WAIT_POLICY=PASSIVE": {"OMP_WAIT_POLICY": "PASSIVE"},
    "OMP_NUM_THREADS=1": {"OMP_NUM_THREADS": "1"},
}
Work = Callable[[], None]
Figures = dict[str, list[float]]
COUNT = "import itertools\nfor _ in itertools.count(): pass"
"""The program of a process of the load."""


def training_step() -> Work:
    import torch
    from transformers import GemmaConfig, GemmaForCausalLM

    torch.manual_seed(SEED)
    model: Any = GemmaForCausalLM(
        GemmaConfig(
            vocab_size=800,
            hidden_size=256,
            intermediate_size=512,
            num_hidden_layers=3,
            num_attention_heads=4,
            num_key_value_heads=4,
            head_dim=64,
            max_position_embeddings=512,
        )
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    ids = torch.randint(800, (ROWS, TOKENS))

    def step() -> None:
        model(input_ids=ids, labels=ids).loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def written_token(model: Path) -> Work:
    """One token after another, as chat writes them, with as many threads as chat takes."""
    from stemma.llama import Llama
    from stemma.processes import cores

    llama = Llama(model, 512, int(os.environ.get("OMP_NUM_THREADS", cores())))
    tokens = llama.stream([2] * 32, 10**6)

    def step() -> None:
        nonlocal tokens
        if next(tokens, None) is None:  # the context is full
            tokens = llama.stream([2] * 32, 10**6)

    return step


def take_turns(work: Work, seconds: float) -> None:
    """For each line that comes in, print how many milliseconds the work takes."""
    for _ in range(WARM):
        work()
    print("ready", flush=True)
    for _ in sys.stdin:
        print(1000 * seconds_each(work, seconds), flush=True)


def seconds_each(work: Work, seconds: float) -> float:
    start = time.perf_counter()
    done = 0
    while (passed := time.perf_counter() - start) < seconds:
        work()
        done += 1
    return passed / done


@contextmanager
def busy(processes: int) -> Iterator[None]:
    """As many processes that never rest."""
    running = [subprocess.Popen([sys.executable, "-c", COUNT]) for _ in range(processes)]
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


def start(work: str, setting: dict[str, str], seconds: float) -> subprocess.Popen[str]:
    """A child with the setting's variables, and no others of OpenMP."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith(OPENMP)}
    command = [sys.executable, "-m", "bench.busy", "--child", work, "--seconds", str(seconds)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    return subprocess.Popen(command, env=plain | setting, cwd=ROOT, text=True, **pipes)  # type: ignore[call-overload]


def rounds(work: str, given: argparse.Namespace) -> tuple[Figures, Figures]:
    """Milliseconds by setting and round, without the load and beside it."""
    children = {name: start(work, setting, given.seconds) for name, setting in SETTINGS.items()}
    found: dict[int, Figures] = {load: {name: [] for name in SETTINGS} for load in (0, given.load)}
    for child in children.values():
        while child.stdout.readline().strip() != "ready":
            if child.poll() is not None:
                raise SystemExit(f"a child ended with code {child.returncode}")
    for number in range(given.rounds):
        for load, figures in found.items():
            with busy(load):
                for name, child in children.items():
                    child.stdin.write("go\n")
                    child.stdin.flush()
                    figures[name].append(float(child.stdout.readline()))
                    print(
                        f"round {number}, load {load}: {name} {figures[name][-1]:.2f} ms",
                        file=sys.stderr,
                    )
    for child in children.values():
        child.communicate()
    return found[0], found[given.load]


def table(idle: Figures, loaded: Figures) -> list[str]:
    """One line a setting: medians and extremes, and the ratio of its median to the first setting's.

    Of the idle turns the least is nearest to a machine that is really idle, so that has a ratio
    too.
    """
    first = next(iter(idle))
    rows = [
        [
            name,
            *(_spread(figures[name]) for figures in (idle, loaded)),
            f"{min(idle[name]) / min(idle[first]):.2f}",
            f"{median(loaded[name]) / median(loaded[first]):.3f}",
        ]
        for name in idle
    ]
    heads = ("", "idle, ms", "beside the load, ms", "least idle, ratio", "beside the load, ratio")
    return markdown(heads, rows)


def _spread(values: list[float]) -> str:
    return f"{median(values):.3g} ({min(values):.3g}–{max(values):.3g})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--load", type=int, default=4, help="processes that count")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--seconds", type=float, default=3.0, help="each child measures for so long"
    )
    parser.add_argument("--child", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        work = training_step() if given.child == TRAIN else written_token(Path(given.child))
        take_turns(work, given.seconds)
        return
    from stemma.gguf_converter import convert
    from tests.factories.models import make_gemma

    with tempfile.TemporaryDirectory() as folder:
        gguf = Path(folder) / "small-F16.gguf"
        convert(
            make_gemma(Path(folder) / "model", layers=3), gguf, "F16", {"general.name": "small"}
        )
        for title, name in (("A training step", TRAIN), ("A token by llama.cpp", str(gguf))):
            print(f"\n{title}:\n", flush=True)
            print("\n".join(table(*rounds(name, given))), flush=True)
    sizes = (
        f"load of {given.load} processes, {given.rounds} rounds of {given.seconds:g} s, seed {SEED}"
    )
    command = (
        f"python -m bench.busy --load {given.load} --rounds {given.rounds} --seconds "
        f"{given.seconds:g}"
    )
    print("\n" + sentence(conditions(command, processor(), sizes)))


if __name__ == "__main__":
    main()
