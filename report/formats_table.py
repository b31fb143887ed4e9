"""The formats side by side: what each costs on this machine, how far it is from merged, and its
verdict. Pure."""

from __future__ import annotations

from collections.abc import Collection

from report.figures import bounds_of, text_of
from report.readable import size
from report.run_data import RunData, Table

MEASURED = {
    "Load, s": ("speed", "load_seconds"),
    "First token, s": ("speed", "first_token_seconds"),
    "Prompt tok/s": ("speed", "prompt_tokens_per_second"),
    "Decode tok/s": ("speed", "decode_tokens_per_second"),
    "Peak memory": ("speed", "peak_memory_bytes"),
    "KL to merged": ("divergence", "kl"),
    "Top-1 as merged": ("divergence", "top1_agreement"),
    "MCQ accuracy": ("mcq", "accuracy"),
    "Reward accuracy": ("preference", "reward_accuracy"),
    "Generated answers right": ("generation", "accuracy"),
}
"""Each column's task and metric; one that no format was measured on is left out."""


QUALITY = ("mcq", "preference", "generation")
"""Tasks that the page has told of every variant already."""


def format_costs(evidence: RunData) -> Table:
    """The table without what the page's table of variants shows."""
    return formats(evidence, QUALITY)


def formats(evidence: RunData, left_out: Collection[str] = ()) -> Table:
    """A line for each evaluated variant that can ship; empty where fewer than two were.

    `left_out`: tasks without a column.
    """
    recipe = evidence.recipe
    names = [name for name in recipe.exported() if name in recipe.eval.variants]
    measured = {(score.task, score.metric) for score in evidence.scores if score.variant in names}
    columns = {
        title: place
        for title, place in MEASURED.items()
        if place in measured and place[0] not in left_out
    }
    judged = (
        {one.variant: one.verdict for one in evidence.verdicts.files} if evidence.verdicts else {}
    )
    rows: list[list[object]] = []
    for name in names if len(names) > 1 else []:
        weights = evidence.weights(name)
        cells = [_cell(evidence, name, *place) for place in columns.values()]
        verdict = [judged.get(name)] if judged else []
        rows.append([name, size(weights.bytes) if weights else None, *cells, *verdict])
    return Table(("Variant", "Size", *columns, *(["Verdict"] if judged else [])), rows)


def _cell(evidence: RunData, variant: str, task: str, metric: str) -> str | None:
    """A figure with its interval and n."""
    score = evidence.score(variant, task, metric)
    if score is None:
        return None
    bounds = bounds_of(score)
    n = f"n = {score.n:,}" if score.n > 1 else ""
    return " ".join(filter(None, (text_of(score), bounds, n)))
