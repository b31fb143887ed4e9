"""The tasks as a server is asked them: a sample of each row, in the shape every engine gives.

Replies are asked for as conversations, which the server puts into its own chat template; scored
texts are rendered by the recipe's. Token ids are the server's own business, so a sample has no
digest of them. A question of multiple choice costs one request for each choice, and one more, in
each order; a pair costs three.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from eval.letters import McqSample, Order
from eval.servers.client import Asking
from eval.servers.self_test import Form
from eval.task import MeasuredRow
from eval.tasks.generation import GenerationSample, gold_of
from eval.tasks.mcq import FORMULATIONS
from eval.tasks.preference import PreferenceSample
from stemma.answers.listed_options import split_options
from stemma.generator.requests import Completion
from stemma.recipe.eval_tasks import EvalTask, GenerationTask, McqTask
from stemma.rows import LETTERS, McqRow, PreferenceRow, SftRow, mcq_prompt
from stemma.shuffled_choices import other_orders, reordered
from stemma.templates import Template, question, rendered


@dataclass(frozen=True)
class Served:
    """All that measuring a row on a server takes."""

    asking: Asking
    form: Form | None
    """None: no task of the server's scores texts."""
    template: Template
    options: EvalTask


async def generation(served: Served, row: SftRow) -> GenerationSample:
    """The greedy reply to a question. Tokens are those that the server counts."""
    options = served.options
    assert isinstance(options, GenerationTask)
    found = await served.asking.reply(row.messages[:-1], options.max_new_tokens)
    return GenerationSample(
        id=row.id,
        source=row.source,
        gold=gold_of(row),
        choices=split_options(row.messages[-2].content)[1],
        reply=_text(found),
        tokens=found.usage.output,
        stopped=_stopped(found),
    )


async def mcq(served: Served, row: McqRow) -> McqSample:
    """The log-probability of every choice, in every order; the reply, where one is asked for."""
    options = served.options
    assert isinstance(options, McqTask)
    assert served.form
    others: list[str] = []
    if options.permute is not None:
        others = other_orders(row, options.permute, options.permutations)
    rows = [row, *(reordered(row, order) for order in others)]
    texts = [FORMULATIONS[options.formulation](one, served.template) for one in rows]
    scored = await asyncio.gather(
        *(served.form.answers(served.asking.echo, text) for text in texts)
    )
    orders = [LETTERS[: len(row.choices)], *others]
    sums = [
        dict(zip(order, map(sum, answers), strict=True))
        for order, answers in zip(orders, scored, strict=True)
    ]
    sample = McqSample(
        id=row.id,
        subject=row.subject,
        answer=row.answer,
        choices=row.choices,
        log_probs=sums[0],
        orders=[
            Order(order=order, log_probs=found)
            for order, found in zip(others, sums[1:], strict=True)
        ],
    )
    if not options.generate:
        return sample
    found = await served.asking.reply(question(mcq_prompt(row)), options.max_new_tokens)
    return sample.model_copy(update={"reply": _text(found), "stopped": _stopped(found)})


async def preference(served: Served, row: PreferenceRow) -> PreferenceSample:
    """The log-probabilities of both answers of a pair."""
    assert served.form
    text = rendered(row, served.template)
    chosen, rejected = await served.form.answers(served.asking.echo, text)
    return PreferenceSample(
        id=row.id,
        question_id=row.question_id,
        chosen_log_prob=sum(chosen),
        rejected_log_prob=sum(rejected),
        chosen_tokens=len(chosen),
        rejected_tokens=len(rejected),
    )


def _text(found: Completion) -> str:
    """What its user would read: a refusal, too."""
    return (found.text or found.refusal or "").strip()


def _stopped(found: Completion) -> bool:
    return found.finish_reason == "stop"


Measure = Callable[[Served, Any], Awaitable[MeasuredRow]]
MEASURES: dict[str, Measure] = {"generation": generation, "mcq": mcq, "preference": preference}
