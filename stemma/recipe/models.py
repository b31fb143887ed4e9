"""The recipe: what a user writes, as strict models. Reading the YAML file is `stemma.recipe.load`'s work.

Inside `train`, `base`, `sft`, `dpo` and `mcq` the keys are Axolotl's own; everything else is Stemma's.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, model_validator

from stemma import ROOT
from stemma.errors import Problem, UserError
from stemma.recipe.data import DataSection, placeless
from stemma.recipe.sections import (
    AnswerStage,
    BaseModelSection,
    EvalSection,
    ExportSection,
    PreferenceStage,
    Section,
    Sweep,
    TrainingStage,
)

TRAINING = ("sft", "dpo", "mcq")
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
"""What Stemma sets unless the recipe does. Steps below 1 are shares of the run. Data is prepared in the training
process itself (0): a pool of even one costs seconds to start, six times a stage. Axolotl would turn its Triton LoRA
kernels on by itself, also where there is no GPU to run them."""


class Recipe(Section):
    """A recipe, complete and checked: from the base model to the report."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]*$")]
    """The recipe's name, as its file is called without `.yml`; the run lies in `runs/<name>/`."""
    seed: int = 42
    """Every random choice follows from it: splits, samples, shuffles, new weights, training order."""
    base_model: str | None = None
    """The model to train: a name on the Hugging Face hub or a local folder; or give `base`."""
    base_revision: str | None = None
    """The commit of the hub's model, so that the weights are exactly these."""
    base: BaseModelSection | None = None
    """A small base model made on the spot, in place of `base_model`."""
    chat_template: str = ""
    """The Jinja chat template for training, evaluation, export and chat; a path beside the recipe."""
    train: dict[str, Any] = {}
    """Axolotl keys that `sft`, `dpo` and `mcq` share; a stage's own keys go before these."""
    sft: AnswerStage | None = None
    """Supervised fine-tuning on conversations; further keys are Axolotl's."""
    dpo: PreferenceStage | None = None
    """Direct preference optimisation on pairs; further keys are Axolotl's."""
    mcq: AnswerStage | None = None
    """Training on multiple-choice questions; further keys are Axolotl's."""
    data: DataSection
    """The data sets: sources, splits, filters and the generator."""
    exported_as: ExportSection | None = Field(default=None, alias="export")
    """The formats to make of the trained model: merged, bitsandbytes, GGUF."""
    evaluated_by: EvalSection | None = Field(default=None, alias="eval")
    """The variants to score and the tasks to score them on."""
    sweep: Sweep | None = None
    """A search over settings of one training stage, for `make sweep`; outside the chain."""

    path: Path = Field(default=Path(), exclude=True)
    """The file it was read from; relative paths in it (templates, DeepSpeed files) start at its folder."""
    overrides: list[str] = Field(default=[], exclude=True)
    """What the command line changed, as `key=value`."""

    @model_validator(mode="after")
    def _is_whole(self) -> Recipe:
        lacking = [] if self.is_data_only else [name for name in ("export", "eval") if not self._has(name)]
        lacking += [] if self.chat_template or (self.is_data_only and not self.base_model) else ["chat_template"]
        if lacking:
            more = f" (and {', '.join(lacking[1:])})" if lacking[1:] else ""
            raise ValueError(f"{lacking[0]}: missing key `{lacking[0]}`{more}; only a recipe of data alone needs none")
        return self

    def _has(self, name: str) -> bool:
        return (self.exported_as if name == "export" else self.evaluated_by) is not None

    @model_validator(mode="after")
    def _one_base(self) -> Recipe:
        if self.is_data_only and self.base_model is None:
            return self
        if (self.base_model is None) == (self.base is None):
            raise ValueError("give either `base_model` (a folder or hub name) or `base` (a model made on the spot)")
        return self

    @model_validator(mode="after")
    def _stages_exist(self) -> Recipe:
        if self.is_data_only:
            return self
        present = ["base", *self.training_stages()]
        for name in self.training_stages():
            start = self.stage(name).start_from
            if start not in present[: present.index(name)]:
                raise ValueError(
                    f"{name}.start_from: `{start}`, but this recipe has no `{start}` stage before `{name}`"
                )
        if self.export.from_ not in present:
            raise ValueError(f"export.from: `{self.export.from_}`, but this recipe has no such stage")
        if self.eval.reference not in present:
            raise ValueError(f"eval.reference: `{self.eval.reference}`, but this recipe has no such stage")
        return self

    @model_validator(mode="after")
    def _variants_exist(self) -> Recipe:
        if self.is_data_only:
            return self
        unknown = [name for name in self.eval.variants if name not in self.variants()]
        if unknown:
            made = ", ".join(self.variants())
            raise ValueError(f"eval.variants: unknown {', '.join(unknown)}; this recipe makes {made}")
        if self.export.ship not in self.exported():
            raise ValueError(f"export.ship: `{self.export.ship}` is none of {', '.join(self.exported())}")
        return self

    @property
    def is_data_only(self) -> bool:
        """Whether it builds data sets and nothing else: no stage trains, and there is nothing to export or score."""
        return not (self.base or self.training_stages() or self.exported_as or self.evaluated_by)

    @property
    def export(self) -> ExportSection:
        """Raises UserError for a recipe of data alone."""
        if self.exported_as is None:
            raise self._only_data("export")
        return self.exported_as

    @property
    def eval(self) -> EvalSection:
        """Raises UserError for a recipe of data alone."""
        if self.evaluated_by is None:
            raise self._only_data("eval")
        return self.evaluated_by

    def _only_data(self, section: str) -> UserError:
        return UserError(Problem(self.path.name, f"recipe `{self.name}` builds data only", f"a section `{section}`"))

    def training_stages(self) -> list[str]:
        """The LoRA stages this recipe has, in chain order."""
        return [name for name in TRAINING if getattr(self, name) is not None]

    def stage(self, name: str) -> TrainingStage:
        """A LoRA stage's section. Raises KeyError when the recipe has none."""
        section = {"sft": self.sft, "dpo": self.dpo, "mcq": self.mcq}[name]
        if section is None:
            raise KeyError(name)
        return section

    def exported(self) -> list[str]:
        """The variants `export` makes."""
        return [
            "merged",
            *(f"bnb-{kind}" for kind in self.export.bitsandbytes),
            *(f"gguf-{t}" for t in self.export.gguf.types),
        ]

    def variants(self) -> list[str]:
        """Every set of weights this recipe can score."""
        return ["base", *self.training_stages(), *self.exported()]

    @property
    def base_folder(self) -> Path | None:
        """The folder `base_model` names; None where it names a model of the hub."""
        return Path(self.base_model) if self.base_model and Path(self.base_model).is_dir() else None

    @property
    def is_base_local(self) -> bool:
        """Whether `base_model` is a folder: one that is there, or a path, as no model's name on the hub begins."""
        return self.base_folder is not None or bool(self.base_model and self.base_model.startswith(("/", ".", "~")))

    @property
    def base_name(self) -> str | None:
        """`base_model` without a place: the hub's name, or that of a local folder."""
        return Path(self.base_model).absolute().name if self.base_model and self.is_base_local else self.base_model

    @property
    def template(self) -> Path:
        """The chat template's file; a recipe of data alone may name none, and its rows are shown as questions."""
        return self.path.parent / self.chat_template if self.chat_template else ROOT / "recipes/templates/qa.jinja"

    def axolotl(self, stage: str) -> dict[str, Any]:
        """The user's Axolotl keys of a training stage: `train`, overlaid by the stage's own (`base`: its own only)."""
        if stage == "base":
            return self.base.axolotl if self.base else {}
        return {**self.train, **self.stage(stage).axolotl}

    def training_settings(self, stage: str) -> dict[str, Any]:
        """The Axolotl keys a stage trains with: Stemma's defaults under the user's."""
        return AXOLOTL_DEFAULTS | self.axolotl(stage)

    def section(self, stage: str) -> dict[str, Any]:
        """All recipe settings the stage's work depends on: the recipe's part of its freshness key. It holds no place:
        what a path or a local folder means is told by its content."""
        shared: dict[str, Any] = {"seed": self.seed}
        if stage == "data":
            return shared | {"data": self.data.content()}
        if stage == "base":
            return shared | {"base": _without_place(self.base.model_dump(mode="json")) if self.base else None}
        if stage in TRAINING:
            own = self.stage(stage).model_dump(mode="json", include=set(type(self.stage(stage)).model_fields))
            return shared | self._start() | own | {"axolotl": _without_place(self.axolotl(stage))}
        if stage == "export":
            # The name stands in the files' names and metadata, so another recipe's export cannot be taken over.
            exported = {"name": self.name, "export": self.export.model_dump(mode="json", by_alias=True)}
            return shared | self._start() | exported
        scored = shared | self._start() | {"eval": self.eval.model_dump(mode="json"), "name": self.name}
        return scored if stage == "eval" else scored | {"export": self.export.model_dump(mode="json", by_alias=True)}

    def _start(self) -> dict[str, Any]:
        return {"base_model": None if self.is_base_local else self.base_model, "base_revision": self.base_revision}

    def files(self, stage: str) -> dict[str, Path]:
        """The user's files a stage reads, by what they are to it, so that editing one makes the stage stale."""
        if stage == "data":  # a local model's special tokens decide which rows are refused
            tokenizer = self.base_folder / "tokenizer.json" if self.base_folder else None
            return self.data.files() | ({"tokenizer": tokenizer} if tokenizer and tokenizer.is_file() else {})
        if stage == "report":
            return {}
        deepspeed = self.axolotl(stage).get("deepspeed") if stage in ("base", *self.training_stages()) else None
        return {"chat_template": self.template} | ({"deepspeed": self.path.parent / deepspeed} if deepspeed else {})


def _without_place(keys: dict[str, Any]) -> dict[str, Any]:
    """Axolotl's keys, of DeepSpeed's file no more than its name where its path is absolute."""
    return keys | ({"deepspeed": placeless(keys["deepspeed"])} if isinstance(keys.get("deepspeed"), str) else {})
