"""DPO on one CPU rank and two under each ZeRO stage: steps a second, bytes exchanged.

`python -m bench.scaling`.

Real `axolotl train` under DeepSpeed over gloo, the same batch of four pairs cut over the ranks, one
thread a rank, rounds interleaved. Each run has a network namespace of its own (`unshare`; without
root a user namespace), whose loopback counter tells the bytes. 24 runs of about half a minute each
with the default 3 rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from bench.cluster import exchanged
from bench.conditions import conditions, processor, sentence
from bench.step_meter import STEPS
from stemma import ROOT
from stemma.errors import StageFailed
from stemma.jsonl import read_json, write_json, write_jsonl
from stemma.recipe.sections import AXOLOTL_DEFAULTS
from stemma.shapes import Shapes, parse
from stemma.table import markdown
from stemma.training.axolotl import DPO_FIELDS
from stemma.training.cluster import Cluster
from stemma.training.completion import COMPLETED
from stemma.training.launch import environment
from tests.factories.models import make_gemma

PAIRS = 4
WARM = 5
SEED = 42
FP32 = 4
RANK = 64
TARGETS = ("q_proj", "v_proj")
PERSISTENT = 100_000
"""DeepSpeed's `stage3_param_persistence_threshold`.

ZeRO-3 leaves smaller tensors whole on every rank.
"""
IN_NAMESPACE = ("sh", "-c", 'ip link set lo up && exec "$@"', "sh")


@dataclass(frozen=True)
class Run:
    zero: int
    ranks: int
    steps_a_second: float
    bytes_a_rank: float
    """Sent by a rank in one step."""


def write_rows(path: Path, count: int) -> None:
    source = random.Random(SEED)

    def digits(low: int, high: int) -> str:
        return "".join(source.choices("0123456789", k=source.randint(low, high)))

    rows = [
        {"prompt": digits(40, 80), "chosen": digits(40, 120), "rejected": digits(40, 120)}
        for _ in range(count)
    ]
    write_jsonl(path, rows)


def config(folder: Path, start: Path, case: tuple[int, int], steps: int) -> dict[str, Any]:
    zero, ranks = case
    data = {
        "path": str(folder / "rows.jsonl"),
        "ds_type": "json",
        "split": "train",
        "type": DPO_FIELDS,
    }
    return AXOLOTL_DEFAULTS | {
        "base_model": str(start),
        "plugins": ["stemma.plugin.StemmaPlugin", "bench.step_meter.StepMeter"],
        "datasets": [data],
        "dataset_prepared_path": str(folder / "prepared"),
        "output_dir": str(folder / "training"),
        "seed": SEED,
        "rl": "dpo",
        "rl_beta": 0.1,
        "adapter": "lora",
        "lora_r": RANK,
        "lora_alpha": RANK,
        "lora_target_modules": list(TARGETS),
        "sequence_len": 256,
        "micro_batch_size": PAIRS // ranks,
        "max_steps": steps,
        "num_epochs": 1,
        "learning_rate": 5e-4,
        "lr_scheduler": "cosine",
        "optimizer": "adamw_torch",
        "save_steps": steps,
        "bf16": False,
        "fp16": False,
        "stemma_dpo": {},
        "deepspeed": str(ROOT / "recipes" / "deepspeed" / f"zero{zero}.json"),
    }


def train(start: Path, case: tuple[int, int], steps: int) -> Run:
    zero, ranks = case
    with tempfile.TemporaryDirectory(prefix="stemma-bench-") as name:
        folder = Path(name)
        write_rows(folder / "rows.jsonl", PAIRS * steps)
        keys = config(folder, start, case, steps)
        write_json(folder / "axolotl.yml", keys)
        axolotl = [
            str(Path(sys.executable).with_name("axolotl")),
            "train",
            str(folder / "axolotl.yml"),
        ]
        launcher = [
            "--launcher",
            "torchrun",
            "--",
            "--standalone",
            "--local-addr=127.0.0.1",
            f"--nproc_per_node={ranks}",
        ]
        alone = {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
        done = subprocess.run(
            [
                "unshare",
                "--net",
                *(["--map-root-user"] if os.geteuid() else []),
                *IN_NAMESPACE,
                *axolotl,
                *launcher,
            ],
            env=environment(keys, folder, Cluster(ranks)) | alone,
            capture_output=True,
            text=True,
            check=False,
        )
        if not (folder / "training" / COMPLETED).is_file():
            raise StageFailed(
                f"ZeRO-{zero} on {ranks} ranks: " + (done.stdout + done.stderr)[-3000:]
            )
        return measured(zero, ranks, read_json(folder / "training" / STEPS)["steps"])


def measured(zero: int, ranks: int, steps: Sequence[tuple[float, int]]) -> Run:
    """Figures from the step after the warm ones to the last.

    Each entry is when a step ended, and loopback's counter then.
    """
    (started, before), (ended, after), count = steps[WARM - 1], steps[-1], len(steps) - WARM
    return Run(zero, ranks, count / (ended - started), (after - before) / count / ranks)


def expected_bytes(shapes: Shapes, zero: int, ranks: int) -> float:
    """By the formula, in fp32.

    The adapter's tensors are small, so ZeRO-3 keeps them whole and gathers them changed.
    """
    trained = FP32 * shapes.adapter_parameters(RANK, TARGETS)
    matrices = [rows * columns for rows, columns in shapes.linears().values()]
    spread = shapes.layers * sum(size for size in matrices if size >= PERSISTENT)
    spread += shapes.embedding() if shapes.embedding() >= PERSISTENT else 0
    whole = (ranks - 1) / ranks * trained if zero == 3 else 0
    return exchanged(ranks, zero, trained, FP32 * spread) + whole


def table(runs: Sequence[Run], shapes: Shapes) -> list[str]:
    heads = (
        "ZeRO",
        "steps/s, 1 rank",
        "steps/s, 2 ranks",
        "speed-up",
        "KB sent a rank and step",
        "by formula",
        "ratio",
    )
    return markdown(
        heads, [_row(runs, shapes, zero) for zero in sorted({run.zero for run in runs})]
    )


def _row(runs: Sequence[Run], shapes: Shapes, zero: int) -> tuple[str, ...]:
    """Medians over the rounds; the speed-up is the median of the rounds' own ratios."""
    one, two = ([run for run in runs if (run.zero, run.ranks) == (zero, ranks)] for ranks in (1, 2))
    speed_up = median(b.steps_a_second / a.steps_a_second for a, b in zip(one, two, strict=True))
    sent = median(run.bytes_a_rank for run in two)
    formula = expected_bytes(shapes, zero, 2)
    paces = (f"{median(run.steps_a_second for run in of):.2f}" for of in (one, two))
    return (
        str(zero),
        *paces,
        f"{speed_up:.2f} ×",
        f"{sent / 1e3:,.0f}",
        f"{formula / 1e3:,.0f}",
        f"{sent / formula:.2f}",
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--hidden", type=int, default=512)
    parser.add_argument("--zero", type=int, nargs="+", choices=range(4), default=[0, 1, 2, 3])
    given = parser.parse_args()
    runs = []
    with tempfile.TemporaryDirectory(prefix="stemma-bench-") as name:
        start = make_gemma(Path(name), hidden=given.hidden, layers=4)
        shapes = parse(read_json(start / "config.json"), "the bench's model")
        for number in range(given.rounds):
            for case in ((zero, ranks) for zero in given.zero for ranks in (1, 2)):
                runs.append(train(start, case, given.steps))
                print(json.dumps({"round": number, **vars(runs[-1])}), file=sys.stderr, flush=True)
    sizes = f"n = {given.rounds} rounds of {given.steps - WARM} steps of {PAIRS} pairs; seed {SEED}"
    command = (
        f"python -m bench.scaling --rounds {given.rounds} --steps {given.steps} --hidden "
        f"{given.hidden}"
    )
    print(
        "\n".join(table(runs, shapes)),
        sentence(conditions(command, processor(), sizes)),
        sep="\n\n",
    )


if __name__ == "__main__":
    main()
