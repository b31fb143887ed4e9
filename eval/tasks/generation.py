"""Generated answers: what the model really says, greedily, and whether it is right and ends by
itself.

A row: `{"id": "…", "messages": [{"role": "user", "content": "What is 2 + 3?"}, …], "meta": {"gold":
"5"}}`. The rule is `stemma.answers`': right, wrong, or undecided, which is counted and not right;
where the question lists options, their letters count. Rows without a gold answer are answered too,
for the text metrics (`eval.text`), but have no verdict, and accuracy does not count them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from eval.backends.interface import Backend, Ids
from eval.task import (
    MeasuredRow,
    Metric,
    RowSource,
    ScoreContext,
    Setting,
    Task,
    TaskScores,
    ids_digest,
)
from stemma.answers import is_empty, judge
from stemma.answers.listed_options import split_options
from stemma.jsonl import read_rows
from stemma.recipe.eval_tasks import GenerationTask
from stemma.rows import SftRow
from stemma.templates import rendered

BARE = "asked"
"""In `meta` of a row with passages before its question: the question alone."""


class GenerationSample(MeasuredRow):
    """One reply beside the answer it should give."""

    source: str
    gold: str | None
    """The short right answer; None where the row has none."""
    choices: tuple[str, ...]
    """The options that the question lists."""
    reply: str
    tokens: int
    stopped: bool


def read(path: Path, limit: int | None) -> tuple[list[SftRow], int]:
    """All rows: none is skipped."""
    return read_rows(path, SftRow)[:limit], 0


def measure(backend: Backend, setting: Setting[SftRow]) -> Iterator[GenerationSample]:
    """The greedy reply to every question."""
    prompts = [backend.tokenize(rendered(row, setting.template).prompt) for row in setting.rows]
    assert isinstance(setting.options, GenerationTask)
    for place, reply in backend.generated(prompts, setting.options.max_new_tokens):
        row = setting.rows[place]
        yield GenerationSample(
            id=row.id,
            source=row.source,
            gold=gold_of(row),
            ids_digest=ids_digest(prompts[place]),
            choices=split_options(bare_question(row))[1],
            reply=_text(backend, reply),
            tokens=len(reply),
            stopped=bool(reply) and backend.is_stop(reply[-1]),
        )


def bare_question(row: SftRow) -> str:
    """The user's turn without passages before it: what they list is no option."""
    return str(row.meta.get(BARE, row.messages[-2].content))


def gold_of(row: SftRow) -> str | None:
    gold = row.meta.get("gold")
    return None if gold is None else str(gold)


def _text(backend: Backend, reply: Ids) -> str:
    return backend.detokenize([token for token in reply if not backend.is_stop(token)]).strip()


def score(rows: list[GenerationSample], _context: ScoreContext[GenerationSample]) -> TaskScores:
    """Shares of right and undecided replies among rows with a gold answer; share of stopped ones,
    mean length and the number of empty ones of all."""
    verdicts = {
        row.id: None if row.gold is None else judge(row.reply, row.gold, row.choices)
        for row in rows
    }
    judged = {name: verdict for name, verdict in verdicts.items() if verdict}
    right = {name: verdict == "right" for name, verdict in judged.items()}
    metrics = []
    if judged:
        undecided = [verdict == "undecided" for verdict in judged.values()]
        metrics += [
            Metric.share("accuracy", list(right.values())),
            Metric.share("undecided", undecided),
        ]
    metrics += [
        Metric.share("stopped", [row.stopped for row in rows]),
        Metric("tokens", sum(row.tokens for row in rows) / len(rows), len(rows)),
        Metric("empty", sum(is_empty(row.reply) for row in rows), len(rows)),
    ]
    shown = [row.model_dump() | {"verdict": verdicts[row.id]} for row in rows]
    return TaskScores(metrics, shown, {"accuracy": right} if right else {})


TASK = Task(RowSource("sft", read), GenerationSample, measure, score, reads=("max_new_tokens",))
