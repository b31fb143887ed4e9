"""The requests of a judging: each pair in both orders, and the verdict read from the reply's JSON.

Pure but for the writer that answers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import BeforeValidator

from eval.judge.delimiting import fence_of, shown
from eval.judge.pairs import Pair
from eval.judge.verdicts import (
    Judge,
    OrderVerdict,
    PairVerdict,
    Place,
    Side,
    judged,
    mark_of,
)
from eval.judge.watch import JudgeWatch
from stemma.digests import digest_json
from stemma.generator.jobs import Ask, Job, Reply, Writer
from stemma.generator.prompts import Prompts
from stemma.recipe.evaluation import Judging
from stemma.recipe.generator import Generator
from stemma.strict import StrictRecord

ORDERS: tuple[Side, ...] = ("reference", "policy")
"""The side that is shown first: the report's own order, then the other."""
PLACES: dict[str, Place] = {"1": "first", "2": "second", "3": "tie"}
Number = Annotated[
    Literal["1", "2", "3"],
    BeforeValidator(lambda value: str(value) if type(value) is int else value),
]
"""Some models write the number without quotes, which means the same."""


# Its name and docstring are sent to the judge and are part of the ledger's keys: other words would
# have every verdict that was paid for be paid for again.
class PairwiseVerdict(StrictRecord):
    """Which answer is better: 1, 2, or 3 for a tie, and why."""

    reason: str
    verdict: Number


@dataclass(frozen=True)
class Session:
    """All that the requests of one judging share."""

    judging: Judging
    prompts: Prompts
    seed: int
    watch: JudgeWatch = field(default_factory=JudgeWatch)

    def jobs(self, pairs: Sequence[Pair]) -> list[Job[PairVerdict]]:
        """A job for each pair."""
        return [self._job(pair) for pair in pairs]

    def _job(self, pair: Pair) -> Job[PairVerdict]:
        async def job(writer: Writer) -> PairVerdict:
            asks = [self.ask(pair, first) for first in ORDERS]
            replies = await asyncio.gather(*(writer.ask(ask) for ask in asks))
            orders = [_verdict(first, reply) for first, reply in zip(ORDERS, replies, strict=True)]
            if not any(reply.placeholder for reply in replies):
                self.watch.record(orders)
            judge = judge_of(self.judging.generator, replies)
            return judged(pair, self.judging, judge, orders)

        return job

    def ask(self, pair: Pair, first: Side) -> Ask:
        """The request for one order. Equal texts make equal requests, whoever wrote them."""
        texts = [shown(pair.question), *map(shown, _in_order(pair, first))]
        fence = fence_of(self.seed, texts)
        question, answer_1, answer_2 = texts
        chat = self.prompts.render(
            self.judging.prompt,
            fence=fence,
            question=question,
            answer_1=answer_1,
            answer_2=answer_2,
        )
        seed = int(digest_json(["judge", fence])[:7], 16)
        return Ask(chat, seed, PairwiseVerdict)


def _in_order(pair: Pair, first: Side) -> tuple[str, str]:
    if first == "reference":
        return pair.reference, pair.policy
    return pair.policy, pair.reference


def judge_of(settings: Generator, replies: Sequence[Reply]) -> Judge:
    """Who gave the verdicts. The scripted expert is called so, whatever model the recipe names."""
    if settings.server == "scripted-expert":
        return Judge("scripted-expert", "scripted")
    models = sorted({reply.origin.model for reply in replies})
    return Judge(", ".join(models), "model")


def _verdict(first: Side, reply: Reply) -> OrderVerdict:
    """The verdict of one order, by what the JSON's own field says and nothing else."""
    origin = reply.origin
    value = reply.value if isinstance(reply.value, PairwiseVerdict) else None
    return OrderVerdict(
        first=first,
        verdict=mark_of(first, PLACES[value.verdict]) if value else None,
        reason=value.reason if value else "",
        problem=reply.problem,
        requests=origin.requests,
        cost_usd=origin.cost_usd,
    )
