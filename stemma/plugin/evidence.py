"""What training leaves for Stemma's gates: the first batch and what was said of it, why it stopped, that it completed.

Beside the weights: `first_step.rank*.safetensors` (the first batch) and `first_step.json` (DPO: what the trainer said
of it), and, as the very last act, `failure.json` (why it stopped) or `completed.json`.
"""

from __future__ import annotations

import resource
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import torch
from safetensors.torch import save_file
from transformers import EarlyStoppingCallback, TrainerCallback

from stemma.jsonl import write_json
from stemma.plugin.ranks import rank
from stemma.processes import COMPLETED, FAILURE
from stemma.tensors import Tensors

FIRST_STEP = "first_step.json"
BATCH = ("input_ids", "attention_mask", "labels", "completion_mask")


class Record(TrainerCallback):
    """Remembers what the completion marker says."""

    state: Any = None
    binding = ""
    callbacks: Sequence[TrainerCallback] = ()
    """The trainer's."""
    stopped_early = False
    trainable = 0
    parameters = 0
    dtype = ""
    plugins: Sequence[str] = ()
    """What Axolotl loaded, named by the file or not."""
    describe: Callable[[], dict[str, str]] = dict
    skipped: Callable[[], int] = int
    """How many optimizer steps the engine left out."""

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if rank() == 0:
            for path in weights(Path(args.output_dir)):
                path.unlink()  # of an attempt before: should saving fail, they must not pass for this training's
        counts = [(getattr(p, "ds_numel", p.numel()), p.requires_grad) for p in kwargs["model"].parameters()]
        self.trainable = sum(count for count, trained in counts if trained)
        self.parameters = sum(count for count, _ in counts)
        self.dtype = str(kwargs["model"].dtype).removeprefix("torch.")

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.state = state
        rules = [callback for callback in self.callbacks if isinstance(callback, EarlyStoppingCallback)]
        self.stopped_early = any(rule.early_stopping_patience_counter >= rule.early_stopping_patience for rule in rules)

    def conclude(self, output: Path, adapter: bool) -> None:
        """The completion marker, or why there is none. `adapter`: what was to be saved is one, not a whole model."""
        expected = "adapter_model" if adapter else "model"
        if self.state is None:
            write_json(output / FAILURE, {"step": 0, "reason": "it did not come to the end of its steps"})
        elif not any(path.name.startswith(expected) for path in weights(output)):
            self._fail(output, f"it saved no {expected}.safetensors")
        elif reason := self._shortfall(not_finite(output)):
            self._fail(output, reason)
        else:
            self._mark_completed(output)

    def _fail(self, output: Path, reason: str) -> None:
        write_json(output / FAILURE, {"step": self.state.global_step, "reason": reason})

    def _shortfall(self, broken: list[str]) -> str | None:
        if broken:
            return f"it left {len(broken)} tensors with NaN or infinity, the first: {broken[0]}"
        if self.state.global_step < self.state.max_steps and not self.stopped_early:
            return f"it ended at step {self.state.global_step} of {self.state.max_steps}"
        if self.skipped() and self._taken() == 0:
            return f"none of its {self.state.global_step} steps was taken: no gradient was finite"
        return None

    def _taken(self) -> int:
        """Steps that moved the weights: the trainer counts those, too, that the engine left out."""
        taken: int = self.state.global_step - self.skipped()
        return taken

    def _mark_completed(self, output: Path) -> None:
        completed = {
            "binding": self.binding,
            "steps": self._taken(),
            "skipped_steps": self.skipped(),
            "planned_steps": self.state.max_steps,
            "trainable_parameters": self.trainable,
            "parameters": self.parameters,
            "dtype": self.dtype,
            "peak_memory": peak_memory(),
            "trainer": self.describe(),
            "plugins": list(self.plugins),
            "history": self.state.log_history,
        }
        write_json(output / COMPLETED, completed)


def peak_memory() -> dict[str, int | str]:
    """The most this process (rank 0) held, and of what; after a resumption, of the last part."""
    if torch.cuda.is_available():
        return {"bytes": torch.cuda.max_memory_allocated(), "of": "GPU memory allocated"}
    return {"bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, "of": "resident memory"}


def stop_at_non_finite_loss(trainer: Any, output: Path) -> None:
    train = trainer.training_step

    def training_step(*args: Any, **kwargs: Any) -> Any:
        loss = train(*args, **kwargs)
        if not torch.isfinite(loss).all():
            step = trainer.state.global_step + 1
            stop(output, step, f"the loss of step {step} is {float(loss.mean())}")
        return loss

    trainer.training_step = training_step


def stop(output: Path, step: int, reason: str) -> NoReturn:
    """End this training, and leave word why."""
    write_json(output / FAILURE, {"step": step, "reason": reason})
    raise FloatingPointError(reason)


def record_first_step(trainer: Any, output: Path) -> None:
    compute = trainer.compute_loss

    def compute_loss(model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        result = compute(model, inputs, *args, **kwargs)
        if trainer.model.training:
            trainer.compute_loss = compute
            if trainer.state.global_step == 0:
                batch = {name: inputs[name].detach().cpu().contiguous() for name in BATCH if name in inputs}
                output.mkdir(parents=True, exist_ok=True)
                save_file(batch, output / f"first_step.rank{rank()}.safetensors")
                if rank() == 0 and "completion_mask" in batch:
                    said = {name: values[-1] for name, values in trainer._metrics["train"].items()}
                    write_json(output / FIRST_STEP, said)
        return result

    trainer.compute_loss = compute_loss


def weights(output: Path) -> list[Path]:
    """The saved weights: an adapter's file, a model's, or its parts."""
    return sorted(path for path in output.glob("*.safetensors") if not path.name.startswith("first_step"))


def not_finite(output: Path) -> list[str]:
    """Names of saved tensors holding NaN or infinity. Piece by piece: asked whole, an embedding takes four times its
    numbers, and the file is mapped beside the model."""
    saved = Tensors(weights(output))
    return [name for name, one in saved.items() if not all(bool(torch.isfinite(piece).all()) for piece in one.pieces())]
