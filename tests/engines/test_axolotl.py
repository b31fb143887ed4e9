"""What Axolotl does."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

from tests.engines.bare import ONE_RANK, alone, trap


def config_in(folder: Path, **changes: Any) -> Path:
    """A small Axolotl file with a tiny base model and two conversations beside it."""
    from tests.models import tiny_model

    turns = [{"role": "user", "content": "What is 2 + 3?"}, {"role": "assistant", "content": "5"}]
    (folder / "rows.jsonl").write_text(json.dumps({"messages": turns}) + "\n" + json.dumps({"messages": turns}) + "\n")
    config = {
        "base_model": str(tiny_model()), "adapter": "lora", "lora_r": 4, "lora_alpha": 8, "sequence_len": 64,
        "lora_target_modules": ["q_proj", "k_proj", "v_proj", "o_proj"], "micro_batch_size": 1, "num_epochs": 1,
        "gradient_accumulation_steps": 1, "learning_rate": 1e-3, "optimizer": "adamw_torch", "bf16": False,
        "fp16": False, "output_dir": str(folder / "out"), "dataset_prepared_path": str(folder / "prepared"),
        "datasets": [{"path": str(folder / "rows.jsonl"), "ds_type": "json", "type": "chat_template"}],
        "seed": 7, "chat_template": "tokenizer_default", **changes,
    }  # fmt: skip
    path = folder / "axolotl.yml"
    path.write_text(json.dumps(config), encoding="utf-8")  # which is YAML
    return path


def read(path: Path) -> Any:
    """As `axolotl train` reads it."""
    os.environ.update(AXOLOTL_DO_NOT_TRACK="1", HF_HUB_OFFLINE="1")
    from axolotl.cli.config import load_cfg

    return load_cfg(str(path))


@trap("stemma/check.py (unknown keys)")
def test_unknown_keys_are_dropped(folder: Path) -> bool:
    return "lora_rank" not in read(config_in(folder, lora_rank=4, lora_mlp_kernel=False))


@trap("stemma/axolotl.py (lora_*_kernel)")
def test_lora_kernels_are_switched_on_without_a_gpu(folder: Path) -> bool:
    cfg = read(config_in(folder))
    return any(cfg[f"lora_{part}_kernel"] for part in ("mlp", "qkv", "o"))


@trap("stemma/plugin/evidence.py (Record.on_train_begin: gc.freeze)")
def test_garbage_is_collected_after_every_micro_step(folder: Path) -> bool:
    import gc

    import torch
    from axolotl.core.trainers.dpo.trainer import AxolotlDPOTrainer
    from trl import DPOTrainer

    collections: list[int] = []
    DPOTrainer.training_step = lambda *_: torch.ones(1)
    gc.collect = lambda *_: collections.append(1) or 0
    AxolotlDPOTrainer.__new__(AxolotlDPOTrainer).training_step(None, {})
    return bool(collections)


def first_weights(path: Path, drawn: int) -> list[float]:
    """Those of LoRA's random half, when the trainer is made in a process that has `drawn` so many numbers before."""
    cfg = read(path)
    import torch
    from axolotl.cli.args import TrainerCliArgs
    from axolotl.common.datasets import load_datasets
    from axolotl.train import setup_model_and_trainer

    torch.rand(drawn)
    _, model, *_ = setup_model_and_trainer(cfg, load_datasets(cfg=cfg, cli_args=TrainerCliArgs()))
    found: list[float] = (
        next(weight for name, weight in model.named_parameters() if "lora_A" in name).flatten().tolist()
    )
    return found


@trap("stemma/plugin/hooks.py (set_seed)")
def test_the_seed_does_not_reach_lora(folder: Path) -> bool:
    """Two processes with one seed, and another history."""
    path = config_in(folder, lora_mlp_kernel=False)
    return bool(alone(first_weights, path, 0) != alone(first_weights, path, 1))


@trap("stemma/train.py (write_config: the digest in the name)")
def test_prepared_data_goes_by_path(folder: Path) -> bool:
    """A file that was edited has the key of what was prepared before."""
    cfg = read(config_in(folder, lora_mlp_kernel=False))
    from axolotl.utils.data.shared import generate_dataset_hash_from_config

    def key() -> str:
        return str(generate_dataset_hash_from_config(cfg, cfg.datasets, "tokenizer"))

    before = key()
    (folder / "rows.jsonl").write_text("another\n")
    return key() == before


@trap("stemma/plugin/cpu.py (let_deepspeed_run_on_cpu: gloo for one process)")
def test_one_process_asks_for_nccl(folder: Path) -> bool:
    os.environ.update(ONE_RANK | {"MASTER_PORT": "0"})
    from axolotl.utils.dict import DictDefault
    from axolotl.utils.trainer import setup_deepspeed_env
    from deepspeed import comm

    asked: list[str] = []
    comm.init_distributed = lambda dist_backend, **_: asked.append(dist_backend)
    try:
        setup_deepspeed_env(DictDefault(deepspeed=str(folder), gradient_accumulation_steps=1), stage=1)
    except Exception:
        assert asked, "it stopped before it asked"
    return asked[:1] == ["nccl"]


@trap("stemma/plugin/cpu.py (look_for_no_gpus)")
def test_two_cpu_ranks_are_asked_for_their_gpus(folder: Path) -> bool:
    """A CUDA build of torch without a driver raises there."""
    import torch
    from axolotl.utils.trainer import check_cuda_p2p_ib_support

    asked: list[tuple[int, int]] = []
    torch.cuda.is_available = lambda: False
    torch.cuda.can_device_access_peer = lambda *ranks: bool(asked.append(ranks)) or True
    os.environ.update(ONE_RANK | {"WORLD_SIZE": "2"})
    check_cuda_p2p_ib_support()
    return asked == [(0, 1)]


def interrupted(folder: Path) -> None:
    """What Ctrl-C does to a training, in the main thread of this process."""
    from axolotl.train import setup_signal_handler
    from axolotl.utils.dict import DictDefault
    from transformers import AutoModelForCausalLM

    from tests.models import tiny_model

    model = AutoModelForCausalLM.from_pretrained(tiny_model())
    setup_signal_handler(DictDefault(local_rank=0, output_dir=str(folder / "out")), model)
    os.kill(os.getpid(), signal.SIGINT)


@trap("stemma/launch.py (the completion marker)")
def test_ctrl_c_saves_and_exits_with_0(folder: Path) -> bool:
    try:
        alone(interrupted, folder)
    except SystemExit as ended:
        return ended.code == 0 and (folder / "out" / "model.safetensors").is_file()
    return False


@trap("stemma/launch.py (environment: AXOLOTL_DO_NOT_TRACK)")
def test_telemetry_is_on_by_default(folder: Path) -> bool:
    """Nothing is sent: the manager that would is only asked."""
    from axolotl.telemetry.manager import TelemetryManager

    return TelemetryManager._check_telemetry_enabled(TelemetryManager.__new__(TelemetryManager))
