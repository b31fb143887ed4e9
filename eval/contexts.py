"""Test rows with passages put before their questions, once for each task and arm.

They are made before anything is measured and kept beside what is measured, named by all that
decides them (rows, database, search, prompt, budget, seed): a second evaluation reads them. The
rows are test rows like any others, only that their user's turn holds the passages: so tasks,
workers and kept samples know nothing of arms, and a row whose search found nothing is the
closed-book row, measured once for both.

Time: one search a row and arm `retrieved`. Memory: the rows of one task and arm.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from eval.gold import GoldPassages
from eval.questions_asked import bare_stem_of, in_context, user_turn
from eval.rows_to_score import RowsToScore, read_task
from eval.sealed import is_whole, sealing
from eval.tasks import TASKS
from stemma.digests import digest_json
from stemma.jsonl import read_dicts, write_jsonl
from stemma.recipe.eval_arms import Arm, with_arm
from stemma.retrieval.passages import Hit, Passage
from stemma.strict import Record

FOLDER = "contexts"
"""Below what is measured."""
PIECES = 8
"""Passages that a question's support may have been cut into."""
ROWS, PUT = "rows.jsonl", "contexts.jsonl"


class Used(Record):
    """A passage as it stands before a question."""

    id: str
    title: str
    source: str
    place: str
    text: str
    cut: bool
    """Whether it was too long for the budget, and ends with a sentence before its end."""
    score: float | None = None
    """What the search ordered it by; None where nothing was searched."""
    bm25: float | None = None
    cosine: float | None = None


class RowContext(Record):
    """What one row's question was asked with."""

    id: str
    query: str
    """What was searched with: the question without its options."""
    gold: list[str] = []
    """The question's own passages, where they are known."""
    found: int
    """Passages that were there to be put in."""
    passages: list[Used]
    """Those that the budget had room for; none: asked closed-book."""
    tokens: int
    """Tokens that the user's turn grew by."""


class InContext(Protocol):
    """A question with its passages: what `stemma.retrieval.context` makes."""

    @property
    def text(self) -> str:
        """The user's turn."""

    @property
    def used(self) -> Sequence[Hit]:
        """The passages in it, as they stand there."""

    @property
    def tokens(self) -> int:
        """What the question grew by."""


class Putter(Protocol):
    """Puts passages before a question, within the budget."""

    def put(self, question: str, hits: Sequence[Hit]) -> InContext:
        """The user's turn; without hits the question itself."""


class Passages(Protocol):
    """The passages of a database, by number."""

    @property
    def count(self) -> int:
        """How many there are."""

    def passages(self, numbers: Sequence[int]) -> Sequence[Passage]:
        """Those of these numbers, in their order."""


@dataclass(frozen=True)
class Retrieval:
    """All that puts passages before questions."""

    search: Callable[[Sequence[str], int, str | None], list[list[Hit]]]
    """The hits of each query, at most so many, by one arm of the search; None: as the database's
    settings say, and none below their threshold."""
    search_arms: tuple[str, ...]
    """What can be searched by: `bm25`, and with an encoder `dense` and `hybrid`."""
    database: Passages
    gold: GoldPassages
    putter: Putter
    passages: int
    """Passages before a question, at most."""
    seed: int
    decides: Mapping[str, Any] = field(default_factory=dict)
    """Digests and settings that decide what is found and how it is put in."""


@dataclass(frozen=True)
class RowsInContext:
    """The rows of one task in one arm."""

    path: Path
    rows: RowsToScore
    contexts: list[RowContext]
    left_out: int
    """Rows without a passage of their own, in the arm `gold`."""


def rows_in_context(
    retrieval: Retrieval, task: str, arm: Arm, rows: RowsToScore, measured: Path
) -> RowsInContext | None:
    """The rows of a task with passages, made or read; None where no row has any (arm `gold`)."""
    decides = {
        "task": task,
        "arm": arm,
        "rows": list(rows.digests.values()),
        "passages": retrieval.passages,
        "seed": retrieval.seed if arm == "random" else None,
    }
    key = digest_json(decides | dict(retrieval.decides))
    folder = measured / FOLDER / f"{with_arm(task, arm)}-{key[:32]}"
    if not is_whole(folder):
        made = list(_made(retrieval, arm, rows.rows))
        with sealing(folder) as part:
            write_jsonl(part / ROWS, [row for row, _ in made])
            write_jsonl(part / PUT, [context for _, context in made])
    contexts = [RowContext.model_validate(record) for record in read_dicts(folder / PUT)]
    if not contexts:
        return None
    found = read_task(TASKS[task], task, folder / ROWS, None)
    return RowsInContext(folder / ROWS, found, contexts, len(rows.rows) - len(contexts))


def _made(retrieval: Retrieval, arm: Arm, rows: Sequence[Any]) -> Iterator[tuple[Any, RowContext]]:
    """Each row with its passages; in the arm `gold` only rows that have one of their own."""
    queries = [bare_stem_of(row) for row in rows]
    found: list[list[Hit]] = []
    if arm == "retrieved":  # all at once: vectors are compared in batches
        found = retrieval.search(queries, retrieval.passages, None)
    for place, (row, query) in enumerate(zip(rows, queries, strict=True)):
        gold = retrieval.gold.of(row)
        if arm == "retrieved":
            yield _put(retrieval, row, gold, found[place])
        elif arm == "random":
            passages = drawn(retrieval, query, gold)
            yield _put(retrieval, row, gold, list(map(_unsearched, passages)))
        elif gold:
            yield _put(retrieval, row, gold, list(map(_unsearched, gold[: retrieval.passages])))


def _put(
    retrieval: Retrieval, row: Any, gold: Sequence[Passage], hits: Sequence[Hit]
) -> tuple[Any, RowContext]:
    """A row with its passages, and what they are."""
    asked = user_turn(row)
    made = retrieval.putter.put(asked, hits)
    whole = {hit.passage.id: hit.passage.text for hit in hits}
    used = [_used(hit, whole) for hit in made.used]
    context = RowContext(
        id=row.id,
        query=bare_stem_of(row),
        gold=[passage.id for passage in gold],
        found=len(hits),
        passages=used,
        tokens=made.tokens,
    )
    return (in_context(row, made.text) if used else row), context


def drawn(retrieval: Retrieval, query: str, gold: Sequence[Passage]) -> list[Passage]:
    """As many passages as a search would give, by chance: of a question always the same, and never
    its own."""
    count = retrieval.database.count
    chance = random.Random(f"{retrieval.seed}/{query}")
    # More than are asked for, in the place of its own that may be drawn: a support may be cut.
    numbers = chance.sample(range(count), min(count, retrieval.passages + len(gold) + PIECES))
    found = retrieval.database.passages(numbers)
    others = [one for one in found if not retrieval.gold.is_own(one, list(gold))]
    return others[: retrieval.passages]


def _unsearched(passage: Passage) -> Hit:
    return Hit(passage=passage, score=math.nan, bm25=None, cosine=None)


def _used(hit: Hit, whole: Mapping[str, str]) -> Used:
    passage = hit.passage
    return Used(
        id=passage.id,
        title=passage.title,
        source=passage.source,
        place=passage.place,
        text=passage.text,
        cut=passage.text != whole[passage.id],
        score=None if math.isnan(hit.score) else hit.score,
        bm25=hit.bm25,
        cosine=hit.cosine,
    )
