"""Figures of finished sets: lengths, sources, subjects, losses. Pure; the report shows them."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from data_builders.account import SetSource
from data_builders.flow import Placed, Row
from stemma.licences import UNSTATED
from stemma.rows import CorpusRow, McqRow, PreferenceRow, mcq_answer, mcq_prompt

EDGES = (0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
"""Where the bins of a histogram of word counts start."""
SUBJECTS_SHOWN = 20


def figures_of(rows: Sequence[Placed], dropped: Mapping[str, Mapping[str, int]]) -> dict[str, Any]:
    """Per set: rows by source, split and subject, words of prompts and answers, dropped rows by
    reason."""
    of_kind: defaultdict[str, list[Placed]] = defaultdict(list)
    for placed in rows:
        of_kind[placed.kind].append(placed)
    return {kind: _figures(kind, placed, dropped) for kind, placed in of_kind.items()}


def _figures(
    kind: str, rows: Sequence[Placed], dropped: Mapping[str, Mapping[str, int]]
) -> dict[str, Any]:
    words: defaultdict[str, Counter[int]] = defaultdict(Counter)
    for placed in rows:
        for name, text in texts_of(placed.row).items():
            words[name][bisect_right(EDGES, len(text.split())) - 1] += 1
    subjects = Counter(filter(None, (subject_of(placed.row) for placed in rows)))
    lost: Counter[str] = Counter()
    for source, reasons in dropped.items():
        if source.startswith(f"{kind}: "):
            lost.update(reasons)
    return {
        "parts": dict(Counter(placed.split for placed in rows)),
        "sources": dict(Counter(placed.source.removeprefix(f"{kind}: ") for placed in rows)),
        "subjects": dict(subjects.most_common(SUBJECTS_SHOWN)),
        "words": {
            name: {bin_name(place): counts[place] for place in sorted(counts)}
            for name, counts in words.items()
        },
        "dropped": dict(lost.most_common()),
    }


def bin_name(place: int) -> str:
    """`20 to 49`, `1`, `1000 or more`."""
    first = EDGES[place]
    behind = EDGES[place + 1] if place + 1 < len(EDGES) else None
    if behind is None:
        return f"{first} or more"
    return str(first) if behind == first + 1 else f"{first} to {behind - 1}"


def texts_of(row: Row) -> dict[str, str]:
    """The texts of a row by name: what is asked and what is answered."""
    if isinstance(row, CorpusRow):
        return {"text": row.text}
    if isinstance(row, PreferenceRow):
        return {"prompt": row.prompt, "chosen": row.chosen, "rejected": row.rejected}
    if isinstance(row, McqRow):
        return {"prompt": mcq_prompt(row), "answer": mcq_answer(row, row.answer)}
    *asked, answer = [message.content for message in row.messages]
    return {"prompt": "\n\n".join(asked), "answer": answer}


def subject_of(row: Row) -> str:
    if isinstance(row, McqRow):
        return row.subject
    return "" if isinstance(row, CorpusRow) else str(row.meta.get("subject", ""))


def licences_of(sources: Sequence[SetSource], rows: Sequence[Placed]) -> dict[str, int]:
    """Rows by licence. Derived rows count with the rows they were made of."""
    names = {
        source.name: source.licence or UNSTATED for source in sources if source.phase != "derive"
    }
    return dict(
        Counter(names[placed.source] for placed in rows if placed.source in names).most_common()
    )


def generated(rows: Sequence[Placed], totals: Mapping[str, Any]) -> dict[str, Any]:
    """The generator's totals, and what one row that was kept cost, those that were dropped
    included."""
    kept = sum(placed.draft.origin is not None for placed in rows)
    cost = totals["cost_usd"]
    each = cost / kept if kept and cost is not None else None
    return {**totals, "rows_kept": kept, "cost_usd_per_kept_row": each}
