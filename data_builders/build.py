"""The build of all sets: rows are read, cleaned, split by question, filtered, held against the
evaluation questions, and mixed. One phase after the other, so that no request is paid for a
question that may not train.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from itertools import islice
from pathlib import Path
from typing import Any

from data_builders import SOURCES, transforms
from data_builders.account import Account, SetSource, sources_of
from data_builders.filters.clean import finish, is_damaged, repair
from data_builders.filters.gate import DecontaminationGate
from data_builders.filters.near_copies import drop_near_copies
from data_builders.filters.near_duplicates import QuestionClusters
from data_builders.flow import (
    NO_TOKENS,
    CleanRow,
    Drop,
    Generate,
    Kind,
    Phase,
    Placed,
    SourceContext,
)
from data_builders.split import (
    Filtered,
    choices_in,
    choose_split,
    frozen_clusters,
    keep_apart,
    question_key,
    read_frozen,
)
from stemma import progress
from stemma.errors import Problem, UserError
from stemma.recipe.data import DataSection
from stemma.rows import McqRow, Split
from stemma.shuffled_choices import permute_choices

Say = Callable[[str], None]
Transform = Callable[[list[Placed]], Filtered]
NOTHING: dict[str, Any] = {}
AMPLE = 2
"""Rows kept at first for each that a sample wants: near copies, conflicts and the gate take
some."""


@lru_cache(4096)
def key_of(question: str) -> str:
    """The question's key; many rows in a row ask the same."""
    return question_key(repair(question))


