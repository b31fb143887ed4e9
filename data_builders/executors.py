"""Near-duplicates and decontamination of large text on datatrove's executors: this machine, Slurm
or Ray.

The results are those of `near_duplicates` and `decontaminate`: datatrove shards the work, our
sketches and rules run inside its blocks. Its signature block sorts the sketches, its bucket block
finds the bands that are equal, and the pairs are compared exactly as ever. A work folder is named
by its content, so that a killed build resumes with the tasks that were not done. Run on the local
executor only; docs/scaling-data.md says what a cluster needs.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import asdict
from functools import partial
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from datatrove.data import Document
from datatrove.executor.local import LocalPipelineExecutor
from datatrove.executor.ray import RayPipelineExecutor
from datatrove.executor.slurm import SlurmPipelineExecutor
from datatrove.pipeline.base import PipelineStep
from datatrove.pipeline.dedup.minhash import (
    MinhashConfig,
    MinhashDedupBuckets,
    MinhashDedupSignature,
)
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.writers import JsonlWriter
from datatrove.utils.hashing import HashConfig
from datatrove.utils.logging import logger
from datatrove.utils.word_tokenizers import WhitespaceTokenizer

from data_builders.filters.decontaminate import (
    EvalQuestion,
    Overlap,
    TrainingTexts,
    overlaps,
    training,
)
from data_builders.filters.near_duplicates import QuestionClusters, bands, sketches
from data_builders.flow import Placed
from stemma.errors import Problem, StageFailed, UserError
from stemma.jsonl import write_jsonl
from stemma.recipe.data import Decontaminate, Executor, NearDuplicates

# Each worker imports this module with its task. Progress lines would drown ours; what fails is
# raised all the same.
logger.disable("datatrove")

EXECUTORS = {
    "local": LocalPipelineExecutor,
    "slurm": SlurmPipelineExecutor,
    "ray": RayPipelineExecutor,
}


def question_clusters(
    settings: NearDuplicates, executor: Executor, folder: Path
) -> QuestionClusters:
    """Clusters that look for their pairs with datatrove. All workers must see `folder`."""
    return QuestionClusters(settings, partial(_find_groups, settings, executor, folder))


def find_overlaps(
    train: Sequence[Placed],
    evaluation: Sequence[EvalQuestion],
    settings: Decontaminate,
    executor: Executor,
    folder: Path,
) -> list[Overlap]:
    """Overlaps of training rows with evaluation questions, as decontaminate.find_overlaps finds
    them.

    All workers must see `folder`.
    """
    if not train or not evaluation:
        return []
    rules = settings.model_copy(update={"against": []})
    rows = [json.dumps(asdict(training(placed)), default=sorted) for placed in train]
    questions = [asdict(question) for question in evaluation]
    work = _work_folder(folder, [rules.model_dump_json(), json.dumps(questions), *rows])
    shards = _write_shards(work / "rows", rows, executor.tasks)
    write_jsonl(work / "evaluation.jsonl", questions)
    writer = JsonlWriter(str(work / "found"), compression=None)
    steps = [
        JsonlReader(str(work / "rows")),
        FindOverlaps(work / "evaluation.jsonl", rules),
        writer,
    ]
    run(steps, executor, len(shards), work / "logs")
    found = [
        line
        for path in sorted((work / "found").glob("*.jsonl"))
        for line in path.open(encoding="utf-8")
    ]
    return [Overlap(**json.loads(json.loads(line)["text"])) for line in found]


class FindOverlaps(PipelineStep):
    """A datatrove step: documents that are training rows in, documents that are overlaps out."""

    type = "DECONTAMINATION"
    name = "evaluation questions"

    def __init__(self, evaluation: Path, settings: Decontaminate) -> None:
        super().__init__()
        self.evaluation = evaluation
        self.settings = settings

    def run(
        self, data: Iterable[Document], rank: int = 0, world_size: int = 1
    ) -> Iterator[Document]:
        lines = map(json.loads, self.evaluation.open(encoding="utf-8"))
        evaluation = [EvalQuestion(**{**line, "choices": tuple(line["choices"])}) for line in lines]
        for number, overlap in enumerate(overlaps(map(_training, data), evaluation, self.settings)):
            yield Document(text=json.dumps(asdict(overlap)), id=f"{rank}/{number}")


def _training(document: Document) -> TrainingTexts:
    row = json.loads(document.text)
    return TrainingTexts(
        **{**row, "choices": frozenset(row["choices"]), "texts": tuple(row["texts"])}
    )


def _find_groups(
    settings: NearDuplicates,
    executor: Executor,
    folder: Path,
    known: Collection[str],
    new: Sequence[str],
) -> Iterator[list[str]]:
    """The groups that in-process clusters would find: the same sketches, the same bands."""
    if not new:
        return
    keys = [*known, *new]
    work = _work_folder(folder, [settings.model_dump_json(), *keys])
    shards = _write_shards(work / "questions", keys, executor.tasks)
    hashes = HashConfig(precision=32, hash_fc="sha1")
    buckets, length = bands(settings)
    config = MinhashConfig(num_buckets=buckets, hashes_per_bucket=length, hash_config=hashes)
    sketch = [JsonlReader(str(work / "questions")), Sketches(work / "sketches", config, settings)]
    run(sketch, executor, len(shards), work / "logs" / "sketches")
    run(
        [Bands(str(work / "sketches"), str(work / "pairs"), config=config)],
        executor,
        buckets,
        work / "logs" / "pairs",
    )
    for path in sorted((work / "pairs").glob("*.dups")):
        for group in _groups(path):
            yield [shards[shard][place] for shard, place in group]


class Sketches(MinhashDedupSignature):
    """datatrove's signature block with the sketches of near_duplicates."""

    def __init__(self, output: Path, config: MinhashConfig, settings: NearDuplicates) -> None:
        super().__init__(
            str(output), config, language=WhitespaceTokenizer()
        )  # never asked to tokenise
        self.settings = settings

    def get_shingles(self, text: str) -> Any:
        (sketch,) = sketches([text], self.settings)
        return sketch.hashvalues

    def get_signature(self, shingles: Any) -> list[list[int]]:
        return [
            band.tolist() for band in np.split(shingles[: self.num_hashes], self.config.num_buckets)
        ]


