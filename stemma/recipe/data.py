"""The recipe's section `data`: sources of each set, splits, filters, and the generator."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
    SerializeAsAny,
    ValidationError,
    model_validator,
)

from stemma.recipe.folders import PathText
from stemma.recipe.generator import OPERATIONAL, Generator
from stemma.recipe.prompts import PromptFiles
from stemma.recipe.raft import Raft
from stemma.recipe.sections import Count, Section
from stemma.rows import Split

Fraction = Annotated[float, Field(ge=0, le=1)]
Amount = Count | Annotated[float, Field(gt=0, lt=1)]
"""A number of rows, or a share of them."""
PerSplit = Annotated[
    dict[Split, Amount],
    BeforeValidator(
        lambda value: value if isinstance(value, dict) else {"train": value},
        json_schema_input_type=Amount | dict[Split, Amount],
    ),
]
"""An amount for each split; a bare number is meant for training rows."""


class SourceOptions(Section):
    """Options that every source accepts; each module of `data_builders/sources` derives its own."""

    source: str
    """The source's name: a module of `data_builders/sources`."""
    use: Split | Literal["split"] = "split"
    """Which split all rows go to; `split` divides them by question over all three."""
    limit: Count | None = None
    """Read no more than this many rows."""
    min_words: Count | None = None
    """Drop a row with an answer of fewer words."""
    max_per_question: PerSplit = {}
    """Keep at most so many rows of a question, drawn by the seed; the set's other sources count
    too."""
    sample: PerSplit = {}
    """Of what is left, keep so many rows (or this share of them), drawn by the seed."""
    weight: Annotated[float, Field(gt=0, le=10**9)] | None = None
    """This source's share of its set's `total`."""
    licence: str | None = None
    """The data's licence as an SPDX identifier, where the source does not know it, e.g.
    `CC-BY-4.0`."""

    def files(self, root: Path) -> list[Path]:
        """The data files that the source reads; relative paths start at `root`."""
        return []

    def named_files(self, root: Path) -> dict[str, Path]:
        """The data files by names that hold no place, for the data stage's key."""
        return {path.relative_to(root).as_posix(): path for path in self.files(root)}

    def own_files(self, recipe_folder: Path) -> dict[str, Path]:
        """The other files that decide the rows, by such names: prompts, exercises."""
        return {}


def _parse_source(value: Any) -> Any:
    # The registry holds option models only (no torch, no network), so that `check` stays fast.
    from data_builders import SOURCES

    if not isinstance(value, dict) or "source" not in value:
        raise ValueError("a source is a mapping with the key `source`")
    name = value["source"]
    if not isinstance(name, str) or name not in SOURCES:
        raise ValueError(f"unknown source {name!r}; known: {', '.join(sorted(SOURCES))}")
    return SOURCES[name].options.model_validate(value)


Source = Annotated[SerializeAsAny[SourceOptions], BeforeValidator(_parse_source)]


class Parts(Section):
    """Shares of the questions that go to validation and test; the rest is training material."""

    validation: Fraction = 0.05
    """Share of the questions held out to watch training by."""
    test: Fraction = 0.1
    """Share of the questions held out to score models on."""

    @model_validator(mode="after")
    def _are_of_one_whole(self) -> Parts:
        if round(self.validation + self.test, 9) > 1:
            held = f"validation {self.validation:g} and test {self.test:g}"
            raise ValueError(f"{held} are more than all questions: together at most 1")
        return self


