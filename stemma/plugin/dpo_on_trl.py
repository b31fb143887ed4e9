"""A DPO trainer in TRL's place: the same result, faster.

What it cannot do alike it leaves to the trainer below it: TRL's or Axolotl's.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from accelerate.logging import get_logger
from torch import Tensor
from trl import DPOTrainer
from trl.models.utils import _ForwardRedirection, disable_gradient_checkpointing, prepare_deepspeed
from trl.trainer.utils import maybe_gather_lm_head_ctx, use_adapter

from stemma.plugin import shared
from stemma.plugin.batches import LengthGrouped, TellEpoch
from stemma.plugin.head import TOLERANCE, backbone, frozen_head, other_loss, own_logps, probe
from stemma.plugin.logps import Head
from stemma.plugin.preference import (
    Pairs,
    before_answers,
    measurements,
    metrics,
    score_pairs,
    sigmoid_loss,
)
from stemma.plugin.reference import Cache, add_reference, digest_weights
from stemma.recipe.sections import DpoTrainer as Options

LOG = get_logger(__name__)
REFERENCE = ("ref_chosen_logps", "ref_rejected_logps")
"""Columns of a batch: the reference's log-probabilities [pairs], where they are precomputed."""
NOT_MODEL = {"completion_mask", *REFERENCE}
"""Of a batch, what the model does not take."""