class Bands(MinhashDedupBuckets):
    """datatrove's bucket block, here so that its workers import this module too."""


def _groups(path: Path) -> Iterator[list[tuple[int, int]]]:
    """The (shard, place) of documents with an equal band, from a file of neighbours: (a, b), (b, c)
    is one group."""
    group: list[tuple[int, int]] = []
    for shard, place, next_shard, next_place in struct.iter_unpack("<4I", path.read_bytes()):
        if not group or group[-1] != (shard, place):
            yield group
            group = [(shard, place)]
        group.append((next_shard, next_place))
    yield group


def _work_folder(folder: Path, content: Iterable[str]) -> Path:
    digest = sha256()
    for text in content:
        digest.update(text.encode() + b"\n")
    return folder / digest.hexdigest()[:16]


def _write_shards(folder: Path, texts: Sequence[str], tasks: int) -> list[list[str]]:
    """One file a task, in order; datatrove drops no document, since no text is empty."""
    rest = iter(texts)
    size = -(-len(texts) // tasks)
    shards = list(iter(lambda: list(islice(rest, size)), []))
    for number, shard in enumerate(shards):
        write_jsonl(
            folder / f"{number:05}.jsonl",
            ({"id": str(place), "text": text} for place, text in enumerate(shard)),
        )
    return shards


def run(steps: list[PipelineStep], executor: Executor, tasks: int, logs: Path) -> None:
    """Run all tasks and wait for them. Raises UserError for settings the executor does not take,
    else StageFailed."""
    made = make_executor(steps, executor, tasks, logs)
    try:
        made.run()
    except Exception as error:
        raise StageFailed(
            f"datatrove's {executor.kind} executor: {error} (logs: {logs})"
        ) from error
    if unfinished := made.get_incomplete_ranks():
        raise StageFailed(
            f"datatrove: {len(unfinished)} of {tasks} tasks did not finish (logs: {logs})"
        )


def make_executor(steps: list[PipelineStep], executor: Executor, tasks: int, logs: Path) -> Any:
    options = {"workers": min(executor.workers, tasks), **executor.settings}
    if (
        executor.kind == "slurm"
    ):  # --wait: `sbatch` returns when the jobs are done, and fails when one does
        options["sbatch_args"] = {"wait": "", **options.get("sbatch_args", {})}
    try:
        return EXECUTORS[executor.kind](steps, tasks=tasks, logging_dir=str(logs), **options)
    except TypeError as error:
        expected = f"arguments of datatrove's {EXECUTORS[executor.kind].__name__}"
        raise UserError(
            Problem("data.executor.settings", str(error), expected, "see docs/scaling-data.md")
        ) from error
