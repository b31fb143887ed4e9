"""The recipe as a strict model. `stemma.recipe.load` reads it from a YAML file.

Inside `train`, `base`, `sft`, `dpo` and `mcq` the keys are Axolotl's own; everything else is
Stemma's.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, model_validator

from stemma import ROOT
from stemma.errors import Problem, UserError, nearest
from stemma.recipe.data import DataSection, placeless
from stemma.recipe.eval_arms import has_arms, split_arm
from stemma.recipe.evaluation import EvalSection
from stemma.recipe.folders import PathText
from stemma.recipe.prompts import PromptFiles
from stemma.recipe.rag import RagSection
from stemma.recipe.sections import (
    AnswerStage,
    BaseModelSection,
    ExportSection,
    PreferenceStage,
    Revision,
    Section,
    Seed,
    Sweep,
    TrainingStage,
    with_defaults,
)

TRAINING = ("sft", "dpo", "mcq")


class Recipe(Section):
    """A recipe, complete and checked: from the base model to the report."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]*$")]
    """The recipe's name, as its file is called without `.yml`; the run lies in `runs/<name>/`."""
    seed: Seed = 42
    """The source of every random choice: splits, samples, shuffles, new weights, order of rows."""
    base_model: PathText | None = None
    """The model to train: a name on the Hugging Face hub or a local folder; or give `base`."""
    base_revision: Revision | None = None
    """The commit of the hub's model, so that the weights are exactly these."""
    base: BaseModelSection | None = None
    """A small base model made on the spot, in place of `base_model`."""
    chat_template: PathText = ""
    """The Jinja chat template for training, evaluation, export and chat, beside the recipe."""
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
    rag: RagSection | None = None
    """A database of passages that questions are answered with; none by default."""
    evaluated_by: EvalSection | None = Field(default=None, alias="eval")
    """The variants to score and the tasks to score them on."""
    sweep: Sweep | None = None
    """A search over settings of one training stage, for `make sweep`; outside the chain."""
    allow_insecure: bool = False
    """Whether addresses of other machines may be unencrypted, `http://`: keys go there readable."""
    allow_private: bool = False
    """Whether addresses may be link-local, of a cloud's credentials, or of files (`file:`)."""

    path: Path = Field(default=Path(), exclude=True)
    """The file it was read from; relative paths in it start at its folder."""
    overrides: list[str] = Field(default=[], exclude=True)
    """What the command line changed, as `key=value`."""

    @model_validator(mode="after")
    def _is_whole(self) -> Recipe:
        needed: dict[str, object] = {}
        if not self.is_data_only:
            needed |= {"export": self.exported_as, "eval": self.evaluated_by}
        if not self.is_data_only or self.base_model:
            needed["chat_template"] = self.chat_template or None
        first, *others = [name for name, value in needed.items() if value is None] or [""]
        if first:
            more = f" (and {', '.join(others)})" if others else ""
            rule = "only a recipe of data alone needs none"
            raise ValueError(f"{first}: missing key `{first}`{more}; {rule}")
        return self

    @model_validator(mode="after")
    def _one_base(self) -> Recipe:
        if self.is_data_only and self.base_model is None:
            return self
        if (self.base_model is None) == (self.base is None):
            raise ValueError(
                "give either `base_model` (a folder or hub name) or `base` (a model made on the "
                "spot)"
            )
        return self

    @model_validator(mode="after")
    def _stages_exist(self) -> Recipe:
        if self.is_data_only:
            return self
        present = ["base", *self.training_stages()]
        for name in self.training_stages():
            start = self.stage(name).start_from
            if start not in present[: present.index(name)]:
                lacking = f"this recipe has no `{start}` stage before `{name}`"
                raise ValueError(f"{name}.start_from: `{start}`, but {lacking}")
        named = {"export.from": self.export.from_, "eval.reference": self.eval.reference}
        for key, stage in named.items():
            if stage not in present:
                raise ValueError(f"{key}: `{stage}`, but this recipe has no such stage")
        return self

    @model_validator(mode="after")
    def _variants_exist(self) -> Recipe:
        if self.is_data_only:
            return self
        if taken := [name for name in self.eval.servers if name in self.variants()]:
            raise ValueError(f"eval.servers: `{taken[0]}` is the name of weights of this recipe")
        known = [*self.variants(), *self.eval.servers]
        unknown = [name for name in self.eval.variants if split_arm(name)[0] not in known]
        if unknown:
            made = ", ".join(known)
            names = ", ".join(unknown)
            hint = f"; {hint}" if (hint := nearest(unknown[0], known)) else ""
            raise ValueError(f"eval.variants: unknown {names}; this recipe makes {made}{hint}")
        if has_arms(self.eval.variants) and self.rag is None:
            asked = next(name for name in self.eval.variants if split_arm(name)[1])
            raise ValueError(f"eval.variants: `{asked}` needs passages: give a section `rag`")
        if self.export.ship not in self.exported():
            made = ", ".join(self.exported())
            raise ValueError(f"export.ship: `{self.export.ship}` is none of {made}")
        return self

    @property
    def is_data_only(self) -> bool:
        """Whether it builds data sets and nothing else: nothing to train, export or score."""
        return not (self.base or self.training_stages() or self.exported_as or self.evaluated_by)

    @property
    def export(self) -> ExportSection:
        """The section `export`. Raises UserError for a recipe of data alone."""
        if self.exported_as is None:
            raise self._only_data("export")
        return self.exported_as

    @property
    def eval(self) -> EvalSection:
        """The section `eval`. Raises UserError for a recipe of data alone."""
        if self.evaluated_by is None:
            raise self._only_data("eval")
        return self.evaluated_by

    def _only_data(self, section: str) -> UserError:
        found = f"recipe `{self.name}` builds data only"
        return UserError(Problem(self.path.name, found, f"a section `{section}`"))

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
        """Whether `base_model` is a folder: one that is there, or a path, as no model's name on the
        hub begins."""
        if self.base_folder is not None:
            return True
        return bool(self.base_model and self.base_model.startswith(("/", ".", "~")))

    @property
    def base_name(self) -> str | None:
        """`base_model` without a place: the hub's name, or that of a local folder."""
        if self.base_model and self.is_base_local:
            return Path(self.base_model).absolute().name
        return self.base_model

    @property
    def template(self) -> Path:
        """The chat template's file.

        A recipe of data alone may name none; its rows are shown as questions and answers.
        """
        if not self.chat_template:
            return ROOT / "recipes/templates/qa.jinja"
        return self.path.parent / self.chat_template

    def axolotl(self, stage: str) -> dict[str, Any]:
        """The user's Axolotl keys of a stage: `train` and over it its own; `base` has its own."""
        if stage == "base":
            return self.base.axolotl if self.base else {}
        return {**self.train, **self.stage(stage).axolotl}

    def training_settings(self, stage: str) -> dict[str, Any]:
        """The Axolotl keys a stage trains with: Stemma's defaults under the user's."""
        return with_defaults(self.axolotl(stage))

    def section(self, stage: str) -> dict[str, Any]:
        """All recipe settings the stage's work depends on: the recipe's part of its freshness key.

        It holds no place: what a path or a local folder means is told by its content.
        """
        shared: dict[str, Any] = {"seed": self.seed}
        if stage == "data":
            return shared | {"data": self.data.content()}
        if stage == "base":
            base = _without_place(self.base.model_dump(mode="json")) if self.base else None
            return shared | {"base": base}
        if stage == "rag":
            return shared | {"rag": self.rag.content() if self.rag else None}
        shared |= self._start()
        if stage in TRAINING:
            section = self.stage(stage)
            own = section.model_dump(mode="json", include=set(type(section).model_fields))
            return shared | own | {"axolotl": _without_place(self.axolotl(stage))}
        # The name stands in the files' names and metadata of an export, so another recipe's cannot
        # be taken over.
        shared["name"] = self.name
        exported = {"export": self.export.model_dump(mode="json", by_alias=True)}
        if stage == "export":
            return shared | exported
        scored = {"eval": self.eval.content()} | ({"rag": self.rag.put_in()} if self.rag else {})
        if stage == "eval":
            return shared | scored
        named = self.eval.model_dump(mode="json", include={"hub_benchmarks"})
        return shared | scored | exported | named

    def _start(self) -> dict[str, Any]:
        """The weights that training starts on, as far as the recipe itself names them."""
        return {
            "base_model": None if self.is_base_local else self.base_model,
            "base_revision": self.base_revision,
        }

    def files(self, stage: str) -> dict[str, Path]:
        """The user's files a stage reads, by what they are to it: editing one makes it stale."""
        if stage == "report":
            return {}
        if stage == "data":
            found = self.data.files(self.path.parent)
            # A local model's special tokens decide which rows are refused.
            if self.base_folder and (self.base_folder / "tokenizer.json").is_file():
                found["tokenizer"] = self.base_folder / "tokenizer.json"
            return found
        if stage == "rag":
            return self.rag.files(Path(self.data.root)) if self.rag else {}
        found = {"chat_template": self.template}
        if stage == "eval" and self.eval.benchmarks:
            from stemma.recipe.lm_eval_tasks import own_files, place_of

            found |= own_files(self.eval.benchmarks, place_of(self))
        if stage in ("base", *self.training_stages()):
            deepspeed = self.axolotl(stage).get("deepspeed")
            if deepspeed:
                found["deepspeed"] = self.path.parent / deepspeed
        if stage == "eval":
            names = [judging.prompt for judging in self.eval.judge]
            names += [self.rag.context.prompt] if self.rag else []
            found |= PromptFiles(self.path.parent).files(*names)
        return found


def _without_place(keys: dict[str, Any]) -> dict[str, Any]:
    """Axolotl's keys; of DeepSpeed's file no more than its name where its path is absolute."""
    if not isinstance(keys.get("deepspeed"), str):
        return keys
    return keys | {"deepspeed": placeless(keys["deepspeed"])}
