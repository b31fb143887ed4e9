"""Generated answers: what the model really says, greedily, and whether it is right and ends by
itself.

A row: `{"id": "…", "messages": [{"role": "user", "content": "What is 2 + 3?"}, …], "meta": {"gold":
"5"}}`. The rule is `stemma.answers`': right, wrong, or undecided, which is counted and not right;
where the question lists options, their letters count. Rows without a gold answer are skipped and
counted.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from eval.backends.interface import Backend, Ids
from eval.statistics import wilson
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
from stemma.answers import judge
from stemma.answers.listed_options import split_options
from stemma.jsonl import read_rows
from stemma.recipe.evaluation import GenerationTask
from stemma.rows import SftRow
from stemma.templates import rendered


class GenerationSample(MeasuredRow):
    """One reply beside the answer it should give."""

    source: str
    gold: str
    choices: tuple[str, ...]
    """The options that the question lists."""
    reply: str
    tokens: int
    stopped: bool


def read(path: Path, limit: int | None) -> tuple[list[SftRow], int]:
    """The rows with a gold answer, and how many were skipped for having none."""
    rows = read_rows(path, SftRow)[:limit]
    kept = [row for row in rows if row.meta.get("gold") is not None]
    return kept, len(rows) - len(kept)


def measure(backend: Backend, setting: Setting[SftRow]) -> Iterator[GenerationSample]:
    """The greedy reply to every question."""
    prompts = [backend.tokenize(rendered(row, setting.template).prompt) for row in setting.rows]
    assert isinstance(setting.options, GenerationTask)
    for place, reply in backend.generated(prompts, setting.options.max_new_tokens):
        row = setting.rows[place]
        yield GenerationSample(
            id=row.id,
            source=row.source,
            gold=str(row.meta["gold"]),
            ids_digest=ids_digest(prompts[place]),
            choices=split_options(row.messages[-2].content)[1],
            reply=_text(backend, reply),
            tokens=len(reply),
            stopped=bool(reply) and backend.is_stop(reply[-1]),
        )


def _text(backend: Backend, reply: Ids) -> str:
    return backend.detokenize([token for token in reply if not backend.is_stop(token)]).strip()


def score(rows: list[GenerationSample], _context: ScoreContext[GenerationSample]) -> TaskScores:
    """Shares of right, undecided and stopped replies, and their mean length."""
    verdicts = {row.id: judge(row.reply, row.gold, row.choices) for row in rows}
    right = {name: verdict == "right" for name, verdict in verdicts.items()}
    n = len(rows)
    accuracy = sum(right.values()) / n
    stopped = sum(row.stopped for row in rows) / n
    undecided = sum(verdict == "undecided" for verdict in verdicts.values()) / n
    metrics = [
        Metric("accuracy", accuracy, n, *wilson(accuracy, n)),
        Metric("undecided", undecided, n, *wilson(undecided, n)),
        Metric("stopped", stopped, n, *wilson(stopped, n)),
        Metric("tokens", sum(row.tokens for row in rows) / n, n),
    ]
    shown = [row.model_dump() | {"verdict": verdicts[row.id]} for row in rows]
    return TaskScores(metrics, shown, {"accuracy": right})


TASK = Task(RowSource("sft", read), GenerationSample, measure, score, reads=("max_new_tokens",))
