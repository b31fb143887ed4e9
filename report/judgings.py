"""Win rates by a judge: a line for each judging, with who judged and how the pairs ended. Pure."""

from __future__ import annotations

from report.figures import bounds_of, text_of
from report.run_data import RunData, Table

RATES = {
    "As the report counts": "win_rate_one_order",
    "Both orders": "win_rate",
    "Ties as half": "win_rate_half_ties",
    "At equal length": "win_rate_length_controlled",
}
SHARES = ("won", "lost", "tied", "disagreed", "invalid")
EMPTY = "empty_replies"


def judgings(evidence: RunData) -> Table:
    """The win rates, a line for each judging; of rates with their interval and n. The judge's
    empty replies have a column where there are any."""
    rows: list[list[object]] = []
    is_empty = any(score.metric == EMPTY and score.value for score in evidence.scores)
    for score in evidence.scores:
        if score.metric != "won":
            continue
        shares = [_text(evidence, score.variant, score.task, name) for name in SHARES]
        rates = [_rate(evidence, score.variant, score.task, name) for name in RATES.values()]
        p = evidence.score(score.variant, score.task, "sign_test_p")
        cost = evidence.score(score.variant, score.task, "cost_usd")
        who = _judge(evidence, score.variant, score.task)
        empty = [_text(evidence, score.variant, score.task, EMPTY)] if is_empty else []
        ends: list[object] = [p.value if p else None, cost.value if cost else None, *empty]
        rows.append([score.variant, score.task, who, score.n, *shares, *rates, *ends])
    heads = ("Policy", "Judging", "Judge", "Pairs", *map(str.capitalize, SHARES), *RATES)
    last = ["Sign test p", "Dollars", *(["Judge's empty replies"] if is_empty else [])]
    return Table((*heads, *last), rows)


def _text(evidence: RunData, variant: str, task: str, metric: str) -> str | None:
    score = evidence.score(variant, task, metric)
    return text_of(score) if score else None


def _rate(evidence: RunData, variant: str, task: str, metric: str) -> str | None:
    score = evidence.score(variant, task, metric)
    return f"{text_of(score)} {bounds_of(score)} n = {score.n:,}" if score else None


def _judge(evidence: RunData, variant: str, task: str) -> str | None:
    """Who judged, as the evaluation recorded it; what was scripted or a person is named so."""
    facts = evidence.manifests["eval"].facts.get(f"{variant} {task}")
    if not isinstance(facts, dict) or "judges" not in facts:
        return None
    kind = facts.get("kind", "model")
    return ", ".join(facts["judges"]) + ("" if kind == "model" else f" ({kind})")
