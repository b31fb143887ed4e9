"""DPO on a CPU: a small Gemma with a 256 K-row head. `python -m bench.dpo` (a few minutes; --rounds, --rows).

1. The loss step (reference, policy, loss, gradients) of TRL, of Liger's fused loss and of Stemma, on the same batches:
   CPU seconds of the process, interleaved round by round, the median of the rounds' ratios; extra memory: how far the
   resident memory of a process of its own rises above what it held before the step.
2. The whole step of Axolotl's stock trainer (with its `gc.collect()`, which it calls after each) and of Stemma's with
   everything on, over all batches of an epoch; the reference's pass counted with a third (three epochs).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from statistics import median
from typing import Any

from bench.conditions import conditions, processor, sentence
from bench.goals import Goal, goal_table
from stemma.table import UNKNOWN, markdown

EPOCHS = 3
KINDS = ("trl", "liger", "ours")


def cpu_seconds(work: Callable[[], Any]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def loss_seconds(setting: Any, kinds: tuple[str, ...], rounds: int) -> dict[str, list[float]]:
    """CPU seconds of the loss step, by trainer and round; every round takes another batch, the same for all."""
    from bench.dpo_setting import loss_step
    from bench.dpo_trainers import make_trainer

    trainers = {kind: make_trainer(kind, setting) for kind in kinds}
    batches = list(trainers["ours"].get_train_dataloader())
    losses = {kind: loss_step(trainer, batches[0]) for kind, trainer in trainers.items()}  # warm; Liger compiles
    print(f"losses of the first batch: {losses}", file=sys.stderr)
    found: dict[str, list[float]] = {kind: [] for kind in kinds}
    for number in range(rounds):
        for kind, trainer in trainers.items():
            batch = batches[number % len(batches)]
            found[kind].append(cpu_seconds(lambda t=trainer, b=batch: loss_step(t, b)))  # type: ignore[misc]
    return found


def extra_bytes(setting: Any, kind: str) -> int:
    """What one loss step needs beyond the model, in this process."""
    from bench.dpo_setting import loss_step
    from bench.dpo_trainers import make_trainer

    trainer = make_trainer(kind, setting)
    batch = max(trainer.get_train_dataloader(), key=lambda batch: batch["input_ids"].numel())
    loss_step(trainer, batch)  # what is loaded or compiled once is no part of a step
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak starts anew
    before = _resident("VmRSS")
    loss_step(trainer, batch)
    return _resident("VmHWM") - before


def _resident(name: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


def measure_memory(arguments: argparse.Namespace, kind: str) -> int:
    """`extra_bytes` in a process that gives freed memory back at once."""
    at_once = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "0"}
    command = [sys.executable, "-m", "bench.dpo", "--memory", kind, "--rows", str(arguments.rows)]
    command += ["--hidden", str(arguments.hidden), "--vocabulary", str(arguments.vocabulary)]
    done = subprocess.run(command, env=os.environ | at_once, capture_output=True, text=True, check=True)
    return int(done.stdout.split()[-1])


def whole_steps(setting: Any, rounds: int) -> dict[str, float]:
    """CPU seconds of an epoch's steps, interleaved, and of the reference's pass; padding of both."""
    import axolotl.train  # noqa: F401 (its stack is what the garbage collector walks in a real run)

    from bench.dpo_setting import Switches, padding_share, train_step
    from bench.dpo_trainers import make_trainer

    found: dict[str, float] = {"stock": 0.0, "ours": 0.0}
    trainers = {"stock": make_trainer("stock", setting)}
    started = time.process_time()
    plain = make_trainer("ours", setting)
    building = time.process_time() - started
    del plain
    started = time.process_time()
    trainers["ours"] = make_trainer("ours", setting, Switches())
    found["reference"] = max(time.process_time() - started - building, 0.0)
    batches = {kind: list(trainer.get_train_dataloader()) for kind, trainer in trainers.items()}
    for kind, trainer in trainers.items():
        train_step(trainer, batches[kind][0])
    for _ in range(rounds):
        for pair in zip(*batches.values(), strict=True):
            for (kind, trainer), batch in zip(trainers.items(), pair, strict=True):
                found[kind] += cpu_seconds(lambda t=trainer, b=batch: train_step(t, b)) / rounds  # type: ignore[misc]
    return found | {f"{kind} padding": padding_share(batches[kind]) for kind in batches}


def summarise(seconds: dict[str, list[float]], memory: dict[str, int], steps: dict[str, float]) -> dict[str, Any]:
    """Ratios: of the loss step the median of the rounds', of the whole step with the reference's pass shared out."""
    others = [kind for kind in seconds if kind != "ours"]
    times = {kind: [a / b for a, b in zip(seconds["ours"], seconds[kind], strict=True)] for kind in others}
    return {
        "loss step": {k: {"cpu_seconds": median(seconds[k]), "extra_mb": memory[k] / 1e6} for k in seconds},
        "cpu_seconds, ours through": {kind: median(times[kind]) for kind in others},
        "extra_memory, ours through": {kind: memory["ours"] / memory[kind] for kind in others},
        "whole epoch": steps,
        "whole step, stock through ours": {
            "without the reference's pass": steps["stock"] / steps["ours"],
            "with a third of it": steps["stock"] / (steps["ours"] + steps["reference"] / EPOCHS),
        },
    }


def goals(found: dict[str, Any]) -> list[Goal]:
    rows = [
        Goal(f"loss step, {what} against TRL", bound, "×", found[f"{key}, ours through"]["trl"])
        for what, key, bound in (("CPU time", "cpu_seconds", 0.72), ("extra memory", "extra_memory", 0.55))
    ]
    whole = found["whole step, stock through ours"]["with a third of it"]
    return [*rows, Goal("whole step, pace against stock Axolotl", 3, "×", whole, at_least=True)]


def report(found: dict[str, Any], context: dict[str, str]) -> str:
    """Markdown, ready for bench/README.md."""
    rows = [
        (
            kind, f"{step['cpu_seconds']:.2f}", f"{step['extra_mb']:,.0f}",
            *(UNKNOWN if kind == "ours" else f"{found[f'{key}, ours through'][kind]:.2f} ×"
              for key in ("cpu_seconds", "extra_memory")),
        )
        for kind, step in found["loss step"].items()
    ]  # fmt: skip
    heads = ("loss step", "CPU seconds", "extra MB", "ours through it, CPU", "ours through it, memory")
    return "\n\n".join((sentence(context), goal_table(goals(found)), "\n".join(markdown(heads, rows))))


def main() -> None:
    arguments = parse()
    from bench.dpo_setting import Setting

    setting = replace(Setting(), rows=arguments.rows, hidden=arguments.hidden, vocabulary=arguments.vocabulary)
    if arguments.memory:
        print(extra_bytes(setting, arguments.memory))
        return
    kinds = tuple(kind for kind in KINDS if not (arguments.without_liger and kind == "liger"))
    seconds = loss_seconds(setting, kinds, arguments.rounds)
    memory = {kind: measure_memory(arguments, kind) for kind in kinds}
    found = summarise(seconds, memory, whole_steps(setting, max(arguments.rounds // 2, 1)))
    sizes = (
        f"n = {arguments.rounds} rounds, {setting.rows} pairs, {setting.pairs} a step, head of {setting.vocabulary:,}"
    )
    context = conditions(f"python -m bench.dpo --rounds {arguments.rounds}", processor(), f"{sizes}; seed 0")
    print(json.dumps({"setting": asdict(setting), **found}, indent=2), report(found, context), sep="\n\n")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=32)
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--vocabulary", type=int, default=256_000)
    parser.add_argument("--without-liger", action="store_true", help="Liger's loss compiles for minutes on a CPU")
    parser.add_argument("--memory", choices=KINDS, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
