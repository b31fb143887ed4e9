"""SFT's loss: rows weigh alike by their tokens, whatever micro-batches they came in. Ranks:
`test_two_machines.py`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from axolotl.core.trainers.base import AxolotlTrainer
from axolotl.core.training_args import AxolotlTrainingArguments
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer, DataCollatorForSeq2Seq

from stemma.plugin.step_mean import average_over_the_step
from tests.factories.models import tiny_model

LONG, SHORT = list(range(110, 130)), [140, 141]


def train(output: Path, rows: int, accumulated: int, average: bool) -> tuple[float, torch.Tensor]:
    """The logged loss and the changed weights of one plain SGD step over a long row and a short
    one."""
    tokenizer = AutoTokenizer.from_pretrained(tiny_model(), padding_side="right")
    data = [
        {"input_ids": ids, "attention_mask": [1] * len(ids), "labels": ids} for ids in (LONG, SHORT)
    ]
    args = AxolotlTrainingArguments(
        output_dir=str(output),
        per_device_train_batch_size=rows,
        gradient_accumulation_steps=accumulated,
        max_steps=1,
        learning_rate=0.1,
        optim="sgd",
        max_grad_norm=0.0,
        use_cpu=True,
        report_to=[],
        logging_steps=1,
        average_tokens_across_devices=False,
        save_strategy="no",
        disable_tqdm=True,
    )
    model = AutoModelForCausalLM.from_pretrained(tiny_model(), dtype=torch.float32)
    trainer: Any = AxolotlTrainer(
        model=model,
        args=args,
        train_dataset=Dataset.from_list(data),
        processing_class=tokenizer,
        data_collator=DataCollatorForSeq2Seq(tokenizer),
    )
    if average:
        average_over_the_step(trainer)
    trainer.train()
    [loss] = [row["loss"] for row in trainer.state.log_history if "loss" in row]
    return loss, torch.cat([weight.detach().flatten() for weight in model.parameters()])


@pytest.mark.parametrize("average", [True, False])
def test_micro_batches_change_nothing(tmp_path: Path, average: bool) -> None:
    """Nor on Axolotl's own, on one process; on two ranks its own does (`test_two_machines.py`)."""
    loss, weights = train(tmp_path, rows=2, accumulated=1, average=average)
    split_loss, split_weights = train(tmp_path, rows=1, accumulated=2, average=average)
    assert split_loss == pytest.approx(loss, abs=1e-5)
    assert torch.allclose(split_weights, weights, atol=1e-6)
