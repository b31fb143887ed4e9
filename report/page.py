"""The pages: a run's data laid out for the two templates, HTML and Markdown."""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from report import curves, gate_table, histograms, lineage, planned, readable, tables
from report.chart import scatter_chart
from report.run_data import RunData

HTML = "page.html.jinja"
MARKDOWN = "report.md.jinja"
TABLES = (
    tables.sources,
    tables.sets,
    tables.trained,
    tables.scored,
    tables.times,
    tables.scores,
    tables.provenance,
    gate_table.gates,
    gate_table.facts,
    curves.ends,
    planned.recipe_costs,
    planned.planned,
    planned.sweeps,
)
"""Tables that the templates name, each by its function."""


def environment() -> Environment:
    """The templates of this folder, escaped where they are HTML."""
    made = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=select_autoescape(enabled_extensions=("html.jinja",)),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters = (
        readable.fixed,
        readable.number,
        readable.percent,
        readable.size,
        readable.words,
    )
    for function in filters:
        made.filters[function.__name__] = function
    return made


def render(evidence: RunData, template: str) -> str:
    """One of the two pages."""
    return (
        environment()
        .get_template(template)
        .render(
            evidence=evidence,
            recipe=evidence.recipe,
            ship=evidence.recipe.export.ship,
            date=readable.day(evidence.manifests["eval"].end),
            columns=tables.COLUMNS,
            variants=tables.variant_rows(evidence),
            verdict=tables.verdict,
            scatter=scatter(evidence),
            panels=curves.panels(evidence),
            histograms=histograms.histograms(evidence),
            tree=lineage.tree(evidence),
            tables={table.__name__: table(evidence) for table in TABLES},
        )
    )


def scatter(evidence: RunData) -> Markup | None:
    """Accuracy against size of what can ship; None when fewer than two of these were measured."""
    names = evidence.recipe.exported()
    ship = evidence.recipe.export.ship
    found = [
        (name, evidence.weights(name), evidence.score(name, "mcq", "accuracy")) for name in names
    ]
    spots = [(name, files.bytes / 1e6, score) for name, files, score in found if files and score]
    if len(spots) < 2:
        return None
    return scatter_chart("MCQ accuracy against size on disk", spots, ship)
