"""How a preference pair is made of one question: two separate chats, a check by the gold answer, or a judge.

The judge is asked in both orders, and only where the gold answer does not tell the answers apart.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from data_builders.drafts import Ask, Draft, Drop, Job, Message, Reply, Writer, merge_origins
from data_builders.judging import AGAINST_GOLD, NEITHER, Ranking, Side, Ties, by_gold, combine, contradicts_gold
from data_builders.prompts import render
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


def pair_job(task: Task, seed: int, ties: Ties) -> Job:
    async def job(writer: Writer) -> Draft | Drop:
        return await _Pairing(task, writer, ties, random.Random(f"{seed}/{task.prompt}")).run()

    return job


class _Pairing:
    """The requests of one task. Keeps every reply: dropped rows show what was said, and all of them are paid for."""

    def __init__(self, task: Task, writer: Writer, ties: Ties, rng: random.Random) -> None:
        self._task, self._writer, self._ties = task, writer, ties
        self._seeds = [rng.getrandbits(31) for _ in range(4)]
        self._replies: list[Reply] = []
        self._row: dict[str, Any] = {"question": task.prompt, "meta": dict(task.meta)}

    async def run(self) -> Draft | Drop:
        task, seeds = self._task, self._seeds
        answers = [reply.text for reply in await self._ask([Ask(task.chat, seed) for seed in seeds[:2]])]
        self._row["answers"] = answers
        if problem := self._problem() or ("identical answers" if answers[0] == answers[1] else None):
            return self._drop(problem)
        right = [task.is_right(answer) for answer in answers]
        if right == [False, False]:
            return self._drop(NEITHER)
        if winner := by_gold(*right):
            self._row["meta"]["decided"] = "gold"
            return self._pair(winner)
        return await self._judge(answers, right)

    async def _judge(self, answers: list[str], right: list[bool | None]) -> Draft | Drop:
        orders = [{"answer_a": one, "answer_b": other} for one, other in (answers, answers[::-1])]
        chats = [render("rank", **self._task.shown, **order) for order in orders]
        asks = [Ask(chat, seed, Ranking) for chat, seed in zip(chats, self._seeds[2:], strict=True)]
        rankings = [reply.value for reply in await self._ask(asks)]
        if problem := self._problem():
            return self._drop(f"ranking: {problem}")
        first, second = (Ranking.model_validate(ranking) for ranking in rankings)
        verdict = combine(first, second, self._ties)
        self._row["meta"] |= {"decided": "judge", **verdict.marks}
        if verdict.winner is None:
            return self._drop(verdict.problem or "")
        if contradicts_gold(verdict.winner, *right):
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