class DataSet(Section):
    """One data set: its sources, and how their questions are split and mixed."""

    sources: list[Source] = Field(min_length=1)
    """Where the rows come from; each entry names a `source` and its options."""
    parts: Parts = Parts()
    """Shares of the questions that are held out; what it leaves out is as in `data.parts`."""
    split: Literal["question", "pair"] = "question"
    """`pair` (dpo only) draws each pair's split by itself, so that test questions train: how some
    reports split. The leak is measured and told."""
    conflicts: Literal["contradictions", "any", "keep"] = "contradictions"
    """Which pairs to drop: those that say the opposite of each other, or any whose answer is chosen
    here and rejected there. Multiple-choice questions that disagree on the right answer always
    go."""
    total: Count | None = None
    """Training rows in all, mixed from the sources by their `weight`."""
    expected_rows: Count | None = None
    """Training rows to expect: what `plan` goes by until the files are there. It decides nothing
    else."""
    raft: Raft | None = None
    """Retrieval-aware training (sft only): passages before the questions of training rows that
    bring one."""
    permute: bool = False
    """Shuffle the choices of training questions (not where one refers to another, as `all of the
    above` does)."""

    @model_validator(mode="after")
    def _weights_need_a_total(self) -> DataSet:
        weighted = [options.weight is not None for options in self.sources]
        if self.total is not None and not all(weighted):
            raise ValueError("total: every source of the set needs a `weight`")
        if self.total is None and any(weighted):
            raise ValueError("weight: the set needs a `total` to share out")
        return self


class NearDuplicates(Section):
    """Questions that say the same with other words, which share a split.

    Questions with different numbers are not the same.
    """

    threshold: Annotated[float, Field(gt=0, le=1)] = 0.8
    """Jaccard similarity of word shingles, estimated by MinHash."""
    permutations: Annotated[int, Field(ge=1, le=4096)] = 64
    """Hash functions of MinHash: more estimate the similarity better and take longer."""


class Decontaminate(Section):
    """The gate between training sets and evaluation sets: the recipe's own test rows, and
    `against`."""

    against: list[Source] = []
    """Benchmarks that are not part of the recipe's sets but will be scored."""
    mode: Literal["fail", "drop"] = "fail"
    """Stop the build where rows overlap, or drop these rows and count them."""
    limit: Annotated[int, Field(ge=0, le=10**9)] = 0
    """Training rows that may overlap before `fail` stops the build."""
    ngram: Annotated[int, Field(ge=1, le=1000)] = 13
    """A training row that holds so many consecutive words of an evaluation question overlaps."""
    coverage: Annotated[float, Field(gt=0, le=1)] = 0.5
    """A training row that holds this share of a question's words, in runs of at least 8, overlaps
    too."""


class Executor(Section):
    """Where deduplication and decontamination of large text run: datatrove's executors."""

    kind: Literal["local", "slurm", "ray"] = "local"
    """This machine's processes, a Slurm cluster or a Ray cluster."""
    tasks: Annotated[int, Field(ge=1, le=100_000)] = 8
    """Shards the work is divided into."""
    workers: Annotated[int, Field(ge=1, le=10_000)] = 2
    """Tasks that run at the same time."""
    settings: dict[str, Any] = {}
    """Further arguments of that executor, e.g. `partition` and `time` for Slurm."""


PATHS = ("path", "hub", "frozen_test")
"""Settings that may hold an absolute path."""


