"""What a model's output layer must be for `logps`; otherwise the reason why the stock trainer computes the loss."""

from __future__ import annotations

from typing import Any

import torch
from peft import PeftModel, PromptLearningConfig

from stemma.plugin.logps import Head

TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 0.3, torch.float16: 0.1}
"""Nats by the head's dtype: how far a token's log-probability may be from what the model's own logits say."""


def frozen_head(model: Any) -> Head | str:
    """The model's head, or why it cannot be taken for a frozen linear layer."""
    if not isinstance(model, PeftModel):
        return "the whole model is trained"
    if any(isinstance(config, PromptLearningConfig) for config in model.peft_config.values()):
        return "the adapter is a learnt prompt"
    layer: Any = model.get_output_embeddings()
    if any(parameter.requires_grad for parameter in layer.parameters()):
        return "the head is trained"
    if type(layer) is not torch.nn.Linear:
        return f"the head is a {type(layer).__name__}"
    return Head(layer.weight, layer.bias, getattr(model.config.get_text_config(), "final_logit_softcapping", None))


def backbone(model: Any) -> Any:
    """The model without its head, LoRA layers included."""
    return model.base_model.model.base_model


def probe(model: Any) -> dict[str, torch.Tensor]:
    """A short pair of any tokens, to compare our log-probabilities with those of the model's own logits: some
    architectures scale or shift what comes out of the head, or attend in ways of their own."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(model.config.get_text_config().vocab_size, (2, 24), generator=generator)
    ids[1, :8] = ids[0, :8]
    answers = torch.ones_like(ids)
    answers[:, :8] = 0
    batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "completion_mask": answers}
    return {name: values.to(model.device) for name, values in batch.items()}


def own_logps(model: Any, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """The summed log-probability of each of the probe's answers by the model's own logits."""
    ids = batch["input_ids"]
    logits = model(input_ids=ids, attention_mask=batch["attention_mask"], use_cache=False).logits[:, :-1].float()
    logps = logits.log_softmax(-1).gather(2, ids[:, 1:, None])[..., 0]
    return (logps * batch["completion_mask"][:, 1:]).sum(1)
