"""The data as pictures: lengths, sources, subjects and dropped rows of each set, from the data stage's statistics."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from report.chart import bar_chart
from report.evidence import Evidence

SHARES = {"sources": "rows by source", "subjects": "rows by subject", "dropped": "dropped by reason"}


@dataclass(frozen=True)
class Histogram:
    """Counts of one thing in one set."""

    title: str
    counts: dict[str, int]

    @property
    def svg(self) -> Markup:
        return bar_chart(self.title, self.counts)


def histograms(evidence: Evidence) -> list[Histogram]:
    """Per set: words of each text, then what the rows are made of; what has only one bar says nothing."""
    found = []
    for name, figures in evidence.statistics.items():
        found += [Histogram(f"{name} · words of {text}", counts) for text, counts in figures["words"].items()]
        found += [Histogram(f"{name} · {title}", figures[key]) for key, title in SHARES.items()]
    return [one for one in found if len(one.counts) > 1]
