"""Retrieval-aware training rows (RAFT): the question of a row that brings its supporting passage is
asked with passages, its own among the nearest of other rows, or only those.

    {"messages": [{"role": "user", "content": "What is measured in newtons?"},
                  {"role": "assistant", "content": "Force."}],
     "meta": {"support": "The newton is the unit of force."}}

becomes

    {"messages": [{"role": "user", "content": "Read the passages … [2] table\\n> The newton …"},
                  {"role": "assistant", "content": "Force. [2]"}], …}

Everything is drawn by the seed and the row's id. Time: a search and a few renderings a row.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from data_builders.bm25 import Bm25
from data_builders.flow import Placed
from stemma.recipe.raft import Raft
from stemma.retrieval.context import Contexts, InContext
from stemma.retrieval.passages import Hit, Passage
from stemma.rows import SftRow

SUPPORT = "support"
"""The meta of a row that holds the passage which supports its answer."""
SPARE = 20
"""Passages that a search finds beyond those wanted: its own and those that hold the answer go."""
NO_SUPPORT = "without a passage of their own"
HELD_OUT = "whose own passage holds an evaluation question"
NOT_FITTING = "whose own passage does not fit"
WITH_OWN, WITHOUT_OWN = "with their own passage", "with distractors alone"


@dataclass(frozen=True)
class _Pool:
    """The passages that support training rows."""

    passages: list[Passage]
    index: Bm25

    @classmethod
    def of(cls, rows: Sequence[Placed], is_held_out: Callable[[str], bool]) -> _Pool:
        """The different passages of training rows that hold no evaluation question."""
        found: dict[str, Passage] = {}
        for placed in rows:
            if placed.split == "train" and (text := support_of(placed)):
                found.setdefault(_folded(text), _passage(placed, text))
        passages = [one for one in found.values() if not is_held_out(one.text)]
        return cls(passages, Bm25([one.text for one in passages]))

    def distractors(self, placed: Placed, count: int) -> list[Hit]:
        """The nearest passages to a row's question, without its own and those that hold its
        answer."""
        own = _folded(support_of(placed))
        gold = placed.row.meta.get("gold") if isinstance(placed.row, SftRow) else None
        answer = _folded(str(gold or ""))
        holds = re.compile(rf"\b{re.escape(answer)}\b") if len(answer) > 2 else None
        hits = []
        for number, score in self.index.nearest(placed.draft.question, count + SPARE):
            passage = self.passages[number]
            text = _folded(passage.text)
            is_answer = text in own or own in text or bool(holds and holds.search(text))
            if not is_answer:
                hits.append(Hit(passage, score, score, None))
        return hits[:count]


@dataclass(frozen=True)
class Asking:
    """What decides how rows are asked with passages."""

    settings: Raft
    contexts: Contexts
    seed: int
    is_held_out: Callable[[str], bool]
    """Whether a text holds an evaluation question: such a passage is shown to no training row."""

    def put(self, rows: Sequence[Placed]) -> tuple[list[Placed], dict[str, int]]:
        """The same rows, those of the set `sft` that train or validate with passages, and how many
        became what. A row without a passage of its own stays as it is."""
        ours = [one for one in rows if one.kind == "sft" and one.split != "test"]
        pool = _Pool.of(ours, self.is_held_out)
        counts: Counter[str] = Counter(passages=len(pool.passages))
        made: dict[int, Placed] = {}
        for placed in ours:
            what, row = self._asked(placed, pool)
            counts[what] += 1
            made[id(placed)] = replace(placed, row=row)
        return [made.get(id(placed), placed) for placed in rows], dict(counts)

    def _asked(self, placed: Placed, pool: _Pool) -> tuple[str, SftRow]:
        """What became of a row, and the row."""
        row = placed.row
        assert isinstance(row, SftRow)
        text = support_of(placed)
        if not text:
            return NO_SUPPORT, row
        if self.is_held_out(text):
            return HELD_OUT, row
        chance = random.Random(f"{self.seed}/raft/{row.id}")
        if chance.random() >= self.settings.oracle:
            hits = pool.distractors(placed, self.settings.distractors + 1)
            return WITHOUT_OWN, _with(row, self._put(row, hits, chance), cited=None)
        own = Hit(_passage(placed, text), 0.0, None, None)
        others = pool.distractors(placed, self.settings.distractors)
        found = self._put_whole(row, own, others, chance)
        if found is None:
            return NOT_FITTING, row
        number = found.used.index(own) + 1
        return WITH_OWN, _with(row, found, cited=number if self.settings.cite else None)

    def _put_whole(
        self, row: SftRow, own: Hit, others: list[Hit], chance: random.Random
    ) -> InContext | None:
        """The row's own passage, whole, among as many distractors as leave it room."""
        for count in range(len(others), -1, -1):
            found = self._put(row, [own, *others[:count]], chance)
            if own in found.used:
                return found
        return None

    def _put(self, row: SftRow, hits: Sequence[Hit], chance: random.Random) -> InContext:
        """The row's last question behind these passages in an order drawn by chance."""
        return self.contexts.put(row.messages[-2].content, chance.sample(hits, len(hits)))


def support_of(placed: Placed) -> str:
    """The passage that supports a row's answer; empty where the row brings none."""
    return str(placed.row.meta.get(SUPPORT) or "").strip() if isinstance(placed.row, SftRow) else ""


def _with(row: SftRow, found: InContext, cited: int | None) -> SftRow:
    """The row asked so, its answer citing a passage by number."""
    *before, asked, answer = row.messages
    told = _citing(answer.content, cited) if cited else answer.content
    messages = [*before, asked.model_copy(update={"content": found.text})]
    meta = row.meta | {"passages": len(found.used), "cited": cited}
    return row.model_copy(
        update={"messages": [*messages, answer.model_copy(update={"content": told})], "meta": meta}
    )


def _citing(answer: str, number: int) -> str:
    """The answer with a citation behind its first paragraph."""
    first, gap, rest = answer.partition("\n\n")
    return f"{first.rstrip()} [{number}]{gap}{rest}"


def _passage(placed: Placed, text: str) -> Passage:
    return Passage(placed.row.id, "", text, placed.row.source, "")


def _folded(text: str) -> str:
    return " ".join(text.casefold().split())
