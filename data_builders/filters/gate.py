"""The decontamination gate: collects the evaluation questions, and stops the build or drops
training rows that hold one.

Which rows overlap with which questions is `decontaminate`'s to say.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from data_builders import SOURCES
from data_builders.account import name_of
from data_builders.filters.clean import repair, without_empty_end
from data_builders.filters.decontaminate import (
    EvalQuestion,
    Overlap,
    Watch,
    eval_question,
    find_overlaps,
    report,
    table,
)
from data_builders.flow import Draft, Placed, SourceContext
from data_builders.split import choices_of, id_of
from stemma.errors import Problem, StageFailed, UserError
from stemma.jsonl import write_json
from stemma.recipe.data import DataSection, Decontaminate

NAMED = 10
"""Questions that an error names, at most."""

Find = Callable[[Sequence[Placed], Sequence[EvalQuestion], Decontaminate], list[Overlap]]


@dataclass
class DecontaminationGate:
    """The evaluation questions and the overlaps found with them, over all phases of a build."""

    data: DataSection
    benchmarks: list[EvalQuestion]
    find: Find = find_overlaps
    evaluation: Counter[str] = field(default_factory=Counter)
    overlaps: dict[Overlap, None] = field(default_factory=dict)

    def examine(self, placed: Sequence[Placed]) -> dict[str, str]:
        """The reason why each overlapping training row has to go, by row id. Raises UserError where
        the recipe says `fail`."""
        settings = self.data.decontaminate
        if settings is None:
            return {}
        questions = evaluation_of(placed) + self.benchmarks
        self.evaluation = Counter(question.eval_set for question in questions)
        train = [row for row in placed if row.split == "train"]
        found = self.find([row for row in train if not row.by_pair], questions, settings)
        if loose := [
            row for row in train if row.by_pair
        ]:  # in their own set, and nowhere else, test questions train
            others = evaluation_of([row for row in placed if not row.by_pair]) + self.benchmarks
            found += self.find(loose, others, settings)
        self.overlaps |= dict.fromkeys(found)
        reasons = {
            overlap.row_id: f"overlaps with {overlap.eval_set} ({overlap.rule})"
            for overlap in reversed(found)
        }
        if settings.mode == "fail" and len(reasons) > settings.limit:
            rows = (
                "1 training row overlaps"
                if len(reasons) == 1
                else f"{len(reasons):,} training rows overlap"
            )
            told = f"{rows} with evaluation questions\n{table(found)}"
            expected = f"at most {settings.limit} (data.decontaminate.limit)"
            hint = (
                "decontamination.json in the data stage's folder lists the rows; `mode: drop` "
                "takes them out"
            )
            raise UserError(Problem("data.decontaminate", told, expected, hint))
        return reasons if settings.mode == "drop" else {}

    def prove_apart(self, placed: Sequence[Placed]) -> None:
        """The promise at the end of a build: no question of a test split trains, in whatever set.

        Of a set that is split by pair (`split: pair`) only its own test questions may, and only in
        itself. Raises StageFailed naming those that do. Rows that the recipe let stay (`limit`) are
        told by the gate.
        """
        if self.data.decontaminate is None:
            return
        tested = {id_of(row) for row in placed if row.split == "test"}
        apart = {id_of(row) for row in placed if row.split == "test" and not row.by_pair}
        told = {overlap.row_id for overlap in self.overlaps}
        train = [row for row in placed if row.split == "train" and row.row.id not in told]
        if leaks := {
            name: row.row.id
            for row in train
            if (name := id_of(row)) in (apart if row.by_pair else tested)
        }:
            named = ", ".join(f"{name} ({row})" for name, row in sorted(leaks.items())[:NAMED])
            more = f" and {len(leaks) - NAMED:,} more" if len(leaks) > NAMED else ""
            raise StageFailed(f"{len(leaks):,} test questions train: {named}{more}")

    def watch(self, rows: Sequence[Placed]) -> Callable[[str], bool]:
        """Whether a question overlaps with one of the evaluation's."""
        settings = self.data.decontaminate
        return (
            Watch(evaluation_of(rows) + self.benchmarks, settings).holds
            if settings
            else lambda _question: False
        )

    def summary(self) -> dict[str, Any]:
        """For the manifest: which questions were looked for, and how many training rows held
        one."""
        mode = self.data.decontaminate.mode if self.data.decontaminate else "off"
        rows = len({overlap.row_id for overlap in self.overlaps})
        return {"mode": mode, "questions": dict(self.evaluation), "rows": rows}

    def write(self, folder: Path) -> None:
        """All of it, with the ids."""
        write_json(
            folder / "decontamination.json", {**self.summary(), "overlaps": report(self.overlaps)}
        )


def leak_of(rows: Sequence[Placed]) -> dict[str, int]:
    """The questions (near-duplicates are one) that a split by pair shares between train and test;
    empty where nothing is split so. `leaked_test_pairs` have their question in training."""
    train = {row.cluster for row in rows if row.by_pair and row.split == "train"}
    test = [row.cluster for row in rows if row.by_pair and row.split == "test"]
    if not train and not test:
        return {}
    return {
        "train_questions": len(train),
        "test_questions": len(set(test)),
        "shared_questions": len(train & set(test)),
        "test_pairs": len(test),
        "leaked_test_pairs": sum(cluster in train for cluster in test),
    }


def tell_leak(leak: Mapping[str, int]) -> str:
    """The leak in words, for who builds, and for who reads card and report."""
    return (
        f"split by pair: {leak['shared_questions']:,} of {leak['test_questions']:,} test "
        "questions train too, with "
        f"{leak['leaked_test_pairs']:,} of {leak['test_pairs']:,} test pairs (near-duplicates "
        "are one question): what is scored there is partly memory"
    )


def evaluation_of(rows: Sequence[Placed]) -> list[EvalQuestion]:
    """The test splits' questions. A set is named by its kind and source: `mcq test: mmlu
    mmlu/test/*.csv`."""
    return [
        eval_question(placed, placed.source.replace(": ", " test: ", 1))
        for placed in rows
        if placed.split == "test"
    ]


def read_benchmarks(data: DataSection, seed: int, say: Callable[[str], None]) -> list[EvalQuestion]:
    """The questions of `decontaminate.against`, each set named by its source and files."""
    found = []
    for options in data.decontaminate.against if data.decontaminate else []:
        source = SOURCES[options.source]
        context = SourceContext(source.kinds[0], Path(data.root), seed, (), say)
        for item in islice(source.read(options, context), options.limit):
            if isinstance(item, Draft):
                choices = tuple(
                    without_empty_end(item.row.get("choices") or list(choices_of(item.question)))
                )
                found.append(
                    EvalQuestion(name_of(options), item.where, repair(item.question), choices)
                )
    return found
