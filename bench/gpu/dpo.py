"""DPO on one GPU: Gemma 2B with random weights (nothing is downloaded). `python -m bench.gpu.dpo`.

Whole optimizer steps of Axolotl's stock trainer, its chunked path, TRL's, the newest TRL's, and
Stemma's with all of it on, as far as they are installed (see `bench.dpo_trainers`), each over all
batches of the same pairs, interleaved in turns. Each turn says: pairs a second, peak memory (beyond
the weights, too), the loss of one equal batch, share of padding, dtype of the logits, seconds a
step in the garbage collector. Stemma's reference pass is timed apart. `bench.gpu` runs this and
sums it up.
"""

from __future__ import annotations

import gc
import os
import subprocess
import time
from pathlib import Path
from typing import Any

from bench import newest_trl
from bench.dpo_setting import LOSS_ONLY, Setting, Switches, loss_step, padding_share, train_step
from bench.dpo_trainers import how_ours, make_trainer, missing
from bench.gpu.device import allocated, finished, forget_peak, peak, print_figures, read_figures
from bench.gpu.needs import parse
from bench.gpu.settings import choose
from stemma import ROOT

OURS = {"ours": Switches(), "ours, prompts shared": Switches(shared_prompts=True)}
OTHERS = ("stock", "chunked", "trl")
WARM = 3
FAILURES = (ImportError, subprocess.CalledProcessError)


class CollectorClock:
    """Seconds spent in garbage collections while it is open."""

    def __init__(self) -> None:
        self.seconds = self.started = 0.0

    def __call__(self, phase: str, _: dict[str, int]) -> None:
        now = time.perf_counter()
        self.seconds, self.started = (
            (self.seconds, now) if phase == "start" else (self.seconds + now - self.started, now)
        )

    def __enter__(self) -> CollectorClock:
        gc.callbacks.append(self)
        return self

    def __exit__(self, *_: object) -> None:
        gc.callbacks.remove(self)


def first_loss(trainer: Any, setting: Setting) -> tuple[float, str]:
    """The loss of the first rows, which are the same for all.

    And the dtype in which the head gave its logits meanwhile.
    """
    seen: set[str] = set()
    head = trainer.model.get_output_embeddings()
    watch = head.register_forward_hook(lambda _module, _given, logits: seen.add(str(logits.dtype)))
    batch = trainer.data_collator([trainer.train_dataset[row] for row in range(setting.pairs)])
    loss = loss_step(trainer, trainer._prepare_inputs(batch))
    watch.remove()
    return loss, ", ".join(sorted(seen)).replace("torch.", "") or "no whole tensor"


def measure(name: str, setting: Setting) -> dict[str, Any]:
    """One trainer, made for this and dropped.

    Two models of this size need not fit beside each other.
    """
    device = setting.device
    before = finished(setting.device)
    forget_peak(device)
    trainer = make_trainer("ours" if name in OURS else name, setting, OURS.get(name, LOSS_ONLY))
    building = finished(device) - before
    weights = allocated(device)
    batches = [trainer._prepare_inputs(batch) for batch in trainer.get_train_dataloader()]
    loss, logits = first_loss(trainer, setting)
    for batch in batches[:WARM]:  # kernels are chosen
        train_step(trainer, batch)
    started = finished(device)
    with CollectorClock() as collector:
        for batch in batches:
            train_step(trainer, batch)
        seconds = finished(device) - started
    tokens = sum(int(batch["attention_mask"].sum()) for batch in batches)
    how = {"how": how_ours()} if name in OURS else {}
    return {
        **how,
        "name": name,
        "steps": len(batches),
        "pairs": setting.rows,
        "pairs_per_second": setting.rows / seconds,
        "tokens_a_side": tokens / setting.rows / 2,
        "building_seconds": building,
        "loss": loss,
        "logits": logits,
        "peak_gb": peak(device) / 1e9 or None,
        "beyond_weights_gb": (peak(device) - weights) / 1e9 or None,
        "padding": padding_share(batches),
        "gc_seconds_a_step": collector.seconds / len(batches),
    }


def measure_newest(python: Path, device: str, small: bool) -> dict[str, Any]:
    """One turn of the newest TRL, in its own environment.

    No carried wheel may come before it on the path.
    """
    flags = ["--device", device, "--kind", "trl", "--turns", "1", *["--small"] * small]
    done = subprocess.run(
        [str(python), "-m", "bench.gpu.dpo", *flags],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    [found] = read_figures(done.stdout)
    return {name: value for name, value in found.items() if name not in ("part", "turn")} | {
        "name": newest_trl.NAME
    }


def contestants() -> list[str]:
    """Those that are installed; says which are not.

    A plain loop stands beside ours where TRL is not installed.
    """
    absent = {name: missing(name) for name in OTHERS if missing(name)}
    newest = newest_trl.interpreter() if "trl" not in absent else None
    if newest is None:
        absent[newest_trl.NAME] = ["python -m bench.newest_trl"]
    for name, modules in absent.items():
        print_figures("absent", of="dpo", name=name, modules=modules)
    plain = ["plain"] if "trl" in absent else []
    return [name for name in (*OTHERS, newest_trl.NAME) if name not in absent] + plain + list(OURS)


def main() -> None:
    arguments = parse(__doc__)
    setting = choose(arguments.device, arguments.small)
    names = [arguments.kind] if arguments.kind else contestants()
    if "stock" in names:
        import axolotl.train  # noqa: F401 (its stack is what the garbage collector walks in a real run)
    newest = newest_trl.interpreter()
    for turn in range(arguments.turns):
        for name in list(names):
            try:
                if name == newest_trl.NAME and newest:
                    found = measure_newest(newest, arguments.device, arguments.small)
                else:
                    found = measure(name, setting)
                print_figures("dpo", turn=turn, **found)
            except FAILURES as error:  # it is there, but not for these versions; the others go on
                names.remove(name)
                print_figures("absent", of="dpo", name=name, modules=[str(error)])
            gc.collect()


if __name__ == "__main__":
    main()
