"""The output layer that `logps` can take, or why the stock trainer must compute the loss."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from peft import PeftModel, PromptLearningConfig

from stemma.plugin.logps import Head

if TYPE_CHECKING:
    from stemma.recipe.sections import DpoTrainer as Options

TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 0.3, torch.float16: 0.1}
"""Nats by the head's dtype: how far a token's log-probability may lie from the model's own."""


def other_loss(trainer: Any, options: Options) -> str | None:
    """Why a TRL trainer's loss is another than ours, which is plain DPO on text; None if not."""
    losses = (trainer.loss_types, trainer.loss_weights)
    reasons = {
        "`chunked_logps: false`": not options.chunked_logps,
        f"loss {losses[0]} with weights {losses[1]}": losses != (["sigmoid"], [1.0]),
        f"divergence {trainer.f_divergence_type}": trainer.f_divergence_type != "reverse_kl",
        "`ld_alpha`": trainer.ld_alpha is not None,
        "`use_weighting`": trainer.use_weighting,
        "a loss of the router": trainer.aux_loss_enabled,
        "pictures": trainer._is_vision_dataset,
        "a separate reference model": trainer.ref_model is not None,
    }
    return next((reason for reason, holds in reasons.items() if holds), None)


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
    cap = getattr(model.config.get_text_config(), "final_logit_softcapping", None)
    return Head(layer.weight, layer.bias, cap)


def backbone(model: Any) -> Any:
    """The model without its head, LoRA layers included."""
    return model.base_model.model.base_model


def probe(model: Any) -> dict[str, torch.Tensor]:
    """A short pair of any tokens, to compare our log-probabilities with the model's own.

    Some architectures scale or shift what comes out of the head, or attend in ways of their own.
    """
    generator = torch.Generator().manual_seed(0)
    vocabulary = model.config.get_text_config().vocab_size
    ids = torch.randint(vocabulary, (2, 24), generator=generator)
    ids[1, :8] = ids[0, :8]  # the prompt, which both share
    answers = torch.ones_like(ids)
    answers[:, :8] = 0
    batch = {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "completion_mask": answers,
    }
    return {name: values.to(model.device) for name, values in batch.items()}


def own_logps(model: Any, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """The summed log-probability [2] of each of the probe's answers by the model's own logits."""
    ids = batch["input_ids"]
    mask = batch["attention_mask"]
    logits = model(input_ids=ids, attention_mask=mask, use_cache=False).logits[:, :-1].float()
    logps = logits.log_softmax(-1).gather(2, ids[:, 1:, None])[..., 0]
    return (logps * batch["completion_mask"][:, 1:]).sum(1)
