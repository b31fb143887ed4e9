"""A person as judge: pairs shown blind and in random order, verdicts kept one by one.

The verdicts of all people lie in one journal beside the run folders, a line each in the form of a
model's (`eval.judge.verdicts`): what somebody read for an hour outlives any run. Pairs are known by
their texts.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from pydantic import ValidationError

from eval.judge.agreement import key_of_pair
from eval.judge.delimiting import shown
from eval.judge.verdicts import OrderVerdict, PairVerdict, Place, Side, combine, mark_of
from stemma.errors import Problem, UserError
from stemma.jsonl import read_rows
from stemma.runs import Run

JOURNAL = "people.jsonl"
"""Beside the run folders."""
PLACES: dict[str, Place] = {"1": "first", "2": "second", "3": "tie"}


@dataclass(frozen=True)
class BlindPair:
    """What a person sees: never which variant wrote what, nor what the model said."""

    key: str
    question: str
    answers: tuple[str, str]
    """As they are shown, first and second."""
    first: Side
    judged: int
    """Pairs that this person has judged."""
    total: int


def judged_pairs(run: Run) -> list[PairVerdict]:
    """The pairs of the run's judgings with a model, each once, equal answers left out.

    Raises UserError where the evaluation is not done or judged nothing.
    """
    outputs = run.manifest("eval").outputs
    found: dict[str, PairVerdict] = {}
    for name in outputs:
        variant, _, task = name.removeprefix("samples/").partition("/")
        if f"{variant} {task}" in run.manifest("eval").facts and name.startswith("samples/"):
            for one in read_rows(run.output("eval", name), PairVerdict):
                if not one.identical:
                    found.setdefault(key_of_pair(one), one)
    if not found:
        hint = "a recipe names its judges in `eval.judge`; equal answers need no judge"
        raise UserError(Problem(run.root.name, "no judged pair", "an evaluation with some", hint))
    return list(found.values())


class Sitting:
    """One person's way through the pairs, which may be left and resumed at any time."""

    def __init__(self, pairs: Sequence[PairVerdict], journal: Path, person: str, seed: int) -> None:
        self._person = person
        self._seed = seed
        self._journal = journal
        keyed = {key_of_pair(one): one for one in pairs}
        drawn = sorted(keyed, key=lambda key: self._drawn(f"order/{key}"))
        self._pairs = {key: keyed[key] for key in drawn}
        known = [one for one in read_journal(journal) if one.judge == person]
        self._given = {key_of_pair(one): one for one in known if key_of_pair(one) in self._pairs}

    def next(self) -> BlindPair | None:
        """The next pair without a verdict; None when all have one."""
        open_keys = (key for key in self._pairs if key not in self._given)
        key = next(open_keys, None)
        if key is None:
            return None
        one, first = self._pairs[key], self._first(key)
        second: Side = "policy" if first == "reference" else "reference"
        answers = (shown(one.answers[first]), shown(one.answers[second]))
        given, total = len(self._given), len(self._pairs)
        return BlindPair(key, shown(one.question), answers, first, given, total)

    def record(self, key: str, said: str) -> None:
        """Keeps a verdict: `1` the answer shown first, `2` the second, `3` neither.

        It is on the disk when this returns. Raises ValueError for a pair or a verdict that there
        is not; a pair that has one keeps its first.
        """
        if key not in self._pairs or said not in PLACES:
            raise ValueError(f"no such pair or verdict: {key[:16]} {said[:16]}")
        if key in self._given:
            return
        first = self._first(key)
        order = OrderVerdict(first=first, verdict=mark_of(first, PLACES[said]))
        changes = {
            "judge": self._person,
            "kind": "person",
            "orders": [order],
            "outcome": combine([order]),
            "cost_usd": 0.0,
        }
        verdict = self._pairs[key].model_copy(update=changes)
        append(self._journal, verdict)
        self._given[key] = verdict

    @property
    def given(self) -> list[PairVerdict]:
        """This person's verdicts on these pairs."""
        return list(self._given.values())

    def _first(self, key: str) -> Side:
        return "reference" if self._drawn(f"side/{key}")[0] % 2 else "policy"

    def _drawn(self, what: str) -> bytes:
        return sha256(f"{self._seed}/{self._person}/{what}".encode()).digest()


def read_journal(path: Path) -> list[PairVerdict]:
    """All verdicts that people gave; a last line that was cut by a kill is no verdict.

    Raises UserError for a line that is none.
    """
    if not path.is_file():
        return []
    lines = path.read_bytes().split(b"\n")
    return [_parsed(path, number, line) for number, line in enumerate(lines[:-1], 1) if line]


def _parsed(path: Path, number: int, line: bytes) -> PairVerdict:
    try:
        return PairVerdict.model_validate_json(line)
    except ValidationError:
        where = f"{path}:{number}"
        raise UserError(
            Problem(where, "no verdict", "a line as `stemma judge` writes it")
        ) from None


def append(path: Path, verdict: PairVerdict) -> None:
    """Adds a line, and waits until it is on the disk; what a kill left of a line is cut off."""
    path.parent.mkdir(parents=True, exist_ok=True)
    line = json.dumps(verdict.model_dump(mode="json"), ensure_ascii=False).encode() + b"\n"
    with path.open("ab+") as stream:
        stream.seek(0)
        whole = stream.read()
        stream.truncate(whole.rfind(b"\n") + 1)
        stream.write(line)
        stream.flush()
        os.fsync(stream.fileno())
