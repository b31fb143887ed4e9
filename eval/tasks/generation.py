"""Generated answers: what the model really says, greedily, and whether it is right and ends by itself.

A row: `{"id": "…", "messages": [{"role": "user", "content": "What is 2 + 3?"}, …], "meta": {"gold": "5"}}`.
The rule is `stemma.answers`': right, wrong, or undecided, which is counted and not right; where the question lists
options, their letters count. Rows without a gold answer are skipped and counted.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from eval.backends import Backend
from eval.measure import Context, Metric, Sample, Scored, Setting, ids_digest
from eval.statistics import wilson
from stemma.answers import judge
from stemma.answers.listed_options import split_options
from stemma.jsonl import read_rows
from stemma.rows import SftRow
from stemma.templates import rendered

PART = "sft"


class GenerationSample(Sample):
    source: str
    gold: str
    choices: tuple[str, ...]
    """The options that the question lists."""
    reply: str
    tokens: int
    stopped: bool


def read(path: Path, limit: int | None) -> tuple[list[SftRow], int]:
    rows = read_rows(path, SftRow)[:limit]
    kept = [row for row in rows if row.meta.get("gold") is not None]
    return kept, len(rows) - len(kept)


def measure(backend: Backend, setting: Setting) -> list[GenerationSample]:
    rows: list[SftRow] = setting.rows
    prompts = [backend.tokenize(rendered(row, setting.template).prompt) for row in rows]
    replies = backend.generate(prompts, setting.options.max_new_tokens)
    return [
        GenerationSample(
            id=row.id, source=row.source, gold=str(row.meta["gold"]), ids_digest=ids_digest(prompt),
            choices=split_options(row.messages[-2].content)[1],
            reply=backend.detokenize([token for token in reply if not backend.is_stop(token)]).strip(),
            tokens=len(reply), stopped=bool(reply) and backend.is_stop(reply[-1]),
        )
        for row, prompt, reply in zip(rows, prompts, replies, strict=True)
    ]  # fmt: skip


def score(samples: list[dict[str, Any]], _context: Context) -> Scored:
    rows = [GenerationSample.model_validate(sample) for sample in samples]
    verdicts = {row.id: judge(row.reply, row.gold, row.choices) for row in rows}
    right = {name: verdict == "right" for name, verdict in verdicts.items()}
    n = len(rows)
    accuracy, stopped = sum(right.values()) / n, sum(row.stopped for row in rows) / n
    undecided = sum(verdict == "undecided" for verdict in verdicts.values()) / n
    metrics = [
        Metric("accuracy", accuracy, n, *wilson(accuracy, n)),
        Metric("undecided", undecided, n, *wilson(undecided, n)),
        Metric("stopped", stopped, n, *wilson(stopped, n)),
        Metric("tokens", sum(row.tokens for row in rows) / n, n),
    ]
    shown = [row.model_dump() | {"verdict": verdicts[row.id]} for row in rows]
    return Scored(metrics, shown, {"accuracy": right})