class DataSection(Section):
    """The data sets a recipe builds, and what keeps training and evaluation apart."""

    root: PathText = "."
    """Where relative paths of sources start; `DATA=` on the command line, which a run remembers."""
    release: Literal["private", "public"] = "private"
    """`public` refuses sources that may not be passed on: unlicensed, non-commercial,
    no-derivatives."""
    language: Annotated[str, Field(pattern="^[a-z]{2,3}$")] | None = None
    """The language of the texts (ISO 639), for the cards of data and models and for metrics of one
    language; without it, the one that the build sees in the rows."""
    generator: Generator | None = None
    """The chat model that writes and judges answers, for sources that ask one."""
    near_duplicates: NearDuplicates | None = NearDuplicates()
    """Keeps questions that say the same in one split; null turns it off."""
    decontaminate: Decontaminate | None = Decontaminate()
    """Keeps evaluation questions out of training; null turns it off."""
    parts: Parts | None = None
    """How the questions of every set but the corpus are split, where the set gives no `parts`."""
    frozen_test: PathText | None = None
    """A file of question ids, one a line, that stay in test whatever else is added (a build writes
    one)."""
    executor: Executor | None = None
    """Where large text is compared; without it inside the build's own process."""
    corpus: DataSet | None = None
    """Plain text, for `base`: its tokenizer and its pretraining."""
    sft: DataSet | None = None
    """Conversations, for `sft` and the task `generation`."""
    dpo: DataSet | None = None
    """Preference pairs, for `dpo` and the task `preference`."""
    mcq: DataSet | None = None
    """Multiple-choice questions, for `mcq` and the task of the same name."""

    @model_validator(mode="before")
    @classmethod
    def _share_parts(cls, values: Any) -> Any:
        """Give `parts` to the sets, so that they alone say how each is split.

        The corpus trains as a whole.
        """
        if not isinstance(values, dict):
            return values
        try:
            shared = Parts.model_validate(values.get("parts")).model_dump(exclude_unset=True)
        except ValidationError:  # absent, or wrong: told where it stands, not once more in each set
            return values
        shares = {}
        for name in ("sft", "dpo", "mcq"):
            dataset = values.get(name)
            if isinstance(dataset, dict) and isinstance(own := dataset.get("parts", {}), dict):
                shares[name] = {**dataset, "parts": {**shared, **own}}
        return {**values, **shares}

    @model_validator(mode="after")
    def _settings_fit_their_sets(self) -> DataSection:
        for name, dataset in self.sets().items():
            if dataset.raft and name != "sft":
                raise ValueError(f"{name}.raft: it is for sft: its rows are conversations")
            if dataset.split == "pair" and name != "dpo":
                rule = "`pair` is for dpo; other sets are split by `question`"
                raise ValueError(f"{name}.split: {rule}")
        return self

    def sets(self) -> dict[str, DataSet]:
        """The data sets this recipe builds, by name."""
        named = {"corpus": self.corpus, "sft": self.sft, "dpo": self.dpo, "mcq": self.mcq}
        return {name: dataset for name, dataset in named.items() if dataset is not None}

    def files(self, recipe_folder: Path) -> dict[str, Path]:
        """Every file the sets are built from, by the source that reads it and its name there."""
        root = Path(self.root)
        sources = {name: dataset.sources for name, dataset in self.sets().items()}
        sources |= {"decontaminate": self.decontaminate.against} if self.decontaminate else {}
        found = {"data.frozen_test": root / self.frozen_test} if self.frozen_test else {}
        for kind, listed in sources.items():
            for number, source in enumerate(listed):
                named = source.named_files(root) | source.own_files(recipe_folder)
                found |= {f"data.{kind}[{number}]: {name}": path for name, path in named.items()}
        if self.sft and self.sft.raft:
            found |= PromptFiles(recipe_folder).files(self.sft.raft.prompt)
        return found

    def content(self) -> dict[str, Any]:
        """The settings that decide what the rows are, for the data stage's key."""
        # A set without `raft` has the key it had before there was one.
        told: dict[str, Any] = {
            name: {"expected_rows"} | (set() if dataset.raft else {"raft"})
            for name, dataset in self.sets().items()
        }
        # `parts` has been given to the sets by now.
        told |= {"language": True} if self.language is None else {}
        exclude = told | {"root": True, "parts": True, "executor": True, "generator": OPERATIONAL}
        found: dict[str, Any] = _without_places(self.model_dump(mode="json", exclude=exclude))
        return found


def placeless(path: str) -> str:
    """A path as a stage's key holds it: as the recipe has it, but of an absolute one the name only.

    Its content goes into the key as a digest.
    """
    return Path(path).name if Path(path).is_absolute() else path


def _without_places(value: Any) -> Any:
    """Settings as they are, with the names only of absolute paths in them."""
    if isinstance(value, list):
        return [_without_places(inner) for inner in value]
    if not isinstance(value, dict):
        return value
    found = {name: _without_places(inner) for name, inner in value.items()}
    for name in PATHS:
        if isinstance(value.get(name), str):
            found[name] = placeless(value[name])
    return found
