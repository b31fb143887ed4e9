"""Facts and counts that stages write into their manifests and the report reads: strict models."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError, field_validator

from stemma.errors import Problem, UserError
from stemma.runs import MANIFEST, Manifest, Run
from stemma.strict import Record

Parsed = TypeVar("Parsed")


class SourceCounts(Record):
    """Rows of one source: read = kept + dropped, by reason."""

    read: int
    kept: int
    dropped: dict[str, int]
    repaired: int
    """Kept rows whose text was repaired."""


class DataCounts(Record):
    """Counts of the data stage."""

    sources: dict[str, SourceCounts]
    """By set and source: `dpo: epfl_preferences epfl/preferences.json`."""
    sets: dict[str, dict[str, int]]
    """Rows of each set, by split (train, validation, test)."""


class SharedQuestions(Record):
    """Questions that preference pairs, split pair by pair, leave in training and test at once.

    Near-duplicates are one question.
    """

    train_questions: int
    test_questions: int
    shared_questions: int
    test_pairs: int
    leaked_test_pairs: int
    """Test pairs whose question trains too."""


class GeneratorFacts(Record):
    """Use of the generator: requests, tokens and dollars."""

    requests: int
    from_ledger: int
    """Answered by what was paid for before."""
    sent: int
    retried: dict[str, int]
    """Requests sent again, by what came in place of a reply."""
    unusable: dict[str, int]
    """Replies that are of no use, by reason."""
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    cost_usd: float
    lost: int
    """Sent, and never answered."""
    lost_usd_at_most: float
    rows_kept: int
    cost_usd_per_kept_row: float | None
    """None: no row was kept."""


class DataFacts(Record):
    """Facts of the data stage."""

    split_by_pair: SharedQuestions | None = None
    """Only where a set is split so."""
    language: str | None = None
    """Of the texts (ISO 639); None of a build that an earlier Stemma made."""
    licences: dict[str, int]
    """Rows by licence."""
    generator: GeneratorFacts | None
    """None: no source asked it; in the manifest an empty object."""
    balance: dict[str, Any]
    """Lengths of answers, and what judges decided."""
    decontamination: dict[str, Any]
    raft: dict[str, Any] | None = None
    """Rows of retrieval-aware training: how many became what. Only where a set asks for it."""
    unfilled: list[dict[str, Any]]
    """Sets with fewer rows than were asked for."""
    special_tokens: str
    preflight: dict[str, Any]
    """Tokens that training will count, by stage and split."""

    @field_validator("generator", mode="before")
    @classmethod
    def _none_was_asked(cls, found: object) -> object:
        return found or None


class SetStatistics(Record):
    """Figures of one data set: rows by split, source and subject, lengths, lost rows by reason."""

    parts: dict[str, int]
    sources: dict[str, int]
    subjects: dict[str, int]
    words: dict[str, dict[str, int]]
    """Rows by number of words, for each text of a row (prompt, answer, …)."""
    dropped: dict[str, int]


class PeakMemory(Record):
    """The most that rank 0 held at once; of a resumed training, since it was resumed."""

    bytes: int
    of: str
    """`GPU memory allocated` or `resident memory`."""


class Trainable(Record):
    """The weights that were trained, of those there are."""

    trainable_parameters: int
    parameters: int
    share: float
    """The former divided by the latter."""


class TrainingFacts(Record):
    """A training, as its manifest says beside its gates' figures."""

    start: str
    """In words: the weights it started from, and whether they are DPO's reference."""
    trainable: Trainable
    computed_in: str
    """The trainer's dtype, by torch's name, e.g. `bfloat16`."""
    peak_memory: PeakMemory
    steps: int
    """Optimizer steps that moved the weights."""
    processes: int
    """Training processes, on all machines together."""
    rows_a_step: int
    """Rows (packed: sequences) of one optimizer step, on all processes together."""
    trainer: dict[str, str]
    """The DPO trainer's way, in words; empty of another trainer."""
    plugins: list[str]
    """The plugins that Axolotl loaded, named by the recipe or not."""
    deepspeed: str
    """The file of DeepSpeed's own optimizer state, or `not asked for`."""


class SplitCounts(Record):
    """Rows and tokens of one split, as a training stage counted them."""

    rows: int
    left_out_longer_than_sequence_len: int
    tokens: int
    trained_tokens: int
    """Tokens of answers."""


class ScoredCounts(Record):
    """Test rows of one evaluation task."""

    scored: int
    skipped: int


def generator_facts(run: Run) -> GeneratorFacts | None:
    """The generator's part in the facts of a finished data stage; None where no source asked it."""
    found = run.manifest("data").facts.get("generator")
    return parsed(GeneratorFacts, found, run, "data") if found else None


def training_facts(manifest: Manifest) -> TrainingFacts | None:
    """The facts of a LoRA stage; None of a manifest that an earlier Stemma wrote otherwise."""
    names = TrainingFacts.model_fields.keys()
    own = {name: value for name, value in manifest.facts.items() if name in names}
    try:
        return TrainingFacts.model_validate(own)
    except ValidationError:
        return None


def parsed(kind: type[Parsed], value: object, run: Run, stage: str) -> Parsed:
    """A value of a stage's manifest or files. Raises UserError for one of another version."""
    try:
        return TypeAdapter(kind).validate_python(value)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        found = f"{kind.__name__}: {place}: {first['msg']}"
        hint = f"run `make {stage} RECIPE={run.recipe} FORCE=1`"
        where = str(run.folder(stage) / MANIFEST)
        raise UserError(Problem(where, found, "as this version writes it", hint)) from None
