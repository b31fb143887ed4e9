"""Traps of Axolotl."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

from tests.engines.bare import ONE_RANK, alone, trap


def config_in(folder: Path, **changes: Any) -> Path:
    """A small Axolotl file with a tiny base model and two conversations beside it."""
    from tests.factories.models import tiny_model

    turns = [{"role": "user", "content": "What is 2 + 3?"}, {"role": "assistant", "content": "5"}]
    (folder / "rows.jsonl").write_text(
        json.dumps({"messages": turns}) + "\n" + json.dumps({"messages": turns}) + "\n"
    )
    config = {
        "base_model": str(tiny_model()),
        "adapter": "lora",
        "lora_r": 4,
        "lora_alpha": 8,
        "sequence_len": 64,
        "lora_target_modules": ["q_proj", "k_proj", "v_proj", "o_proj"],
        "micro_batch_size": 1,
        "num_epochs": 1,
        "gradient_accumulation_steps": 1,
        "learning_rate": 1e-3,
        "optimizer": "adamw_torch",
        "bf16": False,
        "fp16": False,
        "output_dir": str(folder / "out"),
        "dataset_prepared_path": str(folder / "prepared"),
        "datasets": [
            {"path": str(folder / "rows.jsonl"), "ds_type": "json", "type": "chat_template"}
        ],
        "seed": 7,
        "chat_template": "tokenizer_default",
        "dataset_num_proc": 1,
        **changes,
    }
    path = folder / "axolotl.yml"
    path.write_text(json.dumps(config), encoding="utf-8")  # which is YAML
    return path


def read(path: Path) -> Any:
    """As `axolotl train` reads it."""
    os.environ.update(AXOLOTL_DO_NOT_TRACK="1", HF_HUB_OFFLINE="1")
    from axolotl.cli.config import load_cfg

    return load_cfg(str(path))


@trap("stemma/recipe/check.py (unknown keys)")
def test_unknown_keys_are_dropped(folder: Path) -> bool:
    return "lora_rank" not in read(config_in(folder, lora_rank=4, lora_mlp_kernel=False))


@trap("stemma/training/axolotl.py (lora_*_kernel)")
def test_lora_kernels_are_switched_on_without_a_gpu(folder: Path) -> bool:
    cfg = read(config_in(folder))
    return any(cfg[f"lora_{part}_kernel"] for part in ("mlp", "qkv", "o"))


@trap("stemma/training/inputs.py (write_config: the digest in the name)")
def test_prepared_data_goes_by_path(folder: Path) -> bool:
    """A file that was edited has the key of what was prepared before."""
    cfg = read(config_in(folder, lora_mlp_kernel=False))
    from axolotl.utils.data.shared import generate_dataset_hash_from_config

    def key() -> str:
        return str(generate_dataset_hash_from_config(cfg, cfg.datasets, "tokenizer"))

    before = key()
    (folder / "rows.jsonl").write_text("another\n")
    return key() == before


@trap("stemma/plugin/hooks.py (load_datasets)")
def test_steps_of_packed_rows_are_drawn(folder: Path) -> bool:
    """In orders that nobody seeded: another number each time."""
    os.environ.update(AXOLOTL_DO_NOT_TRACK="1", HF_HUB_OFFLINE="1")
    from tests.factories.packing import counted_steps

    return len({counted_steps() for _ in range(12)}) > 1


@trap("stemma/plugin/cpu.py (let_deepspeed_run_on_cpu: gloo for one process)")
def test_one_process_asks_for_nccl(folder: Path) -> bool:
    os.environ.update(ONE_RANK | {"MASTER_PORT": "0"})
    from axolotl.utils.dict import DictDefault
    from axolotl.utils.trainer import setup_deepspeed_env
    from deepspeed import comm

    asked: list[str] = []
    comm.init_distributed = lambda dist_backend, **_: asked.append(dist_backend)
    try:
        setup_deepspeed_env(
            DictDefault(deepspeed=str(folder), gradient_accumulation_steps=1), stage=1
        )
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

    from tests.factories.models import tiny_model

    model = AutoModelForCausalLM.from_pretrained(tiny_model())
    setup_signal_handler(DictDefault(local_rank=0, output_dir=str(folder / "out")), model)
    os.kill(os.getpid(), signal.SIGINT)


@trap("stemma/training/launch.py (the completion marker)")
def test_ctrl_c_saves_and_exits_with_0(folder: Path) -> bool:
    try:
        alone(interrupted, folder)
    except SystemExit as ended:
        return ended.code == 0 and (folder / "out" / "model.safetensors").is_file()
    return False


@trap("stemma/processes.py (TELEMETRY_OFF)")
def test_telemetry_is_on_by_default(folder: Path) -> bool:
    """Nothing is sent: the manager that would is only asked."""
    from axolotl.telemetry.manager import TelemetryManager

    return TelemetryManager._check_telemetry_enabled(TelemetryManager.__new__(TelemetryManager))


@trap("stemma/plugin/hooks.py (post_train_unload)")
def test_post_train_comes_twice(folder: Path) -> bool:
    """The first time before anything is saved: no place for a marker that says all is done."""
    cfg = read(config_in(folder, lora_mlp_kernel=False))
    from axolotl.cli.args import TrainerCliArgs
    from axolotl.common.datasets import load_datasets
    from axolotl.integrations.base import PluginManager
    from axolotl.train import train

    saved: list[bool] = []
    manager: Any = PluginManager.get_instance()
    manager.post_train = lambda *_: saved.append(
        (folder / "out" / "adapter_model.safetensors").exists()
    )
    train(cfg=cfg, dataset_meta=load_datasets(cfg=cfg, cli_args=TrainerCliArgs()))
    return saved == [False, True]


@trap("stemma/plugin/step_mean.py")
def test_ranks_average_their_own_means(folder: Path) -> bool:
    """Each rank divides by its own count of trained tokens.

    The setting that would have them share it is off.
    """
    cfg = read(config_in(folder, lora_mlp_kernel=False))
    from axolotl.core.builders import HFCausalTrainerBuilder

    builder: Any = HFCausalTrainerBuilder(cfg, None, None)
    arguments, _ = builder._set_base_training_args(10)
    return arguments["average_tokens_across_devices"] is False


@trap("stemma/training/rows.py (rows of `dpo` leave out the first token)")
def test_a_rendered_prompt_has_two_first_tokens(folder: Path) -> bool:
    """Axolotl renders the template, TRL lets the tokenizer put its own in front of that."""
    os.environ.update(AXOLOTL_DO_NOT_TRACK="1", HF_HUB_OFFLINE="1")
    from types import SimpleNamespace

    from axolotl.core.trainers.dpo.trainer import AxolotlDPOTrainer
    from axolotl.prompt_strategies.dpo.chat_template import default
    from axolotl.utils.dict import DictDefault
    from datasets import Dataset
    from tokenizers.processors import TemplateProcessing
    from transformers import AutoTokenizer

    from tests.factories.models import tiny_model

    tokenizer = AutoTokenizer.from_pretrained(tiny_model())
    first = (tokenizer.bos_token, tokenizer.bos_token_id)
    own = TemplateProcessing(
        single=f"{tokenizer.bos_token} $A", special_tokens=[first]
    )  # as Gemma's file has it
    tokenizer.backend_tokenizer.post_processor = own
    render, _ = default(DictDefault(chat_template="tokenizer_default", datasets=[{}]))
    row = {"messages": [{"role": "user", "content": "What is 2 + 3?"}]}
    row |= {
        name: {"role": "assistant", "content": text}
        for name, text in (("chosen", "5"), ("rejected", "6"))
    }
    trainer: Any = AxolotlDPOTrainer.__new__(AxolotlDPOTrainer)
    trainer._tokenizer, trainer._is_vision_dataset = tokenizer, False
    args = SimpleNamespace(dataset_num_proc=None, max_length=None, truncation_mode="keep_start")
    prepared = trainer._prepare_dataset(
        Dataset.from_list([render(row, tokenizer=tokenizer)]), tokenizer, args, "train"
    )
    return bool(prepared[0]["prompt_ids"][:2] == [tokenizer.bos_token_id] * 2)
