"""The data as pictures: lengths, sources, subjects and dropped rows of each set."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from report.chart import bar_chart
from report.run_data import RunData


@dataclass(frozen=True)
class Histogram:
    """Rows of one set, counted by one property."""

    title: str
    counts: dict[str, int]

    @property
    def svg(self) -> Markup:
        return bar_chart(self.title, self.counts)


def histograms(evidence: RunData) -> list[Histogram]:
    """Pictures of each set: words of each text, rows by source, by subject, by reason to drop them.

    A histogram with one bar says nothing and is left out.
    """
    found = []
    for name, figures in evidence.statistics.items():
        for text, counts in figures.words.items():
            found.append(Histogram(f"{name} · words of {text}", counts))
        found += [
            Histogram(f"{name} · rows by source", figures.sources),
            Histogram(f"{name} · rows by subject", figures.subjects),
            Histogram(f"{name} · dropped by reason", figures.dropped),
        ]
    return [one for one in found if len(one.counts) > 1]
