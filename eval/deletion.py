"""Citation faithfulness by deletion: how far the log-probability of a variant's own reply falls
when the passage it cites is taken out of its context.

No judge is needed: a reply that rests on a passage becomes unlikely without it, one that only
mentions it does not. A reply that cites nothing (`[1]`) is held to the first passage, which is what
a reader is shown first; the share that cites is told beside. The control is the fall when a passage
that is not cited is taken out.

Time: up to three prompts a row, of at most ROWS rows a variant. The prompts are scored as pairs are
(the reply, and the row's own answer), by the same workers, and kept like all else.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from eval.contexts import RowContext, Used
from eval.job import Records
from eval.statistics import bootstrap_mean, wilson
from eval.task import Metric
from stemma.rows import Message, PreferenceRow, SftRow, spoken

ROWS = 200
"""Replies of a variant that are looked at, drawn by the seed."""
WHOLE = "all"
_CITED = re.compile(r"\[(\d{1,3})\]")


@dataclass(frozen=True)
class Deletion:
    """One reply and the passages that are taken out of its context, by their numbers from 1."""

    id: str
    cites: bool
    cited: int
    """The passage the reply cites first, or else the first one."""
    other: int | None
    """One that it does not cite; None where there is none."""


def deletions(replies: Records, contexts: Sequence[RowContext], seed: int) -> dict[str, Deletion]:
    """By row, what is taken out: of rows that were asked with passages and answered."""
    by_id = {context.id: context for context in contexts if context.passages}
    told = [one for one in replies if one["id"] in by_id and one["reply"].strip()]
    some = random.Random(f"{seed}/deletion").sample(told, min(ROWS, len(told)))
    found = (_deletion(one, len(by_id[one["id"]].passages)) for one in some)
    return {one.id: one for one in found}


def _deletion(sample: Mapping[str, Any], passages: int) -> Deletion:
    cited = cited_in(str(sample["reply"]), passages)
    first = cited[0] if cited else 1
    others = [number for number in range(passages, 0, -1) if number not in {first, *cited}]
    return Deletion(sample["id"], bool(cited), first, others[0] if others else None)


def cited_in(reply: str, passages: int) -> list[int]:
    """Numbers of the passages that a reply cites, of those there are, in its order."""
    named = [int(number) for number in _CITED.findall(reply)]
    return list(dict.fromkeys(number for number in named if 1 <= number <= passages))


def rows_to_compare(
    found: Mapping[str, Deletion],
    rows: Mapping[str, SftRow],
    replies: Mapping[str, str],
    without: Callable[[str, int | None], str],
) -> Iterator[PreferenceRow]:
    """The reply (`chosen`) and the row's own answer behind the whole context, and behind it with
    one passage less. `without`: the user's turn of a row without a passage."""
    for name, one in found.items():
        row = rows[name]
        own = row.messages[-1].content
        reply = replies[name].strip()
        for number in dict.fromkeys((None, one.cited, one.other)):
            turn = Message(role="user", content=without(name, number))
            turns = [*row.messages[:-2], turn]
            yield PreferenceRow(
                id=f"{name}/{number or WHOLE}",
                source=row.source,
                question_id=name,
                prompt=spoken(turns),
                turns=turns if len(turns) > 1 else [],
                chosen=reply,
                # A row needs two answers; equal ones fall alike.
                rejected=own if own != reply else _another(reply),
            )


def _another(reply: str) -> str:
    return "?" if reply != "?" else "!"


def passages_without(passages: Sequence[Used], number: int | None) -> list[Used]:
    """The passages but that of a number from 1; None: all."""
    return [one for place, one in enumerate(passages, start=1) if place != number]


def falls(found: Mapping[str, Deletion], samples: Records) -> Records:
    """Each reply with what its log-probability (nats, summed over its tokens) falls by."""
    known = {sample["id"]: sample["chosen_log_prob"] for sample in samples}
    rows = []
    for name, one in found.items():
        whole = known[f"{name}/{WHOLE}"]
        other = None if one.other is None else whole - known[f"{name}/{one.other}"]
        rows.append(
            {
                "id": name,
                "cites": one.cites,
                "cited": one.cited,
                "other": one.other,
                "log_prob": whole,
                "fall": whole - known[f"{name}/{one.cited}"],
                "fall_other": other,
            }
        )
    return rows


def metrics(rows: Records, seed: int) -> list[Metric]:
    """The mean falls with bootstrap intervals, and their paired difference."""
    n = len(rows)
    cited = sum(row["cites"] for row in rows) / n
    both = [row for row in rows if row["fall_other"] is not None]
    found = [Metric("cited", cited, n, *wilson(cited, n))]
    for name, used, values in (
        ("deletion_fall", rows, [row["fall"] for row in rows]),
        ("deletion_fall_other", both, [row["fall_other"] for row in both]),
        ("deletion_fall_minus_other", both, [row["fall"] - row["fall_other"] for row in both]),
    ):
        if used:
            interval = bootstrap_mean(values, [row["id"] for row in used], seed)
            found.append(Metric(name, sum(values) / len(values), len(values), *interval))
    return found
