"""The rows of all sets on their way from the sources: read, placed in parts, sifted, held against the evaluation
questions, mixed. One phase after the other, so that no request is paid for a question that may not train."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from itertools import islice
from pathlib import Path
from typing import Any

from data_builders import SOURCES, transforms
from data_builders.account import Account, Batch, batches_of
from data_builders.filters.clean import finish, is_damaged, repair
from data_builders.filters.gate import Gate
from data_builders.filters.near_copies import drop_near_copies
from data_builders.filters.near_duplicates import QuestionClusters
from data_builders.flow import NO_TOKENS, Context, Draft, Drop, Generate, Kind, Phase, Placed, Row
from data_builders.split import Sieved, choices_of, choose_part, frozen_clusters, keep_apart, question_key, read_frozen
from stemma.errors import Problem, UserError
from stemma.recipe.data import DataSection
from stemma.rows import McqRow, Split

Say = Callable[[str], None]
NOTHING: dict[str, Any] = {}
AMPLE = 2
"""Rows gone on with for each that a sample wants: near copies, conflicts and the gate take some."""


@dataclass(frozen=True, slots=True)
class Found:
    """A clean row that has no part yet."""

    batch: Batch
    draft: Draft
    row: Row
    key: str


def _choices(found: Found) -> Sequence[str]:
    return found.row.choices if isinstance(found.row, McqRow) else choices_of(found.draft.question)


@lru_cache(4096)
def key_of(question: str) -> str:
    """The question's key; many rows in a row ask the same."""
    return question_key(repair(question))


