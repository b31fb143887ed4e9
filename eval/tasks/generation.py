"""Generated answers: what the model really says, greedily, and whether it is right and ends by itself.

A row: `{"id": "…", "messages": [{"role": "user", "content": "What is 2 + 3?"}, …], "meta": {"gold": "5"}}`.
Rule: a gold answer that is a number must equal the last number of the reply; any other must be the reply, or stand in
it as whole words in order, case and punctuation left aside. Rows without a gold answer are skipped and counted.
"""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path
from typing import Any

from eval.backends import Backend
from eval.measure import Context, Metric, Sample, Scored, Setting, ids_digest
from eval.statistics import wilson
from stemma.jsonl import read_rows
from stemma.rows import SftRow

PART = "sft"

NUMBER = re.compile(
    r"(?<![\w.)^])(?<!\^-)"  # not inside a word or version, not the exponent of a unit (m/s^2)
    r"-?(?:(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?|\.\d+)(?:[eE][-+]?\d+)?(?:/[1-9]\d*)?"
)
WORD = re.compile(r"[^\W_]+")


class GenerationSample(Sample):
    source: str
    gold: str
    reply: str
    tokens: int
    stopped: bool


def read(path: Path, limit: int | None) -> tuple[list[SftRow], int]:
    rows = read_rows(path, SftRow)[:limit]
    kept = [row for row in rows if row.meta.get("gold") is not None]
    return kept, len(rows) - len(kept)


def measure(backend: Backend, setting: Setting) -> list[GenerationSample]:
    rows: list[SftRow] = setting.rows
    prompts = [backend.tokenize(setting.template.split(row.messages)[0]) for row in rows]
    replies = backend.generate(prompts, setting.options.max_new_tokens)
    return [
        GenerationSample(
            id=row.id, source=row.source, gold=str(row.meta["gold"]), ids_digest=ids_digest(prompt),
            reply=backend.detokenize([token for token in reply if not backend.is_stop(token)]).strip(),
            tokens=len(reply), stopped=bool(reply) and backend.is_stop(reply[-1]),
        )
        for row, prompt, reply in zip(rows, prompts, replies, strict=True)
    ]  # fmt: skip


def score(samples: list[dict[str, Any]], _context: Context) -> Scored:
    rows = [GenerationSample.model_validate(sample) for sample in samples]
    right = {row.id: is_right(row.reply, row.gold) for row in rows}
    n = len(rows)
    accuracy, stopped = sum(right.values()) / n, sum(row.stopped for row in rows) / n
    metrics = [
        Metric("accuracy", accuracy, n, *wilson(accuracy, n)),
        Metric("stopped", stopped, n, *wilson(stopped, n)),
        Metric("tokens", sum(row.tokens for row in rows) / n, n),
    ]
    shown = [row.model_dump() | {"right": right[row.id]} for row in rows]
    return Scored(metrics, shown, {"accuracy": right})


def is_right(reply: str, gold: str) -> bool:
    """The rule stated at the top of this file."""
    expected = numbers(gold)
    if expected and _is_number(gold):
        found = numbers(reply)
        return bool(found) and found[-1] == expected[0]
    wanted, said = words(gold), words(reply)
    if not wanted:
        return gold.strip() == reply.strip()
    return any(said[begin : begin + len(wanted)] == wanted for begin in range(len(said) - len(wanted) + 1))


def numbers(text: str) -> list[Fraction]:
    """The numbers of a text, exactly: 1,234.50 and 3e-4 and 2/3 are one each; "5-3" holds 5 and 3."""
    parts = [match.replace(",", "").partition("/") for match in NUMBER.findall(text)]
    return [Fraction(numerator) / Fraction(denominator or "1") for numerator, _, denominator in parts]


def words(text: str) -> list[str]:
    return WORD.findall(text.casefold())


def _is_number(text: str) -> bool:
    return NUMBER.fullmatch(text.strip().lstrip("$")) is not None
