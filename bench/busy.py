"""Threads and how they wait, on an idle machine and beside a load. `python -m bench.busy` (--load, --rounds).

Each setting is a choice of variables that a training, or llama.cpp, is started with. A child of its own for every
setting and round trains a small Gemma (the demo's shape, AdamW, float32) in a plain torch loop, or writes tokens with
llama.cpp; rounds are interleaved, so that all settings meet the same disturbance. The load is processes that count.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from bench.conditions import conditions, processor, sentence
from stemma import ROOT
from stemma.table import markdown

SEED, ROWS, TOKENS, WARM = 42, 2, 256, 3
OPENMP = ("OMP_", "GOMP_", "KMP_", "MKL_")
SETTINGS: dict[str, dict[str, str]] = {
    "nothing set": {},
    "GOMP_SPINCOUNT=10000": {"GOMP_SPINCOUNT": "10000"},
    "GOMP_SPINCOUNT=1000": {"GOMP_SPINCOUNT": "1000"},
    "OMP_WAIT_POLICY=PASSIVE": {"OMP_WAIT_POLICY": "PASSIVE"},
    "OMP_NUM_THREADS=1": {"OMP_NUM_THREADS": "1"},
}
COUNT = "import itertools\nfor _ in itertools.count(): pass"
"""What a process of the load does."""


def train(seconds: float) -> float:
    """Milliseconds of a training step in this process: wall time, of as many steps as fit into `seconds`."""
    import torch
    from transformers import GemmaConfig, GemmaForCausalLM

    torch.manual_seed(SEED)
    model: Any = GemmaForCausalLM(GemmaConfig(
        vocab_size=800, hidden_size=256, intermediate_size=512, num_hidden_layers=3, num_attention_heads=4,
        num_key_value_heads=4, head_dim=64, max_position_embeddings=512,
    ))  # fmt: skip
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    ids = torch.randint(800, (ROWS, TOKENS))

    def step() -> None:
        model(input_ids=ids, labels=ids).loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return 1000 * seconds_each(step, seconds)


def write(model: Path, seconds: float) -> float:
    """Milliseconds of a token that llama.cpp writes in this process, with as many threads as a user gets."""
    from stemma.llama import Llama

    with Llama(model, 512, int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1))) as llama:
        tokens = 32
        prompt = list(range(200, 232))
        return 1000 / tokens * seconds_each(lambda: llama.logits_of_continuations(prompt, [[9]] * tokens), seconds)


def seconds_each(work: Any, seconds: float) -> float:
    for _ in range(WARM):
        work()
    start, done = time.perf_counter(), 0
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


def measured(work: str, setting: dict[str, str], seconds: float) -> float:
    """What a child with the setting's variables, and no others of OpenMP, measures."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith(OPENMP)}
    command = [sys.executable, "-m", "bench.busy", "--child", work, "--seconds", str(seconds)]
    done = subprocess.run(command, env=plain | setting, cwd=ROOT, capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def rounds(work: str, given: argparse.Namespace, load: int) -> dict[str, list[float]]:
    """Milliseconds by setting and round."""
    found: dict[str, list[float]] = {name: [] for name in SETTINGS}
    for number in range(given.rounds):
        for name, setting in SETTINGS.items():
            with busy(load):
                found[name].append(measured(work, setting, given.seconds))
            print(f"{work[-20:]}, load {load}, round {number}: {name} {found[name][-1]:.1f} ms", file=sys.stderr)
    return found


def table(idle: dict[str, list[float]], loaded: dict[str, list[float]]) -> list[str]:
    """One line a setting: medians, and the ratio to the first setting's."""
    first = {"idle": median(next(iter(idle.values()))), "loaded": median(next(iter(loaded.values())))}
    rows = []
    for name in idle:
        alone, beside = median(idle[name]), median(loaded[name])
        least, most = min(loaded[name]), max(loaded[name])
        rows.append([
            name, f"{alone:.2f}", f"{alone / first['idle']:.2f}", f"{beside:.2f} ({least:.2f}–{most:.2f})",
            f"{beside / first['loaded']:.2f}",
        ])  # fmt: skip
    return markdown(("", "idle, ms", "ratio", "beside the load, ms (least–most)", "ratio"), rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--load", type=int, default=4, help="processes that count")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="each child measures for so long")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        print(train(given.seconds) if given.child == "train" else write(Path(given.child), given.seconds))
        return
    from export.convert import convert
    from tests.models import make_gemma

    with tempfile.TemporaryDirectory() as folder:
        gguf = Path(folder) / "small-F16.gguf"
        convert(make_gemma(Path(folder) / "model", layers=3), gguf, "F16", {"general.name": "small"})
        for title, work in (("A training step", "train"), ("A token by llama.cpp", str(gguf))):
            print(f"\n{title}:\n", flush=True)
            print("\n".join(table(rounds(work, given, 0), rounds(work, given, given.load))), flush=True)
    sizes = f"load of {given.load} processes, {given.rounds} rounds of {given.seconds:g} s, seed {SEED}"
    command = f"python -m bench.busy --load {given.load} --rounds {given.rounds} --seconds {given.seconds:g}"
    print("\n" + sentence(conditions(command, processor(), sizes)))


if __name__ == "__main__":
    main()