class DpoOnTrl(DPOTrainer):
    """A trainer that takes what the one below it takes, and Stemma's options besides.

    `options` are the recipe's `dpo.trainer`; `kept` is the folder of precomputed references.
    """

    _precompute_engine: Any

    def __init__(
        self, *given: Any, options: Options, kept: Path | None = None, **named: Any
    ) -> None:
        self.options = options
        self.kept = kept
        # Through the engine's forward, whose hooks gather what ZeRO-3 spread.
        self.redirect = _ForwardRedirection()
        self.proved = False
        self.compared = False
        super().__init__(*given, **named)

    @cached_property
    def head(self) -> Head | str:
        """The frozen head, or why the stock trainer computes the loss."""
        found = other_loss(self, self.options) or frozen_head(self.model)
        if isinstance(found, str):
            LOG.warning(f"DPO's loss is left to the stock trainer: {found}")
        return found

    @cached_property
    def shares(self) -> bool:
        """Whether the two sequences of a pair go through the model as one."""
        if not self.options.shared_prompts:
            return False
        reason = shared.why_not(self.model.config.get_text_config())
        if reason is None and self.args.truncation_mode == "keep_end":
            reason = "`truncation_mode: keep_end`"
        if reason:
            LOG.warning(f"prompts are not shared: {reason}")
        return reason is None

    def describe(self) -> dict[str, str]:
        """What this trainer does, for the completion marker."""
        logps = "answers only, fp32" + ", prompts shared" * self.shares
        return {
            "logps": f"stock trainer: {self.head}" if isinstance(self.head, str) else logps,
            "batches": "grouped by length" if self.options.group_by_length else "at random",
            "reference": "precomputed" if self.precompute_ref_logps else "with each batch",
        }

    def _prepare_inputs(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """Keep the reference's log-probabilities in float32.

        Under DeepSpeed transformers casts floats to the model's dtype: in bfloat16 a reference of
        -300 nats would be rounded by up to 1.
        """
        exact = {name: inputs[name].to(self.args.device) for name in REFERENCE if name in inputs}
        return {**super()._prepare_inputs(inputs), **exact}

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        if not self.options.group_by_length:
            return super()._get_train_sampler(train_dataset)
        args = self.args
        dataset = self.train_dataset if train_dataset is None else train_dataset
        batch = args.train_batch_size * args.gradient_accumulation_steps * args.world_size
        sampler = LengthGrouped(self._lengths(dataset), batch, args.seed)
        self.add_callback(TellEpoch(sampler))
        return sampler

    def _lengths(self, dataset: Any) -> list[int]:
        """Tokens of the longer of a pair's two sequences, as the collator cuts them."""
        longest = self.args.max_length or float("inf")
        columns = (dataset[name] for name in ("prompt_ids", "chosen_ids", "rejected_ids"))
        return [
            int(min(len(p) + max(len(c), len(r)), longest))
            for p, c, r in zip(*columns, strict=True)
        ]

    def _precompute_ref_logps(self, dataset: Any, name: str, batch_size: int) -> Any:
        model = self._placed()

        def score(rows: list[int]) -> tuple[Tensor, Tensor]:
            batch = self.data_collator([dataset[row] for row in rows])
            found: tuple[Tensor, Tensor] = self.compute_ref_log_probs(
                model, self._prepare_inputs(batch)
            )
            return found

        folder = Path(self.model.config._name_or_path)
        weights = digest_weights(folder, getattr(self.model.config, "_commit_hash", None))
        settings = {
            name: str(getattr(self.args, name))
            for name in ("max_length", "truncation_mode", "ld_alpha")
        }
        settings |= {
            "dtype": str(self.model.dtype),
            "ours": str(self._is_ours(model)),
            "shares": str(self.shares),
        }
        cache = Cache(self.kept or Path(self.args.output_dir) / "reference", weights, settings)
        found = add_reference(dataset, self._lengths(dataset), cache, self.accelerator, score)
        self._release_engine()
        return found

    def _release_engine(self) -> None:
        """End the engine that computed the reference.

        TRL leaves it, and its hooks then gather what ZeRO-3 spread beside those of the training's
        own engine: more exchange, and a crash where the reference took a single pass ("pop from an
        empty deque").
        """
        engine = self._precompute_engine
        self._precompute_engine = None
        if engine is not None:
            engine.destroy()

    def _placed(self) -> Any:
        """The model where it can compute before training prepares it.

        Under ZeRO-3 that takes an engine, as in TRL.
        """
        deepspeed = self.accelerator.state.deepspeed_plugin
        if deepspeed is None or deepspeed.zero_stage != 3:
            return self.model.to(self.accelerator.device)
        if self._precompute_engine is None:
            self._precompute_engine = prepare_deepspeed(self.model, self.accelerator)
        return self._precompute_engine

    def _is_ours(self, model: Any) -> bool:
        """Whether Stemma computes the loss; the first call proves the model's head."""
        if isinstance(self.head, Head) and not self.proved:
            self.proved = True
            apart = self._inside(model, self._difference)
            nats = self.accelerator.gather(apart).max().item()
            if not nats <= TOLERANCE[self.head.weight.dtype]:  # a NaN, too, is no proof
                self.head = f"the model's logits are not those of its head ({nats:.2g} nats apart)"
                LOG.warning(f"DPO's loss is left to the stock trainer: {self.head}")
        return isinstance(self.head, Head)

    @torch.no_grad()
    def _difference(self, model: Any) -> Tensor:
        """How far our log-probability of a token lies from the model's own, in nats."""
        batch = probe(model)
        pairs = self._score(model, batch, measure=False)
        ours = torch.cat([pairs.chosen, pairs.rejected])
        tokens = batch["input_ids"].shape[1] - 1
        return (ours - own_logps(model, batch)).abs().amax() / tokens

    def _inside(self, model: Any, method: Any, *given: Any) -> Any:
        """Call a method inside the engine's forward pass, with the bare model."""
        unwrapped = self.accelerator.unwrap_model(model)
        return self.redirect(model, unwrapped, method, unwrapped, *given)

    def _score(self, model: Any, inputs: dict[str, Tensor], measure: bool) -> Pairs:
        """The scores of a batch's answers, with its prompts shared where they can be."""
        assert isinstance(self.head, Head)
        rows, columns = before_answers(inputs).nonzero(as_tuple=True)
        given = {name: value for name, value in inputs.items() if name not in NOT_MODEL}
        if self.shares:
            joined = shared.join(inputs)
            given = shared.inputs(joined, model.config.get_text_config(), model.dtype)
            columns = joined.places[rows, columns]
            rows = rows % len(joined.ids)
        with self.accelerator.autocast():
            hidden = backbone(model)(**given, use_cache=False).last_hidden_state
        with maybe_gather_lm_head_ctx(self.head.weight, self.head.bias):
            return score_pairs(hidden[rows, columns], inputs, self.head, measure)

    @torch.no_grad()
    def _score_reference(self, model: Any, inputs: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        adapter = "ref" if "ref" in model.peft_config else None
        settings = self.args.gradient_checkpointing_kwargs
        without_checkpointing = disable_gradient_checkpointing(self.model, settings)
        with without_checkpointing, use_adapter(model, adapter_name=adapter):
            pairs = self._score(model, inputs, measure=False)
        return pairs.chosen, pairs.rejected

    def compute_ref_log_probs(self, model: Any, inputs: dict[str, Tensor]) -> Any:
        if not self._is_ours(model):
            return super().compute_ref_log_probs(model, inputs)
        return self._inside(model, self._score_reference, inputs)

    def _compute_loss(self, model: Any, inputs: dict[str, Tensor], return_outputs: bool) -> Any:
        if self.precompute_ref_logps and self.model.training and not self.compared:
            inputs = self._compare_reference(model, inputs)
        if not self._is_ours(model) or return_outputs:
            return super()._compute_loss(model, inputs, return_outputs)
        return self._inside(model, self._loss, inputs)

    def _compare_reference(self, model: Any, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """Compute the first batch's reference anew, and note how far the kept one lies from it.

        The first batch of a training takes the new one, so that its margins must be 0; the first of
        a resumed training is only compared.
        """
        self.compared = True
        with torch.no_grad():
            anew = dict(zip(REFERENCE, self.compute_ref_log_probs(model, inputs), strict=True))
        apart = torch.stack([(inputs[name] - anew[name]).abs().max() for name in REFERENCE]).max()
        nats = self.accelerator.gather(apart).max().item()
        self._metrics["train"]["reference/apart"].append(nats)
        return {**inputs, **anew} if self.state.global_step == 0 else inputs

    def _loss(self, model: Any, inputs: dict[str, Tensor]) -> Tensor:
        policy = self._score(model, inputs, measure=True)
        if self.precompute_ref_logps:
            reference = inputs[REFERENCE[0]], inputs[REFERENCE[1]]
        else:
            reference = self._score_reference(model, inputs)
        tokens = inputs["attention_mask"].sum(1).view(2, -1).sum(0)
        self._note(measurements(policy, reference, self.beta, tokens))
        return sigmoid_loss(policy, reference, self.beta)

    def _note(self, figures: dict[str, Tensor]) -> None:
        """Log a batch's metrics, in one exchange between ranks and one wait for the GPU.

        TRL takes a dozen of each.
        """
        mode = "train" if self.model.training else "eval"
        columns = torch.stack([values.float() for values in figures.values()], dim=1)
        table = self.accelerator.gather(columns)
        sums = dict(zip(figures, table.double().sum(0).tolist(), strict=True))
        for name, value in metrics(sums).items():
            self._metrics[mode][name].append(value)
        if mode == "train":
            self._total_train_tokens += round(sums["tokens"])
        self._metrics[mode]["num_tokens"] = [self._total_train_tokens]