class Build:
    """All rows of a build so far, phase by phase. `account` knows what became of the others."""

    def __init__(
        self, data: DataSection, seed: int, account: Account, gate: DecontaminationGate, say: Say
    ) -> None:
        self.data = data
        self.seed = seed
        self.account = account
        self.gate = gate
        self.say = say
        self.sources = sources_of(data)
        self.rows: list[Placed] = []
        self.balance: dict[str, Any] = {}
        self.clusters = QuestionClusters(data.near_duplicates)
        self.recipe_folder = Path()
        self.special = NO_TOKENS
        """The special tokens of the recipe's own model, to refuse in content."""

        self._named = {source.name: source for source in self.sources}
        frozen = data.frozen_test
        self._frozen = read_frozen(Path(data.root) / frozen) if frozen else frozenset()
        self._seen: set[tuple[Split, str]] = set()

    def collect(self, phase: Phase, generate: Generate | None = None) -> None:
        """Run every source of a phase: clean, split and filter what it gives, and take out
        training rows that hold an evaluation question."""
        sources = [source for source in self.sources if source.phase == phase]
        if not sources:
            return

        self._split(self._read(sources, generate))
        self._filter(keep_apart)
        progress.phase(self.say, f"{len(self.rows):,} rows split into train, validation and test")

        for source in sources:
            if words := source.options.min_words:
                drop_short = partial(transforms.drop_short, words=words)
                self._filter(drop_short, source=source.name)
        self._agree({source.kind for source in sources})
        self._cap(sources)
        for source in sources:
            if amounts := source.options.sample:
                sample = partial(transforms.sample, amounts=amounts, seed=self.seed)
                self._filter(sample, source=source.name)
        progress.phase(self.say, f"{len(self.rows):,} rows left by the filters")

        self.decontaminate()
        progress.phase(self.say, f"{len(self.rows):,} rows past the decontamination gate")

    def decontaminate(self) -> None:
        """Drop training rows that hold an evaluation question. Raises UserError where the recipe
        says `mode: fail` and there are more than it allows."""
        reasons = self.gate.examine(self.rows)
        kept = []
        for placed in self.rows:
            if placed.split == "train" and placed.row.id in reasons:
                self.account.drop_placed(placed, reasons[placed.row.id])
            else:
                kept.append(placed)
        self.rows = kept

    def mix(self) -> None:
        """Bring sets with a `total` to it, by weight, and shuffle the choices of sets that ask
        for it."""
        for kind, dataset in self.data.sets().items():
            if total := dataset.total:
                ours = [source for source in self.sources if source.kind == kind]
                weights = {source.name: source.options.weight or 0.0 for source in ours}
                mix = partial(transforms.mix, weights=weights, total=total, seed=self.seed)
                self._filter(mix, kind=kind)
        self.rows = [self._permuted(placed) for placed in self.rows]

    def generates(self) -> bool:
        """Whether any source asks a generator."""
        return any(source.phase == "generate" for source in self.sources)

    def held_out(self) -> Callable[[str], bool]:
        """Whether a question is one of the evaluation's, so that no request may be paid for it."""
        held = [placed for placed in self.rows if placed.split != "train"]
        clusters = self.clusters
        if self.data.executor:
            # Clusters of its own: a cluster's executor is not started for a single question.
            clusters = QuestionClusters(self.data.near_duplicates)
            clusters.add(placed.key for placed in held)
        taken = {clusters.of(placed.key) for placed in held}
        overlaps = self.gate.watch(self.rows)

        def is_held_out(question: str) -> bool:
            key = key_of(question)
            clusters.add([key])
            return clusters.of(key) in taken or overlaps(question)

        return is_held_out

    def _read(self, sources: Sequence[SetSource], generate: Generate | None) -> list[CleanRow]:
        """Read and clean the rows of some sources.

        Raises UserError with the problems of all of them.
        """
        before = tuple(self.rows)
        held_out = self.held_out() if generate else lambda _question: False
        found: list[CleanRow] = []
        problems: list[Problem] = []
        for source in sources:
            context = SourceContext(
                kind=source.kind,
                root=Path(self.data.root),
                seed=self.seed,
                placed=before,
                say=self.say,
                generate=generate,
                held_out=held_out,
                recipe_folder=self.recipe_folder,
                special=self.special,
            )
            try:
                found += self._clean(source, context)
            except UserError as error:  # the other files may hold more to fix
                problems += error.problems
        if problems:
            raise UserError(problems)
        return found

    def _clean(self, source: SetSource, context: SourceContext) -> list[CleanRow]:
        found: list[CleanRow] = []
        enough = self._enough(source)
        self.account.read[source.name] += 0  # a source that gives nothing is counted too
        options = source.options
        items = SOURCES[options.source].read(options, context)
        for item in progress.counting(
            islice(items, options.limit), f"reading {source.name}", "rows"
        ):
            self.account.read[source.name] += 1
            if isinstance(item, Drop):
                self.account.drop(source.name, item)
                continue
            row = finish(source.kind, options.source, item, self.special)
            if isinstance(row, str):
                self.account.drop(source.name, Drop(item.where, row, item.row))
                continue
            self.account.repaired[source.name] += is_damaged(item.row)
            # From here on the row alone counts: its texts are not kept twice.
            draft = replace(item, row=NOTHING)
            found.append(CleanRow(source.name, source.kind, key_of(item.question), draft, row))
            if enough and len(found) >= 2 * enough:
                found = self._thin(found, enough)
        progress.phase(self.say, f"{source.name}: {self.account.read[source.name]:,} rows read")
        return self._thin(found, enough) if enough else found

    def _enough(self, source: SetSource) -> int | None:
        """The number of rows of a source to keep: of a file far larger than its sample, most can go
        at once.

        None: all of them.
        """
        options = source.options
        if options.use == "split" or options.min_words or options.max_per_question:
            return None
        wanted = options.sample.get(options.use)
        return AMPLE * wanted if isinstance(wanted, int) else None

    def _thin(self, found: list[CleanRow], enough: int) -> list[CleanRow]:
        """The rows that `sample` would take first."""
        drawn = sorted(found, key=lambda one: transforms.draw_for_sample(one.row.id, self.seed))
        for one in drawn[enough:]:
            self.account.drop_placed(one, transforms.NOT_SAMPLED)
        stays = {id(one) for one in drawn[:enough]}
        return [one for one in found if id(one) in stays]

    def _split(self, found: Sequence[CleanRow]) -> None:
        """Choose every row's split by its question's cluster; a row that is in it already is a
        duplicate."""
        self.clusters.add(dict.fromkeys(row.key for row in found))
        asked = ((one.key, choices_in(one)) for one in found)
        frozen = frozen_clusters(asked, self._frozen, self.clusters.of)
        for one in found:
            placed = self._placed(one, frozen)
            if (placed.split, one.row.id) in self._seen:
                self.account.drop_placed(placed, "duplicate")
            else:
                self._seen.add((placed.split, one.row.id))
                self.rows.append(placed)

    def _placed(self, one: CleanRow, frozen: set[str]) -> Placed:
        source = self._named[one.source]
        use = source.options.use
        cluster = self.clusters.of(one.key)
        if use != "split":
            return one.placed(use, cluster, fixed=True)
        if one.kind == "corpus":
            return one.placed("train", cluster, fixed=False)
        by_pair = source.dataset.split == "pair"
        if cluster in frozen:
            return one.placed("test", cluster, fixed=True, by_pair=by_pair)
        drawn = one.row.id if by_pair else cluster
        split = choose_split(drawn, self.seed, source.dataset.parts)
        return one.placed(split, cluster, fixed=False, by_pair=by_pair)

    def _agree(self, kinds: set[Kind]) -> None:
        """Drop pairs that contradict each other, then rows that say almost the same."""
        for kind, dataset in self.data.sets().items():
            if kind not in kinds:
                continue
            if kind == "dpo":
                rows = self._of(kind=kind)
                self.balance["chosen_and_rejected"] = transforms.chosen_and_rejected(rows)
            self._filter(partial(transforms.drop_conflicts, rule=dataset.conflicts), kind=kind)
            self._filter(drop_near_copies, kind=kind)

    def _cap(self, sources: Sequence[SetSource]) -> None:
        """Keep so many rows of a question as its sources say; what earlier phases gave counts."""
        for kind in dict.fromkeys(source.kind for source in sources):
            ours = [source for source in sources if source.kind == kind]
            limits = {source.name: source.options.max_per_question for source in ours}
            if caps := {name: cap for name, cap in limits.items() if cap}:
                cap = partial(transforms.cap_per_question, caps=caps, seed=self.seed)
                self._filter(cap, kind=kind)

    def _of(self, kind: str | None = None, source: str | None = None) -> list[Placed]:
        rows = (row for row in self.rows if kind in (None, row.kind))
        return [row for row in rows if source in (None, row.source)]

    def _filter(
        self, transform: Transform, kind: str | None = None, source: str | None = None
    ) -> None:
        """Let a transform drop some of the rows of a set or source."""
        _, dropped = transform(self._of(kind, source))
        for placed, reason in dropped:
            self.account.drop_placed(placed, reason)
        gone = {id(placed) for placed, _ in dropped}
        self.rows = [placed for placed in self.rows if id(placed) not in gone]

    def _permuted(self, placed: Placed) -> Placed:
        wanted = (
            placed.kind == "mcq" and placed.split == "train" and self.data.sets()["mcq"].permute
        )
        if not wanted or not isinstance(placed.row, McqRow):
            return placed
        return replace(placed, row=permute_choices(placed.row, self.seed))