class Build:
    """All rows so far. `account` knows what became of the others."""

    def __init__(self, data: DataSection, seed: int, account: Account, gate: Gate, say: Say) -> None:
        self.data, self.seed, self.account, self.gate, self.say = data, seed, account, gate, say
        self.batches = batches_of(data)
        self.rows: list[Placed] = []
        self.balance: dict[str, Any] = {}
        self.clusters = QuestionClusters(data.near_duplicates)
        self.special = NO_TOKENS
        """The special tokens of the recipe's own model, to refuse in content."""
        self._frozen = read_frozen(Path(data.root) / data.frozen_test) if data.frozen_test else frozenset()
        self._seen: set[tuple[Split, str]] = set()

    def collect(self, phase: Phase, generate: Generate | None = None) -> None:
        """Run every source of a phase; clean, place and sift what it gives, and take out what is tested on."""
        batches = [batch for batch in self.batches if batch.phase == phase]
        if not batches:
            return
        self._place(self._read(batches, generate))
        self._sieve(keep_apart)
        self.say(f"{len(self.rows):,} rows divided")
        for batch in batches:
            if words := batch.options.min_words:
                self._sieve(partial(transforms.drop_short, words=words), batch=batch.name)
        self._agree({batch.kind for batch in batches})
        self._cap(batches)
        for batch in batches:
            if amounts := batch.options.sample:
                self._sieve(partial(transforms.sample, amounts=amounts, seed=self.seed), batch=batch.name)
        self.say(f"{len(self.rows):,} rows sifted")
        self.decontaminate()
        self.say(f"{len(self.rows):,} rows past the decontamination gate")

    def decontaminate(self) -> None:
        """Drop training rows that hold an evaluation question. Raises UserError where the recipe wants to be told."""
        reasons = self.gate.examine(self.rows)
        for placed in self.rows:
            if placed.part == "train" and placed.row.id in reasons:
                self.account.drop_placed(placed, reasons[placed.row.id])
        self.rows = [placed for placed in self.rows if placed.part != "train" or placed.row.id not in reasons]

    def mix(self) -> None:
        """Bring sets with a `total` to it, by weight, and shuffle the choices of sets that ask for it."""
        for kind, dataset in self.data.sets().items():
            if total := dataset.total:
                weights = {b.name: b.options.weight or 0.0 for b in self.batches if b.kind == kind}
                self._sieve(partial(transforms.mix, weights=weights, total=total, seed=self.seed), kind=kind)
        self.rows = [self._permuted(placed) for placed in self.rows]

    def generates(self) -> bool:
        return any(batch.phase == "generate" for batch in self.batches)

    def unfilled(self) -> list[dict[str, Any]]:
        """The samples and totals that there were too few rows for."""
        kept = Counter((placed.batch, placed.part) for placed in self.rows)
        asked = [(b.name, part, n) for b in self.batches for part, n in b.options.sample.items() if isinstance(n, int)]
        lacking = [{"of": b, "part": p, "asked": n, "kept": kept[b, p]} for b, p, n in asked if kept[b, p] < n]
        train = Counter(str(placed.kind) for placed in self.rows if placed.part == "train")
        totals = {kind: dataset.total for kind, dataset in self.data.sets().items() if dataset.total}
        short = [(kind, n) for kind, n in totals.items() if train[kind] < n]
        return lacking + [{"of": kind, "part": "train", "asked": n, "kept": train[kind]} for kind, n in short]

    def refuse_empty_sets(self) -> None:
        filled = {placed.kind for placed in self.rows if placed.part == "train"}
        problems = []
        for kind in (kind for kind in self.data.sets() if kind not in filled):
            totals = {b.name: self.account.dropped[b.name].total() for b in self.batches if b.kind == kind}
            lost = "; ".join(f"{name}: {count} dropped" for name, count in totals.items() if count)
            found = "no training row is left" + (f" ({lost})" if lost else "")
            hint = "the data stage's dropped.jsonl gives each row's reason"
            problems.append(Problem(f"data.{kind}", found, "at least one", hint))
        if problems:
            raise UserError(problems)

    def _read(self, batches: Sequence[Batch], generate: Generate | None) -> list[Found]:
        """What the sources give, cleaned. Raises UserError with the problems of all of them."""
        before, held_out = tuple(self.rows), self.held_out() if generate else lambda _question: False
        found: list[Found] = []
        problems: list[Problem] = []
        for batch in batches:
            root = Path(self.data.root)
            context = Context(batch.kind, root, self.seed, before, self.say, generate, held_out, self.special)
            try:
                found += self._clean(batch, context)
            except UserError as error:  # the other files may hold more to fix
                problems += error.problems
        if problems:
            raise UserError(problems)
        return found

    def _clean(self, batch: Batch, context: Context) -> list[Found]:
        found: list[Found] = []
        enough = self._enough(batch)
        self.account.read[batch.name] += 0  # a source that gives nothing is counted too
        for item in islice(SOURCES[batch.options.source].read(batch.options, context), batch.options.limit):
            self.account.read[batch.name] += 1
            row = self._finish(batch, item) if isinstance(item, Draft) else item.reason
            if isinstance(row, str) or not isinstance(item, Draft):
                self.account.drop(batch.name, Drop(item.where, str(row), item.row))
                continue
            self.account.repaired[batch.name] += is_damaged(item.row)
            # From here on the row alone counts: its texts are not kept twice.
            found.append(Found(batch, replace(item, row=NOTHING), row, key_of(item.question)))
            if enough and len(found) >= 2 * enough:
                found = self._thin(found, enough)
        self.say(f"{batch.name}: {self.account.read[batch.name]:,} rows read")
        return self._thin(found, enough) if enough else found

    def _finish(self, batch: Batch, draft: Draft) -> Row | str:
        return finish(batch.kind, batch.options.source, draft, self.special)

    def _enough(self, batch: Batch) -> int | None:
        """How many rows of a source to go on with: of a file far larger than its sample, most can go at once."""
        options = batch.options
        wanted = None if options.use == "split" else options.sample.get(options.use)
        sifted = options.min_words or options.max_per_question
        return AMPLE * wanted if isinstance(wanted, int) and not sifted else None

    def _thin(self, found: list[Found], enough: int) -> list[Found]:
        """The rows that `sample` would take first."""
        drawn = sorted(found, key=lambda one: transforms.draw_for_sample(one.row.id, self.seed))
        for one in drawn[enough:]:
            lost = Drop(one.draft.where, transforms.NOT_SAMPLED, one.row.model_dump(mode="json"))
            self.account.drop(one.batch.name, lost)
        stays = {id(one) for one in drawn[:enough]}
        return [one for one in found if id(one) in stays]

    def _place(self, found: Sequence[Found]) -> None:
        """Give every row its part by its question's cluster; a row that is there already is a duplicate."""
        keys = dict.fromkeys(row.key for row in found)
        self.clusters.add(keys)
        asked = ((one.key, _choices(one)) for one in found)
        frozen = frozen_clusters(asked, self._frozen, self.clusters.of)
        for one in found:
            cluster = self.clusters.of(one.key)
            by_pair = one.batch.options.use == "split" and one.batch.dataset.split == "pair"
            part, fixed = self._part(one.batch, one.row.id if by_pair else cluster, cluster in frozen)
            placed = Placed(one.batch.name, one.batch.kind, part, one.key, cluster, fixed, one.draft, one.row, by_pair)
            if (part, one.row.id) in self._seen:
                self.account.drop_placed(placed, "duplicate")
            else:
                self._seen.add((part, one.row.id))
                self.rows.append(placed)

    def _part(self, batch: Batch, drawn: str, frozen: bool) -> tuple[Split, bool]:
        """The part, and whether it was fixed rather than drawn for `drawn`: a cluster or a single pair."""
        use = batch.options.use
        if use != "split":
            return use, True
        if batch.kind == "corpus":
            return "train", False
        return ("test", True) if frozen else (choose_part(drawn, self.seed, batch.dataset.parts), False)

    def _agree(self, kinds: set[Kind]) -> None:
        """Drop pairs that contradict each other, then rows that say almost the same."""
        for kind, dataset in self.data.sets().items():
            if kind not in kinds:
                continue
            if kind == "dpo":
                self.balance["chosen_and_rejected"] = transforms.chosen_and_rejected(self._of(kind=kind))
            self._sieve(partial(transforms.drop_conflicts, rule=dataset.conflicts), kind=kind)
            self._sieve(drop_near_copies, kind=kind)

    def _cap(self, batches: Sequence[Batch]) -> None:
        """Keep so many rows of a question as its sources say; what earlier phases gave counts too."""
        for kind in {batch.kind: None for batch in batches}:
            caps = {
                b.name: b.options.max_per_question for b in batches if b.kind == kind and b.options.max_per_question
            }
            if caps:
                self._sieve(partial(transforms.cap_per_question, caps=caps, seed=self.seed), kind=kind)

    def _of(self, kind: str | None = None, batch: str | None = None) -> list[Placed]:
        return [row for row in self.rows if kind in (None, row.kind) and batch in (None, row.batch)]

    def _sieve(
        self, sieve: Callable[[list[Placed]], Sieved], kind: str | None = None, batch: str | None = None
    ) -> None:
        """Let a transform drop some of the rows of a set or source."""
        _, dropped = sieve(self._of(kind, batch))
        for placed, reason in dropped:
            self.account.drop_placed(placed, reason)
        gone = {id(placed) for placed, _ in dropped}
        self.rows = [placed for placed in self.rows if id(placed) not in gone]

    def _permuted(self, placed: Placed) -> Placed:
        wanted = placed.kind == "mcq" and placed.part == "train" and self.data.sets()["mcq"].permute
        if not wanted or not isinstance(placed.row, McqRow):
            return placed
        return replace(placed, row=transforms.permute_choices(placed.row, self.seed))

    def held_out(self) -> Callable[[str], bool]:
        """Whether a question is one of the evaluation's, so that no request may be paid for it."""
        held = [placed for placed in self.rows if placed.part != "train"]
        clusters = self.clusters
        if self.data.executor:  # clusters of its own, as a cluster's executor is not started for one question
            clusters = QuestionClusters(self.data.near_duplicates)
            clusters.add(placed.key for placed in held)
        taken, overlaps = {clusters.of(placed.key) for placed in held}, self.gate.watch(self.rows)

        def is_held_out(question: str) -> bool:
            key = key_of(question)
            clusters.add([key])
            return clusters.of(key) in taken or overlaps(question)

        return is_held_out
