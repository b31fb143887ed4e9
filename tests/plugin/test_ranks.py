"""DPO by Axolotl itself, on one rank and two, under each ZeRO stage: everywhere the stock trainer's
adapter (slow)."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from stemma import ROOT
from stemma.jsonl import read_json, write_json, write_jsonl
from stemma.recipe.sections import AXOLOTL_DEFAULTS
from stemma.training.axolotl import DPO_FIELDS
from stemma.training.completion import COMPLETED
from tests.factories.models import make_gemma

STEPS = 50
ADAPTER = 1e-5
"""How far 50 steps may lead apart from the stock trainer on one rank, as a share of the adapter's
length."""
LOSS = 1e-5

pytestmark = pytest.mark.slow


def write_rows(path: Path, count: int) -> None:
    draw = random.Random(0).randrange
    write_jsonl(
        path,
        [
            {
                "prompt": f"Question: What is {draw(20)} + {draw(20)}?"
                f"{' Really?' * draw(4)}\n\nAnswer:",
                "chosen": f" {draw(40)}{' indeed' * draw(5)}",
                "rejected": f" no{' never' * draw(6)}",
            }
            for _ in range(count)
        ],
    )


def train(
    folder: Path,
    start: Path,
    zero: int,
    ranks: int,
    trainer: dict[str, bool] | None,
    steps: int = STEPS,
) -> Path:
    """The output folder of `steps` steps of four pairs, however many ranks share them."""
    write_rows(folder / "rows.jsonl", 2 * steps)
    data = {
        "path": str(folder / "rows.jsonl"),
        "ds_type": "json",
        "split": "train",
        "type": DPO_FIELDS,
    }
    config: dict[str, Any] = AXOLOTL_DEFAULTS | {
        "base_model": str(start),
        "plugins": ["stemma.plugin.StemmaPlugin"],
        "datasets": [data],
        "test_datasets": [data],
        "dataset_prepared_path": str(folder / "prepared"),
        "output_dir": str(folder / "training"),
        "seed": 42,
        "rl": "dpo",
        "rl_beta": 0.5,
        "adapter": "lora",
        "lora_r": 4,
        "lora_alpha": 8,
        "lora_target_modules": ["q_proj", "v_proj"],
        "sequence_len": 64,
        "micro_batch_size": 4 // ranks,
        "max_steps": steps,
        "num_epochs": 2,
        "learning_rate": 5e-3,
        "lr_scheduler": "cosine",
        "optimizer": "adamw_torch",
        "logging_steps": 1,
        "save_steps": steps,
        "eval_steps": steps,
        "bf16": False,
        "fp16": False,
        "deepspeed": str(ROOT / "recipes" / "deepspeed" / f"zero{zero}.json"),
    }
    write_json(folder / "axolotl.yml", config | ({"stemma_dpo": trainer} if trainer else {}))
    axolotl = [str(Path(sys.executable).with_name("axolotl")), "train", str(folder / "axolotl.yml")]
    launcher = ["--launcher", "torchrun", "--", "--standalone", f"--nproc_per_node={ranks}"]
    binaries = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    quiet = {
        "AXOLOTL_DO_NOT_TRACK": "1",
        "HF_HUB_OFFLINE": "1",
        "WANDB_MODE": "disabled",
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(
        [*axolotl, *launcher],
        env=os.environ | quiet | {"PATH": binaries, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (folder / "training" / COMPLETED).is_file(), done.stdout[-2000:] + done.stderr[-2000:]
    return folder / "training"


def adapter(output: Path) -> torch.Tensor:
    tensors = load_file(output / "adapter_model.safetensors")
    return torch.cat([tensors[name].flatten() for name in sorted(tensors)])


def losses(output: Path) -> list[float]:
    return [row["loss"] for row in read_json(output / COMPLETED)["history"] if "loss" in row]


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_gemma(tmp_path_factory.mktemp("start"), hidden=32)


@pytest.fixture(scope="module")
def stock(start: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(tmp_path_factory.mktemp("stock"), start, zero=1, ranks=1, trainer=None)


@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize("zero", [0, 1, 2, 3])
def test_every_zero_stage_leads_to_the_stock_adapter(
    start: Path, stock: Path, tmp_path: Path, zero: int, ranks: int
) -> None:
    output = train(tmp_path, start, zero, ranks, {"group_by_length": False})
    assert read_json(output / COMPLETED)["trainer"]["logps"] == "answers only, fp32"
    assert len(losses(output)) == STEPS
    assert losses(output) == pytest.approx(losses(stock), abs=LOSS)
    assert (adapter(output) - adapter(stock)).norm() / adapter(stock).norm() < ADAPTER
    first = read_json(output / "first_step.json")
    assert (first["rewards/margins"], first["reference/apart"]) == pytest.approx((0, 0), abs=1e-6)


def test_two_ranks_grouped_by_length_are_one(start: Path, tmp_path: Path) -> None:
    one, two = (
        train(tmp_path / str(ranks), start, 1, ranks, {"group_by_length": True}) for ranks in (1, 2)
    )
    assert losses(two) == pytest.approx(losses(one), abs=LOSS)
    assert (adapter(two) - adapter(one)).norm() / adapter(one).norm() < ADAPTER


def test_a_reference_of_a_single_pass_leaves_zero_3_as_it_was(tmp_path: Path) -> None:
    """The engine that precomputed it kept its hooks, and training crashed at its first step."""
    start = make_gemma(tmp_path / "start", layers=4)
    assert (
        len(
            losses(
                train(tmp_path, start, zero=3, ranks=2, trainer={"group_by_length": True}, steps=6)
            )
        )
        == 6
    )
