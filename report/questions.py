"""Questions of the test rows, as the page shows them beside the answers.

Of each task's data set only the rows that are shown are kept in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from stemma.errors import UserError
from stemma.jsonl import stream_dicts, validated
from stemma.rows import LETTERS, McqRow, PreferenceRow, SftRow
from stemma.runs import Run

DATA_SETS = {"mcq": "mcq", "preference": "dpo", "generation": "sft"}
"""The data set whose test rows a task asks. A test holds it against the tasks themselves."""


@dataclass(frozen=True)
class AskedQuestion:
    """A test row in words."""

    parts: tuple[tuple[str, str], ...]
    """Headed texts: the question, its choices, the two answers of a pair."""
    gold: str
    """The right answer; empty where the row has none."""
    group: str
    """Its subject, or the source it comes from."""
    choices: tuple[str, ...] = ()


def questions_of(run: Run, task: str, wanted: Collection[str]) -> dict[str, AskedQuestion]:
    """The wanted questions by id; empty of a task that asks no rows of the data stage, and of a
    run whose data are gone."""
    if task not in DATA_SETS:
        return {}
    read = READERS[task]
    ids = set(wanted)
    try:
        path = run.output("data", f"{DATA_SETS[task]}/test")
    except UserError:  # the page can still show answers by their ids
        return {}
    rows = (row for row in stream_dicts(path) if row.get("id") in ids)
    return {row["id"]: read(row, str(path)) for row in rows}


def _mcq(record: dict[str, Any], where: str) -> AskedQuestion:
    row = validated(record, where, McqRow)
    listed = "\n".join(
        f"{letter}. {choice}" for letter, choice in zip(LETTERS, row.choices, strict=False)
    )
    gold = f"{row.answer}. {row.choices[LETTERS.index(row.answer)]}"
    parts = (("Question", row.question), ("Choices", listed))
    return AskedQuestion(parts, gold, row.subject or row.source, tuple(row.choices))


def _preference(record: dict[str, Any], where: str) -> AskedQuestion:
    row = validated(record, where, PreferenceRow)
    parts = (("Question", row.prompt), ("Chosen", row.chosen), ("Rejected", row.rejected))
    return AskedQuestion(parts, "the chosen answer", row.source)


def _generation(record: dict[str, Any], where: str) -> AskedQuestion:
    row = validated(record, where, SftRow)
    asked = "\n\n".join(message.content for message in row.messages[:-1])
    gold = row.meta.get("gold")
    subject = row.meta.get("subject")
    return AskedQuestion(
        (("Question", asked),), "" if gold is None else str(gold), str(subject or row.source)
    )


READERS: dict[str, Callable[[dict[str, Any], str], AskedQuestion]] = {
    "mcq": _mcq,
    "preference": _preference,
    "generation": _generation,
}
