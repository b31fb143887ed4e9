"""DPO in a plain loop, where no trainer is installed: torch, transformers and peft are enough.

With switches it is Stemma's trainer without the trainer around it: the same batches, the same loss
of answer tokens only, the reference computed once. Without, it makes all logits and computes the
reference in every step, as plain code does. It has the methods of a trainer that `bench.gpu.dpo`
asks for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from peft import get_peft_model
from torch import Tensor
from torch.nn.functional import logsigmoid

from bench.dpo_setting import (
    BOS,
    DIGIT,
    EOS,
    PAD,
    Pair,
    Setting,
    Switches,
    draw_pairs,
    make_adapter,
    make_model,
    stir,
)
from stemma.plugin import shared
from stemma.plugin.batches import LengthGrouped, by_tokens
from stemma.plugin.head import backbone, frozen_head
from stemma.plugin.logps import Head
from stemma.plugin.preference import before_answers, score_pairs

REFERENCE = ("ref_chosen_logps", "ref_rejected_logps")
BETA = 0.1
LEARNING_RATE = 1e-6
SEED = 0
"""TRL's defaults."""
TOKENS_AT_ONCE = 65_536
"""Of the reference's pass."""

Row = dict[str, Any]
Logps = tuple[Tensor, Tensor]
"""The summed log-probabilities of chosen and rejected answers."""


class PlainLoop:
    """Whole steps on the bench's pairs."""

    def __init__(self, setting: Setting, switches: Switches | None) -> None:
        self.setting, self.switches = setting, switches
        self.model = get_peft_model(make_model(setting), make_adapter())
        self.head = self._head() if switches else None
        self.train_dataset = list(map(tokens, draw_pairs(setting)))
        if switches and switches.precompute_reference:
            self._precompute()
        stir(self.model, setting.device)
        trained = [weight for weight in self.model.parameters() if weight.requires_grad]
        self.optimizer = torch.optim.AdamW(
            trained, lr=LEARNING_RATE, fused=setting.device == "cuda"
        )

    def _head(self) -> Head:
        found = frozen_head(self.model)
        if isinstance(found, str):
            raise TypeError(f"the bench's model has no frozen head: {found}")
        return found

    def _precompute(self) -> None:
        """The reference of all rows, in large batches of like length; the adapter is off."""
        lengths = [2 * length(row) for row in self.train_dataset]
        for some in by_tokens(lengths, TOKENS_AT_ONCE):
            batch = self._prepare_inputs(
                self.data_collator([self.train_dataset[row] for row in some])
            )
            for name, values in zip(REFERENCE, self._reference(batch), strict=True):
                for row, value in zip(some, values.tolist(), strict=True):
                    self.train_dataset[row][name] = value

    def get_train_dataloader(self) -> Iterator[dict[str, Tensor]]:
        size = self.setting.pairs
        rows = self.train_dataset
        if self.switches and self.switches.group_by_length:
            order = list(LengthGrouped(list(map(length, rows)), size, SEED))
        else:
            order = torch.randperm(
                len(rows), generator=torch.Generator().manual_seed(SEED)
            ).tolist()
        for start in range(0, len(order), size):
            yield self.data_collator([rows[row] for row in order[start : start + size]])

    def data_collator(self, rows: Sequence[Row]) -> dict[str, Tensor]:
        """As TRL's: first all chosen, then all rejected, padded on the right."""
        parts = [(row["prompt"], row[answer]) for answer in ("chosen", "rejected") for row in rows]
        batch = {
            "input_ids": padded([prompt + answer for prompt, answer in parts], PAD),
            "attention_mask": padded([[1] * len(prompt + answer) for prompt, answer in parts], 0),
            "completion_mask": padded(
                [[0] * len(prompt) + [1] * len(answer) for prompt, answer in parts], 0
            ),
        }
        if REFERENCE[0] in rows[0]:
            batch |= {name: torch.tensor([row[name] for row in rows]) for name in REFERENCE}
        return batch

    def _prepare_inputs(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        return {name: values.to(self.setting.device) for name, values in batch.items()}

    def training_step(self, model: Any, inputs: dict[str, Tensor]) -> Tensor:
        model.train()
        loss = self.compute_loss(model, inputs)
        loss.backward()
        return loss.detach()

    def compute_loss(self, _model: Any, inputs: dict[str, Tensor]) -> Tensor:
        chosen, rejected = self._logps(inputs)
        kept = inputs.get(REFERENCE[0]), inputs.get(REFERENCE[1])
        before = self._reference(inputs) if kept[0] is None else kept
        return -logsigmoid(BETA * (chosen - before[0] - rejected + before[1])).mean()

    @torch.no_grad()
    def _reference(self, inputs: dict[str, Tensor]) -> Logps:
        with self.model.disable_adapter():
            return self._logps(inputs)

    def _logps(self, inputs: dict[str, Tensor]) -> Logps:
        on_gpu = self.setting.device == "cuda"
        with torch.autocast(self.setting.device, dtype=torch.bfloat16, enabled=on_gpu):
            return self._ours(inputs, self.head) if self.head else self._whole(inputs)

    def _ours(self, inputs: dict[str, Tensor], head: Head) -> Logps:
        """As `stemma/plugin/dpo_on_trl.py` has it, without engines, ranks and measurements."""
        rows, columns = before_answers(inputs).nonzero(as_tuple=True)
        given: dict[str, Any] = {name: inputs[name] for name in ("input_ids", "attention_mask")}
        if self.switches and self.switches.shared_prompts:
            joined = shared.join(inputs)
            given = shared.inputs(joined, self.model.config, self.model.dtype)
            rows, columns = rows % len(joined.ids), joined.places[rows, columns]
        hidden = backbone(self.model)(**given, use_cache=False).last_hidden_state
        pairs = score_pairs(hidden[rows, columns], inputs, head, measure=False)
        return pairs.chosen, pairs.rejected

    def _whole(self, inputs: dict[str, Tensor]) -> Logps:
        """All logits, in fp32."""
        ids = inputs["input_ids"]
        mask = inputs["attention_mask"]
        logits = (
            self.model(input_ids=ids, attention_mask=mask, use_cache=False).logits[:, :-1].float()
        )
        logps = logits.log_softmax(-1).gather(2, ids[:, 1:, None])[..., 0]
        chosen, rejected = (logps * before_answers(inputs)).sum(1).chunk(2)
        return chosen, rejected


def tokens(pair: Pair) -> Row:
    """As TRL makes them of the bench's pairs: <bos> before the prompt, <eos> behind each answer."""
    ids = {name: [DIGIT + int(digit) for digit in text] for name, text in pair.items()}
    return {
        "prompt": [BOS, *ids["prompt"]],
        "chosen": [*ids["chosen"], EOS],
        "rejected": [*ids["rejected"], EOS],
    }


def length(row: Row) -> int:
    """Tokens of the longer of a pair's two sequences."""
    return len(row["prompt"]) + max(len(row["chosen"]), len(row["rejected"]))


def padded(rows: Sequence[Sequence[int]], value: int) -> Tensor:
    width = max(map(len, rows))
    return torch.tensor([[*row, *[value] * (width - len(row))] for row in rows])
