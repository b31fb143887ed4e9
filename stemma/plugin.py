"""The Axolotl plugin: it runs inside the training processes, makes DeepSpeed work on CPUs, seeds the LoRA weights,
stops at a non-finite loss, and leaves the evidence Stemma's gates read.

Beside the weights it writes `first_step.rank*.safetensors` (the first batch) and `first_step.json` (DPO: what the
trainer said of it), `failure.json` (why it stopped), and, as its very last act, `completed.json`.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import signal
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from axolotl.integrations.base import BasePlugin
from safetensors import safe_open
from safetensors.torch import save_file
from transformers import TrainerCallback, set_seed

COMPLETED = "completed.json"
FAILURE = "failure.json"
FIRST_STEP = "first_step.json"
BATCH = ("input_ids", "attention_mask", "labels", "completion_mask")
PR_SET_PDEATHSIG = 1


class StemmaPlugin(BasePlugin):
    """Registered by `plugins:` in every rendered Axolotl file."""

    def __init__(self) -> None:
        super().__init__()
        self.record = _Record()

    def register(self, cfg: dict[str, Any]) -> None:
        _die_with_launcher()
        if not torch.cuda.is_available():
            _let_deepspeed_run_on_cpu()
            if _ranks() > 1:
                # Otherwise Axolotl puts each rank's weights on the device of its number, which CPUs have not.
                cfg.setdefault("max_memory", {"cpu": "64GiB"})

    def pre_lora_load(self, cfg: Any, model: Any) -> None:
        set_seed(cfg.seed)

    def post_model_load(self, cfg: Any, model: Any) -> None:
        # DPO makes its LoRA weights after this hook, SFT before it: both need the seed (Axolotl sets it for neither).
        set_seed(cfg.seed)

    def post_trainer_create(self, cfg: Any, trainer: Any) -> None:
        output = Path(cfg.output_dir)
        trainer.add_callback(self.record)
        stop_at_non_finite_loss(trainer, output)
        record_first_step(trainer, output)

    def post_train_unload(self, cfg: Any) -> None:
        if _rank() != 0:
            return
        output = Path(cfg.output_dir)
        state = self.record.state
        completed = {
            "steps": state.global_step,
            "planned_steps": state.max_steps,
            "not_finite": _not_finite(output),
            "trainable_parameters": self.record.trainable,
            "parameters": self.record.parameters,
            "history": state.log_history,
        }
        _write(output / COMPLETED, completed)


class _Record(TrainerCallback):
    """Remembers what the completion marker says."""

    state: Any = None
    trainable = 0
    parameters = 0

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        counts = [(getattr(p, "ds_numel", p.numel()), p.requires_grad) for p in kwargs["model"].parameters()]
        self.trainable = sum(count for count, trained in counts if trained)
        self.parameters = sum(count for count, _ in counts)
        # Axolotl collects garbage after every DPO micro-step: 0.2 to 0.5 s each unless what is loaded is set aside.
        gc.collect()
        gc.freeze()

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.state = state


def stop_at_non_finite_loss(trainer: Any, output: Path) -> None:
    train = trainer.training_step

    def training_step(*args: Any, **kwargs: Any) -> Any:
        loss = train(*args, **kwargs)
        if not torch.isfinite(loss).all():
            step = trainer.state.global_step + 1
            reason = f"the loss of step {step} is {float(loss.mean())}"
            _write(output / FAILURE, {"step": step, "reason": reason})
            raise FloatingPointError(reason)
        return loss

    trainer.training_step = training_step


def record_first_step(trainer: Any, output: Path) -> None:
    compute = trainer.compute_loss

    def compute_loss(model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        result = compute(model, inputs, *args, **kwargs)
        if trainer.model.training:
            trainer.compute_loss = compute
            if trainer.state.global_step == 0:
                batch = {name: inputs[name].detach().cpu().contiguous() for name in BATCH if name in inputs}
                output.mkdir(parents=True, exist_ok=True)
                save_file(batch, output / f"first_step.rank{_rank()}.safetensors")
                if _rank() == 0 and "completion_mask" in batch:
                    said = {name: values[-1] for name, values in trainer._metrics["train"].items()}
                    _write(output / FIRST_STEP, said)
        return result

    trainer.compute_loss = compute_loss


def _let_deepspeed_run_on_cpu() -> None:
    import deepspeed.runtime.zero.stage_1_and_2 as zero
    from accelerate import DistributedType, PartialState

    # Its shared-memory collectives compile for minutes on first use; gloo does the same work.
    # (By import_module: as an attribute of deepspeed.comm, `torch` is torch itself.)
    import_module("deepspeed.comm.torch").build_shm_op = lambda: None  # type: ignore[attr-defined]
    # torch 2.13 refuses the in-place gather of views ("Output 0 of Split is a view"); the weights need no gradient.
    zero.all_gather_dp_groups = torch.no_grad()(zero.all_gather_dp_groups)
    if _ranks() == 1 and not torch.distributed.is_initialized():
        # Axolotl asks for nccl when there is one process; an existing group is taken as it is.
        torch.distributed.init_process_group("gloo")
    if _ranks() > 1:
        # accelerate picks no backend for DeepSpeed on CPU: every rank would believe it is alone.
        PartialState._prepare_backend = lambda *_, **__: ("gloo", DistributedType.MULTI_CPU)


def _die_with_launcher() -> None:
    """A killed run must not leave a trainer behind that writes into the folder the next run uses."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    stemma = os.environ.get("STEMMA_PID")  # absent when Axolotl is run by hand
    if stemma and not Path(f"/proc/{stemma}").exists():
        raise SystemExit("Stemma was killed while this process was starting")


def _not_finite(output: Path) -> list[str]:
    """Names of saved tensors holding NaN or infinity."""
    found = []
    for path in sorted(output.glob("*.safetensors")):
        if path.name.startswith("first_step"):
            continue
        with safe_open(path, "pt") as file:
            found += [name for name in file.keys() if not torch.isfinite(file.get_tensor(name)).all()]  # noqa: SIM118
    return found


def _ranks() -> int:
    return int(os.environ.get("WORLD_SIZE", "0"))  # 0: started without torchrun


def _rank() -> int:
    return int(os.environ.get("RANK", "0"))


def _write(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".part")
    temporary.write_text(json.dumps(value), encoding="utf-8")
    temporary.replace(path)
