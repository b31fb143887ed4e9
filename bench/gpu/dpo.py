"""DPO on one GPU: Gemma 2B with random weights (nothing is downloaded). `python -m bench.gpu.dpo`, under 10 minutes.

Whole optimizer steps of Axolotl's stock trainer, TRL's, TRL's with Liger's fused loss, and Stemma's with everything on,
each over its own batches of the same pairs, interleaved in turns; what is said of each:
pairs a second, peak memory (beyond the weights, too), |loss - TRL's| on one equal batch, share of padding, dtype of the
logits, seconds a step in the garbage collector. Stemma's reference pass is timed apart and counted with a third (three
epochs). `--device cpu --small` tries it without a GPU.
"""

from __future__ import annotations

import argparse
import gc
import json
import time
from dataclasses import asdict, replace
from typing import Any

import axolotl.train  # noqa: F401 (its stack is what the garbage collector walks in a real run)
import torch

from bench.dpo_setting import GEMMA_2B, LOSS_ONLY, Options, Setting, loss_step, make_trainer, padding_share, train_step

EPOCHS = 3
SMALL = Setting(hidden=64, layers=1, vocabulary=4000, rows=16)
OURS = {"ours": Options(), "ours, prompts shared": Options(shared_prompts=True)}


class CollectorClock:
    """Seconds spent in garbage collections while it is open."""

    def __init__(self) -> None:
        self.seconds = self.started = 0.0

    def __call__(self, phase: str, _: dict[str, int]) -> None:
        now = time.perf_counter()
        self.seconds, self.started = (self.seconds, now) if phase == "start" else (
            self.seconds + now - self.started, now)  # fmt: skip

    def __enter__(self) -> CollectorClock:
        gc.callbacks.append(self)
        return self

    def __exit__(self, *_: object) -> None:
        gc.callbacks.remove(self)


def wait(setting: Setting) -> float:
    """The time when all that was asked of the device is done."""
    if setting.device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def peak(setting: Setting) -> int:
    return torch.cuda.max_memory_allocated() if setting.device == "cuda" else 0


def measure(name: str, setting: Setting, steps: int) -> dict[str, Any]:
    """One trainer, made for this and dropped: two models of this size need not fit beside each other."""
    before = wait(setting)
    if setting.device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    trainer = make_trainer("ours" if name in OURS else name, setting, OURS.get(name, LOSS_ONLY))
    building = wait(setting) - before
    weights = torch.cuda.memory_allocated() if setting.device == "cuda" else 0
    batches = [trainer._prepare_inputs(batch) for batch in trainer.get_train_dataloader()][:steps]
    same = trainer.data_collator([trainer.train_dataset[row] for row in range(setting.pairs)])
    loss = loss_step(trainer, trainer._prepare_inputs(same))
    for batch in batches[:3]:  # kernels are chosen, Liger compiles
        train_step(trainer, batch)
    started = wait(setting)
    with CollectorClock() as collector:
        for batch in batches:
            train_step(trainer, batch)
        seconds = wait(setting) - started
    return {
        "pairs_per_second": round(len(batches) * setting.pairs / seconds, 2), "building_seconds": round(building, 1),
        "peak_gb": round(peak(setting) / 1e9, 2), "peak_beyond_weights_gb": round((peak(setting) - weights) / 1e9, 2),
        "padding": round(padding_share(batches), 3), "gc_seconds_a_step": round(collector.seconds / len(batches), 4),
        "logits": "fp32 tiles" if name in OURS else str(setting.dtype).removeprefix("torch."), "loss": loss,
    }  # fmt: skip


def reference_seconds(found: dict[str, dict[str, Any]]) -> float:
    """What making Stemma's trainer took longer than making TRL's: the reference's pass."""
    return max(found["ours"]["building_seconds"] - found["trl"]["building_seconds"], 0.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--small", action="store_true", help="a small model and a few pairs, to try the script")
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--turns", type=int, default=2)
    parser.add_argument("--without-liger", action="store_true")
    arguments = parser.parse_args()
    setting = replace(SMALL if arguments.small else GEMMA_2B, device=arguments.device)
    names = ["stock", "trl", *([] if arguments.without_liger else ["liger"]), *OURS]
    turns: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    for _ in range(arguments.turns):
        for name in names:
            turns[name].append(measure(name, setting, arguments.steps))
            gc.collect()
            print(json.dumps({name: turns[name][-1]}), flush=True)
    best = {name: max(given, key=lambda one: one["pairs_per_second"]) for name, given in turns.items()}
    for given in best.values():
        given["loss_from_trl"] = abs(given["loss"] - best["trl"]["loss"])
    once = reference_seconds({name: turns[name][-1] for name in names})  # the last turn: all is loaded
    seconds = setting.rows / best["ours"]["pairs_per_second"] + once / EPOCHS
    ours = best["ours"] | {"reference_seconds": once, "with_reference": round(setting.rows / seconds, 2)}
    ratios = {f"ours/{name}": round(ours["with_reference"] / best[name]["pairs_per_second"], 2) for name in names[:-2]}
    ratios["memory, ours/trl"] = round(ours["peak_gb"] / best["trl"]["peak_gb"], 2) if best["trl"]["peak_gb"] else 0.0
    print(json.dumps({"setting": asdict(setting), **best, "ours": ours, "ratios": ratios}, indent=2))


if __name__ == "__main__":
    main()
