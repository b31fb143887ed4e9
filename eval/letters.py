"""Figures of multiple choice beside the accuracy: baselines, subjects, letters, replies, orders.

Pure. A baseline is what a rule that never reads the question scores on the very same rows: guessing
(`chance`), always the letter that is right most often (`majority_letter`), always the longest
choice (`longest_choice`). A model that does not beat them has shown nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, TypeVar

from eval.statistics import bootstrap_mean, wilson
from eval.task import MeasuredRow, Metric
from stemma.answers.options import as_option, stated_choices
from stemma.rows import LETTERS
from stemma.shuffled_choices import name_others
from stemma.strict import Record


class Order(Record):
    """One further order of the choices: `order` names them by the letters they had, e.g. `CADB`."""

    order: str
    log_probs: dict[str, float]
    """The summed log-probability of each choice, by the letter it had."""


class McqSample(MeasuredRow):
    """One question: the summed log-probability of each choice, by letter."""

    subject: str
    answer: str
    choices: list[str]
    log_probs: dict[str, float]
    orders: list[Order] = []
    """The same question with its choices in other orders."""
    reply: str | None = None
    """What the model says when asked; None: it was not."""
    stopped: bool | None = None
    """Whether the reply ended by itself."""

    @cached_property
    def picked(self) -> str:
        """The likeliest letter; of several the first."""
        return likeliest(self.log_probs)

    @cached_property
    def picked_by_length(self) -> str:
        """The letter of the highest log-probability a character of its choice; of several the
        first."""
        lengths = dict(zip(LETTERS, map(len, self.choices), strict=False))
        return likeliest({name: value / lengths[name] for name, value in self.log_probs.items()})

    @property
    def tied(self) -> bool:
        """Whether several letters share the highest score."""
        scores = list(self.log_probs.values())
        return scores.count(max(scores)) > 1

    @cached_property
    def said(self) -> str | None:
        """The letter that the reply picks, by `stemma.answers`' rule: by letter or by text.

        None is a failure to parse: it picks no option, or several. Options of equal text are one.
        """
        letters = sorted(stated_choices(self.reply or "", self.choices))
        if len({self.choice(letter) for letter in letters}) != 1:
            return None
        return self.answer if self.answer in letters else letters[0]

    def choice(self, letter: str) -> str:
        """The text under a letter, without what does not change it."""
        return as_option(self.choices[LETTERS.index(letter)])


def likeliest(log_probs: Mapping[str, float]) -> str:
    """The key of the highest value; of several the first, as the question lists them."""
    return max(log_probs, key=lambda letter: log_probs[letter])


def baselines(rows: Sequence[McqSample]) -> list[Metric]:
    """What rules that never read the question score. Several longest choices share the credit."""
    n = len(rows)
    chance = sum(1 / len(row.choices) for row in rows) / n
    majority = max(Counter(row.answer for row in rows).values()) / n
    longest = sum(map(_longest_hit, rows)) / n
    return [
        Metric("chance", chance, n),
        Metric("majority_letter", majority, n),
        Metric("longest_choice", longest, n),
    ]


def _longest_hit(row: McqSample) -> float:
    lengths = [len(choice) for choice in row.choices]
    if lengths[LETTERS.index(row.answer)] < max(lengths):
        return 0.0
    return 1 / lengths.count(max(lengths))


Row = TypeVar("Row")


def by_group(
    rows: Iterable[Row], group: Callable[[Row], str], hit: Callable[[Row], bool]
) -> dict[str, dict[str, Any]]:
    """Accuracy of each group, sorted by name: n, share, and Wilson's 95 % interval."""
    hits: dict[str, list[bool]] = {}
    for row in rows:
        hits.setdefault(group(row), []).append(hit(row))
    found = {}
    for name, values in sorted(hits.items()):
        share, n = sum(values) / len(values), len(values)
        low, high = wilson(share, n)
        found[name] = {"n": n, "accuracy": share, "low": low, "high": high}
    return found


def by_length(rows: Sequence[McqSample]) -> tuple[Metric, dict[str, bool], dict[str, Any]]:
    """Accuracy by the log-probability a character of each choice, which questions are right by it,
    and how many have a choice that means others ("all of the above"), which nobody was shown.

    lm-evaluation-harness's `acc_norm`: it divides by `len(choice)`.
    """
    n = len(rows)
    right = {row.id: row.picked_by_length == row.answer for row in rows}
    share = sum(right.values()) / n
    metric = Metric("normalised_accuracy", share, n, *wilson(share, n))
    others = sum(name_others(row.choices) for row in rows)
    return metric, right, {"questions whose choices mean others": others}


def generated(rows: Sequence[McqSample]) -> tuple[list[Metric], dict[str, Any]]:
    """Figures of the replies, of all rows that have one: a reply that names no single option is
    wrong, and counted."""
    n = len(rows)
    said = [row.said for row in rows]
    right = sum(letter == row.answer for letter, row in zip(said, rows, strict=True)) / n
    failures = said.count(None) / n
    stopped = sum(bool(row.stopped) for row in rows) / n
    metrics = [
        Metric("generated_accuracy", right, n, *wilson(right, n)),
        Metric("parse_failures", failures, n, *wilson(failures, n)),
        Metric("generated_stopped", stopped, n, *wilson(stopped, n)),
    ]
    unread = [row for row in rows if row.said is None]
    several = sum(bool(stated_choices(row.reply or "", row.choices)) for row in unread)
    counts = {"one": n - len(unread), "several": several}
    facts = {
        "options a reply names": counts | {"none": len(unread) - several},
        "letters generated": dict(sorted(Counter(filter(None, said)).items())),
    }
    return metrics, facts


def permuted(rows: Sequence[McqSample], seed: int) -> tuple[list[Metric], dict[str, Any]]:
    """Accuracy over all orders a question was asked in, its own included, each question weighing
    the same; and the share of reordered questions on which the same choice, by its text, is picked
    in every order."""
    shares = []
    steady = []
    for row in rows:
        picks = [row.picked, *(likeliest(one.log_probs) for one in row.orders)]
        shares.append(sum(pick == row.answer for pick in picks) / len(picks))
        if row.orders:
            steady.append(len({row.choice(pick) for pick in picks}) == 1)
    n = len(rows)
    interval = bootstrap_mean(shares, [row.id for row in rows], seed)
    metrics = [Metric("permuted_accuracy", sum(shares) / n, n, *interval)]
    if steady:
        share = sum(steady) / len(steady)
        interval = wilson(share, len(steady))
        metrics.append(Metric("permutation_consistency", share, len(steady), *interval))
    orders = sum(len(row.orders) for row in rows)
    return metrics, {"further orders": orders, "kept in their order": n - len(steady)}
