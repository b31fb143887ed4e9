"""The page itself: evidence laid out for the two templates (HTML and Markdown)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from report import curves, gates, lineage, readable, summary, tables
from report.chart import Spot, scatter_chart
from report.evidence import Evidence

HTML, MARKDOWN = "page.html.jinja", "report.md.jinja"
QUALITY = summary.MCQ


def render(evidence: Evidence) -> dict[str, str]:
    """Both pages by template name."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=select_autoescape(enabled_extensions=("html.jinja",)),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(cell=_table_cell, size=readable.size, fixed=readable.fixed)
    told = context(evidence)
    return {name: environment.get_template(name).render(told) for name in (HTML, MARKDOWN)}


def context(evidence: Evidence) -> dict[str, Any]:
    """All that the templates say."""
    found = lineage.nodes(evidence)
    stages = [curves.read(stage, history) for stage, history in evidence.histories.items()]
    return {
        "recipe": evidence.recipe,
        "date": readable.day(evidence.manifests["eval"].end),
        "sentences": summary.sentences(evidence),
        "tiles": summary.tiles(evidence),
        "variants": tables.variant_rows(evidence),
        "columns": tables.COLUMNS,
        "chance": _chance(evidence),
        "scatter": _scatter(evidence),
        "stages": stages,
        "curve_groups": curves.grouped(stages),
        "lineage_wide": lineage.wide_picture(found),
        "lineage_tall": lineage.tall_picture(found),
        "lineage_text": lineage.text_tree(found),
        "origins": lineage.origins(evidence),
        "sources": tables.source_rows(evidence),
        "sets": tables.set_rows(evidence),
        "parts": tables.PARTS,
        "trained": tables.trained_rows(evidence),
        "scored": tables.scored_rows(evidence),
        "gates": gates.gate_rows(evidence),
        "facts": gates.fact_rows(evidence),
        "times": tables.time_rows(evidence),
        "provenance": _provenance(evidence),
        "scores": tables.other_scores(evidence),
        "interval": readable.interval,
        "number": readable.number,
    }


def _chance(evidence: Evidence) -> str:
    level = evidence.chance()
    return "" if level is None else readable.fixed(level, 2)


def _scatter(evidence: Evidence) -> Any:
    """Quality against size of what can ship; nothing when fewer than two of these have both."""
    spots = []
    for row in [row for row in tables.variant_rows(evidence) if row.name in evidence.recipe.exported()]:
        score, files = evidence.score(row.name, QUALITY.task, QUALITY.metric), evidence.weights(row.name)
        if score is not None and files is not None:
            spots.append(Spot(row.name, files.bytes / 1e6, score.value, score.low, score.high, row.shipped))
    return scatter_chart("MCQ accuracy against size", spots, evidence.chance()) if len(spots) > 1 else None


def _provenance(evidence: Evidence) -> list[tuple[str, str]]:
    manifest = evidence.manifests["eval"]
    return [
        ("Recipe", evidence.recipe.name),
        ("Seed", str(evidence.recipe.seed)),
        ("Overrides", ", ".join(evidence.recipe.overrides) or "none"),
        ("Git commit", manifest.git_commit[:12]),
        ("Hardware", readable.anything(manifest.hardware)),
        ("Versions", ", ".join(f"{name} {version}" for name, version in manifest.versions.items())),
    ]


def _table_cell(value: object) -> str:
    """Text that cannot break a Markdown table."""
    return " ".join(str(value).split()).replace("|", "\\|")
