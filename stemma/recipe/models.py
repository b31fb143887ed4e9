"""The recipe: what a user writes, as strict models. Reading the YAML file is `stemma.recipe.load`'s work.

Inside `train`, `base`, `sft`, `dpo` and `mcq` the keys are Axolotl's own; everything else is Stemma's.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, field_validator, model_validator

from stemma import ROOT
from stemma.errors import Problem, UserError
from stemma.recipe.data import DataSection, Section, placeless
from stemma.recipe.dpo import DpoTrainer
from stemma.recipe.sweep import Sweep

TRAINING = ("sft", "dpo", "mcq")
GGUF_TYPES = ("F32", "F16", "BF16", "Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M")

Start = Literal["base", "sft", "dpo"]


class AxolotlSection(BaseModel):
    """A section whose own keys are few; every other key is Axolotl's, checked against its pinned field list."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)

    @property
    def axolotl(self) -> dict[str, Any]:
        return dict(self.model_extra or {})


class Tokenizer(Section):
    """A SentencePiece BPE tokenizer trained on the corpus, with Gemma's special ids."""

    vocab_size: PositiveInt


class BaseModelSection(AxolotlSection):
    """A base model made on the spot: `model` holds transformers' config keys, the rest are Axolotl's."""

    model: dict[str, Any]
    tokenizer: Tokenizer


class TrainingStage(AxolotlSection):
    """One LoRA stage. `start_from` names the stage whose merged weights it trains on (for DPO also the reference)."""

    start_from: Start


class AnswerStage(TrainingStage):
    """A stage that trains on answers: SFT and MCQ."""

    loss_average: Literal["step", "micro_batch"] = "step"
    """A step's loss is the mean over all its trained tokens, on however many ranks. `micro_batch` is Axolotl's own:
    over several ranks the mean of their means, which depends on how the rows were shared out."""


class PreferenceStage(TrainingStage):
    """The DPO stage. `trainer: stock` is Axolotl's own trainer."""

    trainer: Literal["stock"] | DpoTrainer = DpoTrainer()


class Merge(Section):
    dtype: Literal["float32", "bfloat16", "float16"] = "bfloat16"


class Gguf(Section):
    types: list[Literal["F32", "F16", "BF16", "Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M"]] = Field(min_length=1)


class Gates(Section):
    """How far a format may drift from the merged model before the export stops."""

    prompts: PositiveInt = 32
    max_kl: dict[str, PositiveFloat] = {}
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
    model_config = ConfigDict(populate_by_name=True)

    from_: Literal["base", "sft", "dpo", "mcq"] = Field(alias="from")
    merge: Merge = Merge()
    bitsandbytes: list[Literal["int8", "nf4"]] = []
    gguf: Gguf
    gates: Gates = Gates()
    ship: str
    """The variant the laptop gets, e.g. `gguf-Q4_K_M`."""


class EvalTask(Section):
    task: Literal["mcq", "preference", "generation", "speed"]
    limit: PositiveInt | None = None
    """The first n test rows (all by default)."""
    max_new_tokens: PositiveInt = 64
    prompt_tokens: PositiveInt = 128


class EvalSection(Section):
    variants: list[str] = Field(min_length=1)
    tasks: list[EvalTask] = Field(min_length=1)
    beta: float = 0.1
    """Scales rewards: beta * (log p_policy - log p_reference), summed over the answer's tokens."""
    reference: Start = "base"
    """Whose merged weights the rewards of `preference` are measured against."""
    threads: PositiveInt | None = None


class Recipe(Section):
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]*$")]
    seed: int = 42
    base_model: str | None = None
    base_revision: str | None = None
    base: BaseModelSection | None = None
    chat_template: str = ""
    train: dict[str, Any] = {}
    sft: AnswerStage | None = None
    dpo: PreferenceStage | None = None
    mcq: AnswerStage | None = None
    data: DataSection
    exported_as: ExportSection | None = Field(default=None, alias="export")
    evaluated_by: EvalSection | None = Field(default=None, alias="eval")
    sweep: Sweep | None = None

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
