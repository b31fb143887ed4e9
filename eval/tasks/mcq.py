"""Multiple choice by log-likelihood: the letter the model finds likeliest behind the question.

A row: `{"id": "…", "question": "Which unit measures force?", "choices": ["newton", "joule"],
"answer": "A", …}`. What the assistant would say to pick a choice is scored, as the template writes
it (`A` or ` A`), summed over its tokens: the letter alone, also where an explanation would follow
(the right choice's explanation behind every letter would give the answer away), or, for rows
answered by the choice's text, the text with the stop token (else 10 would beat 100).

With `formulation: cloze` the question stands alone, and each option's text is scored as its answer
(`stemma.templates.rendered_cloze`): what a model too small to pick among listed options can do.
Texts of all lengths are compared there, so accuracy by log-probability a character stands beside
(`normalised_accuracy`: lm-evaluation-harness's `acc_norm`).

A question counts once, however many rows ask it: the row that is answered with the letter alone,
where there is one.

With `generate` the answer is also written out, greedily, and its letter read. With `permute` each
question is asked again with its choices in other orders. A question costs one prompt for each
order, and one more with its reply.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eval.backends.interface import Backend, Ids, LogProbs, ScoreRequest, requests_of
from eval.letters import McqSample, Order, baselines, by_group, by_length, generated, permuted
from eval.statistics import wilson
from eval.task import (
    Metric,
    RowSource,
    ScoreContext,
    Setting,
    Task,
    TaskScores,
    ids_digest,
)
from stemma.jsonl import read_rows
from stemma.recipe.eval_tasks import Formulation, McqTask
from stemma.rows import LETTERS, McqRow
from stemma.shuffled_choices import other_orders, reordered
from stemma.templates import Rendered, Template, rendered_choices, rendered_cloze

ANSWERED_AT_ONCE = 256
"""Questions that are answered before they are scored, where replies are asked for."""
FORMULATIONS: dict[Formulation, Callable[[McqRow, Template], Rendered]] = {
    "multiple_choice": rendered_choices,
    "cloze": rendered_cloze,
}
"""How a question is put, as text."""


def read(path: Path, limit: int | None) -> tuple[list[McqRow], int]:
    """One row for each question, and how many rows were skipped because they ask a question
    again."""
    chosen: dict[tuple[str, ...], McqRow] = {}
    rows = read_rows(path, McqRow)
    for row in rows:
        question = (row.question, *sorted(row.choices))
        known = chosen.get(question)
        if known is None or (known.answer_as == "explained" and row.answer_as == "letter"):
            chosen[question] = row
    kept = list(chosen.values())[:limit]
    return kept, len(rows) - len(chosen)


@dataclass(frozen=True)
class _Question:
    """One row as it is asked, in its own order of the choices first, then in the others."""

    row: McqRow
    orders: list[str]
    """By the letters that the choices have in the row: `ABCD`, `CADB`, …"""
    prompt: str
    requests: list[ScoreRequest]


def measure(backend: Backend, setting: Setting[McqRow]) -> Iterator[McqSample]:
    """The log-probability of every choice of every question, in every order; the replies."""
    options = setting.options
    assert isinstance(options, McqTask)
    questions = _questions(backend, setting, options)
    if not options.generate:
        yield from _scored(backend, questions)
        return
    # A sample is kept when all of it is there: some questions are answered, then scored.
    for begin in range(0, len(questions), ANSWERED_AT_ONCE):
        some = questions[begin : begin + ANSWERED_AT_ONCE]
        prompts = [backend.tokenize(asked.prompt) for asked in some]
        replies = backend.generate(prompts, options.max_new_tokens)
        by_row = {asked.row.id: ids for asked, ids in zip(some, replies, strict=True)}
        for sample in _scored(backend, some):
            yield sample.model_copy(update=_reply(backend, by_row[sample.id]))


def _scored(backend: Backend, questions: list[_Question]) -> Iterator[McqSample]:
    """A question's sample as soon as all of its orders are scored."""
    places = [(asked, nth) for asked in questions for nth in range(len(asked.orders))]
    found: dict[str, dict[int, LogProbs]] = {}
    for place, answers in backend.scored([asked.requests[nth] for asked, nth in places]):
        asked, nth = places[place]
        scores = found.setdefault(asked.row.id, {})
        scores[nth] = answers
        if len(scores) == len(asked.orders):
            yield _sample(asked, [scores[nth] for nth in range(len(scores))])
            del found[asked.row.id]


