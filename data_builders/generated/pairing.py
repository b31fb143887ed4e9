"""How a preference pair is made of one question: two separate chats, a check by the gold answer, or a judge.

The judge is asked in both orders, and only where the gold answer does not tell the answers apart. The chosen answer
always states the gold one.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from data_builders.flow import Ask, Draft, Drop, Job, Message, Reply, Writer, merge_origins
from data_builders.generated.judging import (
    AGAINST_GOLD,
    JudgeWatch,
    Ranking,
    Side,
    Ties,
    by_gold,
    combine,
    neither_is_right,
)
from data_builders.generated.prompts import render
from stemma.rows import Meta


@dataclass(frozen=True)
class Task:
    """One question to make a pair of."""

    where: str
    question: str
    """What decides the row's part."""
    prompt: str
    """The user's turn of the row."""
    chat: tuple[Message, ...]
    """What the generator is asked, twice."""
    shown: dict[str, str]
    """What the judge sees besides the answers: `question`, `options`, `correct`."""
    is_right: Callable[[str], bool | None]
    """Whether an answer agrees with the gold answer; None: it does not commit itself."""
    meta: Meta
    file: str = ""


def pair_jobs(tasks: Sequence[Task], seed: int, ties: Ties) -> list[Job]:
    """A job for each task; one watch looks at the judge of them all."""
    watch = JudgeWatch()

    def pair_job(task: Task) -> Job:
        async def job(writer: Writer) -> Draft | Drop:
            return await _Pairing(task, writer, (ties, watch), random.Random(f"{seed}/{task.prompt}")).run()

        return job

    return list(map(pair_job, tasks))


class _Pairing:
    """The requests of one task. Keeps every reply: dropped rows show what was said, and all of them are paid for."""

    def __init__(self, task: Task, writer: Writer, judging: tuple[Ties, JudgeWatch], rng: random.Random) -> None:
        self._task, self._writer = task, writer
        self._ties, self._watch = judging
        self._seeds = [rng.getrandbits(31) for _ in range(4)]
        self._replies: list[Reply] = []
        self._row: dict[str, Any] = {"question": task.prompt, "meta": dict(task.meta)}

    async def run(self) -> Draft | Drop:
        task, seeds = self._task, self._seeds
        replies = await self._ask([Ask(task.chat, seed) for seed in seeds[:2]])
        answers = [reply.text for reply in replies]
        self._row["answers"] = answers
        if problem := self._problem() or ("identical answers" if answers[0] == answers[1] else None):
            return self._drop(problem)
        right = [reply.placeholder or task.is_right(reply.text) for reply in replies]
        if problem := neither_is_right(*right):
            return self._drop(problem)
        if winner := by_gold(*right):
            self._row["meta"]["decided"] = "gold"
            return self._pair(winner)
        return await self._judge(answers, right)

    async def _judge(self, answers: list[str], right: list[bool | None]) -> Draft | Drop:
        orders = [{"answer_a": one, "answer_b": other} for one, other in (answers, answers[::-1])]
        chats = [render("rank", **self._task.shown, **order) for order in orders]
        asks = [Ask(chat, seed, Ranking) for chat, seed in zip(chats, self._seeds[2:], strict=True)]
        replies = await self._ask(asks)
        if problem := self._problem():
            return self._drop(f"ranking: {problem}")
        first, second = (Ranking.model_validate(reply.value) for reply in replies)
        if not replies[0].placeholder:
            self._watch.see(first, second)
        verdict = combine(first, second, self._ties)
        self._row["meta"] |= {"decided": "judge", **verdict.marks}
        if verdict.winner is None:
            return self._drop(verdict.problem or "")
        if not right["AB".index(verdict.winner)]:
            return self._drop(AGAINST_GOLD)
        return self._pair(verdict.winner)

    async def _ask(self, asks: list[Ask]) -> list[Reply]:
        replies = await asyncio.gather(*(self._writer.ask(ask) for ask in asks))
        self._replies += replies
        return replies

    def _problem(self) -> str | None:
        return next((reply.problem for reply in self._replies if reply.problem), None)

    def _drop(self, reason: str) -> Drop:
        return Drop(self._task.where, reason, self._row)

    def _pair(self, winner: Side) -> Draft:
        task, answers = self._task, self._row["answers"]
        chosen, rejected = answers if winner == "A" else answers[::-1]
        meta = {**self._row["meta"], "chosen_first": winner == "A"}
        row = {"prompt": task.prompt, "chosen": chosen, "rejected": rejected, "meta": meta}
        return Draft(task.where, task.question, row, task.file, merge_origins(self._replies))
