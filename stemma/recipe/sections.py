"""The recipe's sections of training, sweep and export, as strict models."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from math import prod
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, field_validator, model_validator

from stemma.recipe.made_model import gemma_faults
from stemma.strict import StrictRecord

Count = Annotated[int, Field(gt=0, le=10**9)]
"""A number of things there are."""
Tokens = Annotated[int, Field(gt=0, le=10**7)]
Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]
"""A seed as numpy takes it."""
Revision = Annotated[str, Field(pattern=r"^\S{1,200}$")]
"""A commit, branch or tag of the hub."""
GGUF_TYPES = ("F32", "F16", "BF16", "Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M")

Start = Literal["base", "sft", "dpo"]

AXOLOTL_DEFAULTS: dict[str, Any] = {
    "logging_steps": 5,
    "save_steps": 0.25,
    "save_total_limit": 2,
    "gradient_accumulation_steps": 1,
    "sequence_len": 512,
    "dataset_num_proc": 0,
    "dataloader_num_workers": 0,
    "attn_implementation": "sdpa",
    "include_tokens_per_second": False,
    "lora_mlp_kernel": False,
    "lora_qkv_kernel": False,
    "lora_o_kernel": False,
    "lora_embedding_kernel": False,
}
"""Axolotl's keys as Stemma sets them unless the recipe does.

Steps below 1 are shares of the run. Data is prepared in the training process itself (0): a
pool of even one costs seconds to start, six times a stage. Axolotl would turn its Triton LoRA
kernels on by itself, also where there is no GPU to run them.
"""

NEEDED = (
    "gradient_accumulation_steps",
    "lora_alpha",
    "lora_r",
    "micro_batch_size",
    "num_epochs",
    "optimizer",
    "save_total_limit",
    "sequence_len",
)
"""Axolotl's keys that every forecast computes with: null stands for what they are by default."""


def with_defaults(keys: dict[str, Any]) -> dict[str, Any]:
    """The Axolotl keys a stage trains with."""
    given = {key: value for key, value in keys.items() if value is not None or key not in NEEDED}
    return AXOLOTL_DEFAULTS | given


class Section(StrictRecord):
    """A section of the recipe. An unknown key or a wrong type is an error."""


class AxolotlSection(StrictRecord):
    """A section with keys of Axolotl beside its own; `axolotl_keys.py` checks them."""

    model_config = ConfigDict(extra="allow")

    @property
    def axolotl(self) -> dict[str, Any]:
        """The keys that are Axolotl's, as the recipe has them."""
        return dict(self.model_extra or {})


FEWEST_PIECES = 4 + 107 + 256 + 1
"""Pieces of a tokenizer made on the spot: Gemma's special ones, its reserved ones, the bytes, and
one character."""


class Tokenizer(Section):
    """A SentencePiece BPE tokenizer trained on the corpus, with Gemma's special ids."""

    vocab_size: Annotated[int, Field(ge=FEWEST_PIECES, le=10**6)]
    """Number of tokens, special ones included: Gemma's, 256 bytes, and each character of the corpus
    but the rarest; then words and their parts."""


class BaseModelSection(AxolotlSection):
    """A base model made on the spot. Further keys are Axolotl's: how it is pretrained."""

    model: dict[str, Any]
    """Keys of transformers' config.json, e.g. `hidden_size`; Gemma's defaults for the others."""
    tokenizer: Tokenizer
    """The tokenizer to train on `data.corpus`."""

    @field_validator("model")
    @classmethod
    def _is_a_gemma(cls, model: dict[str, Any]) -> dict[str, Any]:
        if wrong := "; ".join(gemma_faults(model)):
            raise ValueError(wrong)
        return model


class TrainingStage(AxolotlSection):
    """A stage that trains a LoRA adapter and merges it."""

    start_from: Start
    """The stage whose merged weights training starts on; for `dpo` also the reference."""


class AnswerStage(TrainingStage):
    """A stage that trains on answers: SFT and MCQ."""

    loss_average: Literal["step", "micro_batch"] = "step"
    """A step's loss is the mean over all its trained tokens, on however many ranks. `micro_batch`
    is Axolotl's own: over several ranks the mean of their means, which depends on how the rows were
    shared out."""


class DpoTrainer(Section):
    """What Stemma's own DPO trainer does (`stemma/plugin`), each part by itself. All of it leaves a
    batch's loss as it is; `trainer: stock` instead is Axolotl's own trainer."""

    chunked_logps: bool = True
    """Log-probabilities of the answers' tokens only, in fp32, without a tensor of all logits."""
    group_by_length: bool = True
    """Pairs of like length share a batch, so that less is padding; another order than the stock
    trainer's."""
    precompute_reference: bool = True
    """The reference's log-probabilities once, before training, kept in the stage's folder."""
    shared_prompts: bool = False
    """Chosen and rejected in one sequence behind their prompt, which is computed once."""


class PreferenceStage(TrainingStage):
    """The DPO stage. `trainer: stock` is Axolotl's own trainer."""

    trainer: Literal["stock"] | DpoTrainer = DpoTrainer()
    """Settings of Stemma's own DPO trainer, or `stock` for Axolotl's."""


