"""A preference pair from one question: two separate chats, then the gold answer or a judge decides.

The judge is asked in both orders, and only where the gold answer does not tell the answers apart.
The chosen answer always states the gold one.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from data_builders.flow import Draft, Drop, RowJob
from data_builders.generated.judging import (
    AGAINST_GOLD,
    JudgeMonitor,
    Ranking,
    Side,
    Ties,
    by_gold,
    combine,
    neither_is_right,
)
from stemma.generator.jobs import Ask, ChatMessage, Reply, Writer, merge_origins
from stemma.generator.prompts import Prompts
from stemma.rows import Meta


@dataclass(frozen=True)
class PairTask:
    """One question to make a pair of."""

    where: str
    question: str
    """The question by which the row is split into train, validation or test."""
    prompt: str
    """The user's turn of the row."""
    chat: tuple[ChatMessage, ...]
    """The chat that the generator is asked to continue, twice."""
    shown: dict[str, str]
    """Shown to the judge besides the answers: `question`, `options`, `correct`."""
    is_right: Callable[[str], bool | None]
    """Whether an answer agrees with the gold answer; None: it does not commit itself."""
    meta: Meta
    file: str = ""
    prompts: Prompts = field(default_factory=Prompts)


@dataclass(frozen=True)
class _Judging:
    """The rules for a judge's verdicts, and the watch over all of them."""

    ties: Ties
    monitor: JudgeMonitor = field(default_factory=JudgeMonitor)


def pair_jobs(tasks: Sequence[PairTask], seed: int, ties: Ties) -> list[RowJob]:
    """A job for each task; one monitor watches the judge of them all."""
    judging = _Judging(ties)

    def pair_job(task: PairTask) -> RowJob:
        async def job(writer: Writer) -> Draft | Drop:
            rng = random.Random(f"{seed}/{task.prompt}")
            return await _Pairing(task, writer, judging, rng).run()

        return job

    return list(map(pair_job, tasks))


class _Pairing:
    """The requests of one task.

    Keeps every reply: dropped rows show what was answered, and all replies are paid for.
    """

    def __init__(
        self, task: PairTask, writer: Writer, judging: _Judging, rng: random.Random
    ) -> None:
        self._task = task
        self._writer = writer
        self._judging = judging
        self._seeds = [rng.getrandbits(31) for _ in range(4)]
        self._replies: list[Reply] = []
        self._row: dict[str, Any] = {"question": task.prompt, "meta": dict(task.meta)}

    async def run(self) -> Draft | Drop:
        task = self._task
        replies = await self._ask([Ask(task.chat, seed) for seed in self._seeds[:2]])
        answers = [reply.text for reply in replies]
        self._row["answers"] = answers
        if problem := self._problem():
            return self._drop(problem)
        if answers[0] == answers[1]:
            return self._drop("identical answers")

        right = [reply.placeholder or task.is_right(reply.text) for reply in replies]
        if problem := neither_is_right(*right):
            return self._drop(problem)
        if winner := by_gold(*right):
            self._row["meta"]["decided"] = "gold"
            return self._pair(winner)
        return await self._judge(answers, right)

    async def _judge(self, answers: list[str], right: list[bool | None]) -> Draft | Drop:
        replies = await self._ask(self._ranking_asks(answers))
        if problem := self._problem():
            return self._drop(f"ranking: {problem}")
        first, second = (Ranking.model_validate(reply.value) for reply in replies)
        if not replies[0].placeholder:
            self._judging.monitor.record(first, second)

        verdict = combine(first, second, self._judging.ties)
        self._row["meta"] |= {"decided": "judge", **verdict.marks}
        if verdict.winner is None:
            return self._drop(verdict.problem or "")
        if not right["AB".index(verdict.winner)]:
            return self._drop(AGAINST_GOLD)
        return self._pair(verdict.winner)

    def _ranking_asks(self, answers: list[str]) -> list[Ask]:
        """The judge's two asks: the answers in one order, then in the other."""
        asks = []
        orders = (answers, answers[::-1])
        for (first, second), seed in zip(orders, self._seeds[2:], strict=True):
            shown = {**self._task.shown, "answer_a": first, "answer_b": second}
            chat = self._task.prompts.render("rank", **shown)
            asks.append(Ask(chat, seed, Ranking))
        return asks

    async def _ask(self, asks: list[Ask]) -> list[Reply]:
        replies = await asyncio.gather(*(self._writer.ask(ask) for ask in asks))
        self._replies += replies
        return replies

    def _problem(self) -> str | None:
        return next((reply.problem for reply in self._replies if reply.problem), None)

    def _drop(self, reason: str) -> Drop:
        return Drop(self._task.where, reason, self._row)

    def _pair(self, winner: Side) -> Draft:
        task = self._task
        answers = self._row["answers"]
        chosen, rejected = answers if winner == "A" else answers[::-1]
        meta = {**self._row["meta"], "chosen_first": winner == "A"}
        row = {"prompt": task.prompt, "chosen": chosen, "rejected": rejected, "meta": meta}
        return Draft(task.where, task.question, row, task.file, merge_origins(self._replies))
