"""The evidence that a training leaves for Stemma's gates, and its end as it is told on disk.

Beside the weights: `first_step.rank*.safetensors` (the first batch) and, of DPO, `first_step.json`
(what the trainer said of it). The very last is `completed.json`, or `failure.json` with the reason.
"""

from __future__ import annotations

import resource
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import torch
from safetensors.torch import save_file
from transformers import EarlyStoppingCallback, TrainerCallback

from stemma.facts import PeakMemory
from stemma.jsonl import write_json
from stemma.plugin.ranks import rank
from stemma.tensors import Tensors
from stemma.training.completion import COMPLETED, FAILURE, Completed, Failure

FIRST_STEP = "first_step.json"
BATCH = ("input_ids", "attention_mask", "labels", "completion_mask")
"""The tensors of a batch that the gates compare with the rows as written."""


class EvidenceRecorder(TrainerCallback):
    """Collects during the training what the completion marker says."""

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
    """Asks the trainer what it does."""
    skipped: Callable[[], int] = int
    """Asks how many optimizer steps the engine left out."""

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Count the weights, and remove those of an attempt before.

        Should saving fail, the old ones must not pass for this training's.
        """
        if rank() == 0:
            for path in weights(Path(args.output_dir)):
                path.unlink()
        model = kwargs["model"]
        # Under ZeRO-3 a parameter is a part; `ds_numel` counts the whole.
        counts = [(getattr(p, "ds_numel", p.numel()), p.requires_grad) for p in model.parameters()]
        self.trainable = sum(count for count, trained in counts if trained)
        self.parameters = sum(count for count, _ in counts)
        self.dtype = str(model.dtype).removeprefix("torch.")

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.state = state
        rules = [one for one in self.callbacks if isinstance(one, EarlyStoppingCallback)]
        self.stopped_early = any(
            rule.early_stopping_patience_counter >= rule.early_stopping_patience for rule in rules
        )

    def conclude(self, output: Path, adapter: bool) -> None:
        """Write the completion marker, or why there is none.

        `adapter`: what was to be saved is an adapter, not a whole model.
        """
        expected = "adapter_model" if adapter else "model"
        if self.state is None:
            write_failure(output, 0, "it did not come to the end of its steps")
            return
        step: int = self.state.global_step
        if not any(path.name.startswith(expected) for path in weights(output)):
            write_failure(output, step, f"it saved no {expected}.safetensors")
        elif reason := self._shortfall(not_finite(output)):
            write_failure(output, step, reason)
        else:
            write_json(output / COMPLETED, self._completed().model_dump())

    def _shortfall(self, broken: list[str]) -> str | None:
        """Why a training that came out of its loop is not complete; None when it is."""
        step = self.state.global_step
        if broken:
            first = broken[0]
            return f"it left {len(broken)} tensors with NaN or infinity, the first: {first}"
        if step < self.state.max_steps and not self.stopped_early:
            return f"it ended at step {step} of {self.state.max_steps}"
        if self.skipped() and self._taken() == 0:
            return f"none of its {step} steps was taken: no gradient was finite"
        return None

    def _taken(self) -> int:
        """Steps that moved the weights: the trainer counts those, too, that the engine left out."""
        taken: int = self.state.global_step - self.skipped()
        return taken

    def _completed(self) -> Completed:
        return Completed(
            binding=self.binding,
            steps=self._taken(),
            skipped_steps=self.skipped(),
            planned_steps=self.state.max_steps,
            trainable_parameters=self.trainable,
            parameters=self.parameters,
            dtype=self.dtype,
            peak_memory=peak_memory(),
            trainer=self.describe(),
            plugins=list(self.plugins),
            history=self.state.log_history,
        )


def write_failure(output: Path, step: int, reason: str) -> None:
    """Leave word why a training stopped at this optimizer step."""
    write_json(output / FAILURE, Failure(step=step, reason=reason).model_dump())


def peak_memory() -> PeakMemory:
    """The most this process (rank 0) held; after a resumption, since it was resumed."""
    if torch.cuda.is_available():
        return PeakMemory(bytes=torch.cuda.max_memory_allocated(), of="GPU memory allocated")
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return PeakMemory(bytes=resident, of="resident memory")


def stop_at_non_finite_loss(trainer: Any, output: Path) -> None:
    """Make the trainer stop at the first loss that is NaN or infinite: Axolotl trains on."""
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
    write_failure(output, step, reason)
    raise FloatingPointError(reason)


def record_first_step(trainer: Any, output: Path) -> None:
    """Make the trainer save the first batch it trains on, and its own figures of it."""
    compute = trainer.compute_loss

    def compute_loss(model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        result = compute(model, inputs, *args, **kwargs)
        if trainer.model.training:
            trainer.compute_loss = compute  # once is enough
            if trainer.state.global_step == 0:
                _save_first_step(trainer, inputs, output)
        return result

    trainer.compute_loss = compute_loss


def _save_first_step(trainer: Any, inputs: Any, output: Path) -> None:
    batch = {name: inputs[name].detach().cpu().contiguous() for name in BATCH if name in inputs}
    output.mkdir(parents=True, exist_ok=True)
    save_file(batch, output / f"first_step.rank{rank()}.safetensors")
    is_preference = "completion_mask" in batch
    if rank() == 0 and is_preference:
        said = {name: values[-1] for name, values in trainer._metrics["train"].items()}
        write_json(output / FIRST_STEP, said)


def weights(output: Path) -> list[Path]:
    """The saved weights: an adapter's file, a model's, or its parts."""
    saved = output.glob("*.safetensors")
    return sorted(path for path in saved if not path.name.startswith("first_step"))


def not_finite(output: Path) -> list[str]:
    """Names of saved tensors that hold NaN or infinity.

    They are read piece by piece: asked whole, an embedding takes four times its numbers, and the
    file is mapped beside the model.
    """
    saved = Tensors(weights(output))
    return [
        name
        for name, tensor in saved.items()
        if not all(bool(torch.isfinite(piece).all()) for piece in tensor.pieces())
    ]