MOST_TRIALS = 1000
"""Combinations of a sweep, at most."""


class Sweep(Section):
    """`values` are Axolotl's keys of the stage, each with the values to try: all combinations
    train. Under `_`, as in Axolotl's own sweeps, stands a list of settings that belong together."""

    stage: Literal["sft", "dpo", "mcq"]
    """The training stage whose settings are tried."""
    values: dict[str, Annotated[list[Any], Field(min_length=1)]] = Field(min_length=1)
    """The values to try by Axolotl key; `_` holds a list of settings that belong together."""
    metric: Annotated[str, Field(pattern="^eval_")] = "eval_loss"
    """Of the trainer's log, on held-out rows, e.g. `eval_rewards/accuracies`; its last value
    counts."""
    goal: Literal["min", "max"] = "min"
    """Whether the lowest or the highest `metric` is best."""

    @field_validator("values")
    @classmethod
    def _go_together(cls, values: dict[str, list[Any]]) -> dict[str, list[Any]]:
        for together in values.get("_", []):
            if not isinstance(together, dict) or not together:
                example = "{learning_rate: 1e-4, num_epochs: 2}"
                raise ValueError(f"`_` holds {together!r}; it lists mappings, e.g. {example}")
            if twice := [key for key in together if key in values]:
                raise ValueError(f"`{twice[0]}` stands under `_` too, which would hide its values")
        alone = prod(len(tried) for key, tried in values.items() if key != "_")
        if (trials := alone * len(values.get("_", [{}]))) > MOST_TRIALS:
            raise ValueError(
                f"{trials:,} combinations; each is a training: at most {MOST_TRIALS:,}"
            )
        return values

    def settings(self) -> list[tuple[str, Any]]:
        """Every single (key, value) that is tried."""
        paired = [pair for together in self.values.get("_", []) for pair in together.items()]
        return [
            *(
                (key, value)
                for key, values in self.values.items()
                if key != "_"
                for value in values
            ),
            *paired,
        ]

    def combinations(self) -> Iterator[dict[str, Any]]:
        """All that is tried, as Axolotl's generator combines it but for the order."""
        alone = {key: values for key, values in self.values.items() if key != "_"}
        for together in self.values.get("_", [{}]):
            for chosen in product(*alone.values()):
                yield dict(zip(alone, chosen, strict=True)) | together


class Merge(Section):
    """Adapter and base model made one."""

    dtype: Literal["float32", "bfloat16", "float16"] = "bfloat16"
    """Number format of the merged weights."""


class Gguf(Section):
    """GGUF files for llama.cpp."""

    types: list[Literal["F32", "F16", "BF16", "Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M"]] = Field(
        min_length=1
    )
    """GGUF files to write, by llama.cpp's quantisation types."""


class Gates(Section):
    """How far a format may drift from the merged model before the export stops."""

    prompts: Annotated[int, Field(ge=1, le=10_000)] = 32
    """Conversations on which each format is compared with the merged model."""
    max_kl: dict[str, Annotated[float, Field(gt=0, le=1000)]] = {}
    """Nats per token by variant name, e.g. `gguf-Q4_K_M: 0.2`; overrides the built-in budgets."""
    min_top1: dict[str, Annotated[float, Field(ge=0, le=1)]] = {}
    """Share of tokens where both find the same one likeliest, e.g. `bnb-nf4: 0.6`; likewise."""

    @field_validator("max_kl", "min_top1")
    @classmethod
    def _formats_exist(cls, limits: dict[str, float]) -> dict[str, float]:
        known = ["bnb-int8", "bnb-nf4", *(f"gguf-{name}" for name in GGUF_TYPES)]
        if unknown := [name for name in limits if name not in known]:
            raise ValueError(f"unknown {', '.join(unknown)}; formats are {', '.join(known)}")
        return limits


class ExportSection(Section):
    """The formats to make of a trained model, and which of them a laptop gets."""

    model_config = ConfigDict(populate_by_name=True)

    from_: Literal["base", "sft", "dpo", "mcq"] = Field(alias="from")
    """The stage whose model is exported."""
    merge: Merge = Merge()
    """How adapter and base model become one model."""
    bitsandbytes: list[Literal["int8", "nf4"]] = []
    """bitsandbytes variants to save, none by default."""
    gguf: Gguf
    """GGUF files for llama.cpp."""
    gates: Gates = Gates()
    """Limits on how far a format may drift from the merged model."""
    ship: str
    """The variant the laptop gets, e.g. `gguf-Q4_K_M`."""

    @model_validator(mode="after")
    def _formats_are_made_once(self) -> ExportSection:
        made = [*(f"bnb-{kind}" for kind in self.bitsandbytes)]
        made += [f"gguf-{kind}" for kind in self.gguf.types]
        if twice := [name for name in made if made.count(name) > 1]:
            raise ValueError(f"the format {twice[0]} stands there twice")
        for key, limits in (("max_kl", self.gates.max_kl), ("min_top1", self.gates.min_top1)):
            if idle := [name for name in limits if name not in made]:
                formats = ", ".join(made)
                raise ValueError(f"gates.{key}: `{idle[0]}` is not exported; it makes {formats}")
        return self