def _questions(backend: Backend, setting: Setting[McqRow], options: McqTask) -> list[_Question]:
    """The rows as tokens, each in all of its orders."""
    asked = []
    for row in setting.rows:
        others: list[str] = []
        if options.permute is not None:
            others = other_orders(row, options.permute, options.permutations)
        rows = [row, *(reordered(row, order) for order in others)]
        texts = [FORMULATIONS[options.formulation](one, setting.template) for one in rows]
        asked.append((row, [LETTERS[: len(row.choices)], *others], texts))
    requests = iter(requests_of(backend, [text for *_, texts in asked for text in texts]))
    return [
        _Question(row, orders, texts[0].prompt, [next(requests) for _ in texts])
        for row, orders, texts in asked
    ]


def _sample(asked: _Question, scores: list[LogProbs]) -> McqSample:
    """What was found of one question."""
    sums = [
        dict(zip(order, map(sum, answers), strict=True))
        for order, answers in zip(asked.orders, scores, strict=True)
    ]
    ids = [ids for one in asked.requests for ids in (one.prompt, *one.answers)]
    return McqSample(
        id=asked.row.id,
        subject=asked.row.subject,
        answer=asked.row.answer,
        choices=asked.row.choices,
        ids_digest=ids_digest(*ids),
        log_probs=sums[0],
        orders=[
            Order(order=order, log_probs=found)
            for order, found in zip(asked.orders[1:], sums[1:], strict=True)
        ],
    )


def _reply(backend: Backend, ids: Ids) -> dict[str, str | bool]:
    text = backend.detokenize([token for token in ids if not backend.is_stop(token)])
    return {"reply": text.strip(), "stopped": bool(ids) and backend.is_stop(ids[-1])}


def score(rows: list[McqSample], context: ScoreContext[McqSample]) -> TaskScores:
    """Accuracy beside what guessing would give. A tie goes to the first letter and is counted."""
    right = {"accuracy": {row.id: row.picked == row.answer for row in rows}}
    n = len(rows)
    accuracy = sum(right["accuracy"].values()) / n
    ties = sum(row.tied for row in rows) / n
    metrics = [
        Metric("accuracy", accuracy, n, *wilson(accuracy, n)),
        Metric("ties", ties, n),
        *baselines(rows),
    ]
    facts = _facts(rows)
    is_cloze = isinstance(context.options, McqTask) and context.options.formulation == "cloze"
    if is_cloze:
        found, is_right, counts = by_length(rows)
        metrics.append(found)
        right[found.name] = is_right
        facts |= counts
    if all(row.reply is not None for row in rows):
        right["generated_accuracy"] = {row.id: row.said == row.answer for row in rows}
        more, counts = generated(rows)
        metrics += more
        facts |= counts
    if any(row.orders for row in rows):
        more, counts = permuted(rows, context.seed)
        metrics += more
        facts |= counts
    shown = [_shown(row, is_cloze) for row in rows]
    return TaskScores(metrics, shown, right, facts)


def _facts(rows: list[McqSample]) -> dict[str, Any]:
    """Accuracy by subject and by the letter that is right, each with its n and 95 % interval."""

    def is_right(row: McqSample) -> bool:
        return row.picked == row.answer

    repeated = sum(len({*map(row.choice, row.log_probs)}) < len(row.choices) for row in rows)
    return {
        "letters picked": _counted(row.picked for row in rows),
        "letters right": _counted(row.answer for row in rows),
        "by letter right": by_group(rows, lambda row: row.answer, is_right),
        "by subject": by_group(rows, lambda row: row.subject or "(none)", is_right),
        "questions with equal choices": repeated,
    }


def _shown(row: McqSample, is_cloze: bool) -> dict[str, Any]:
    """A sample as its file shows it."""
    found = row.model_dump()
    found |= {"picked": row.picked, "tied": row.tied, "right": row.picked == row.answer}
    if is_cloze:
        found |= {"formulation": "cloze", "picked_by_length": row.picked_by_length}
    if row.reply is not None:
        found |= {"said": row.said, "said_right": row.said == row.answer}
    return found


def _counted(letters: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(letters).items()))


TASK = Task(
    RowSource("mcq", read),
    McqSample,
    measure,
    score,
    reads=("formulation", "generate", "max_new_tokens", "permute", "permutations"),
)
