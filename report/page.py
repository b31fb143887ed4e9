"""The pages: a run's data laid out for the two templates, HTML and Markdown."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from report import (
    curves,
    figures,
    fitted,
    flip_table,
    formats_table,
    front,
    gate_table,
    histograms,
    judgings,
    lineage,
    planned,
    readable,
    reported,
    retrieval,
    risk,
    subjects,
    tables,
)
from report.entries import embedded as shown
from report.run_data import RunData
from report.samples import SampleBook
from stemma.comparisons import BASELINE
from stemma.recipe.rag import MODES

HTML = "page.html.jinja"
MARKDOWN = "report.md.jinja"
TABLES = (
    tables.sources,
    tables.sets,
    tables.trained,
    tables.scored,
    tables.times,
    tables.provenance,
    reported.reported,
    flip_table.flip_table,
    flip_table.verdict_table,
    formats_table.formats,
    judgings.judgings,
    retrieval.arms,
    retrieval.arm_differences,
    retrieval.search_alone,
    retrieval.faithfulness,
    fitted.fitted_search,
    fitted.fitted_relevance,
    subjects.subjects,
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
        readable.visible,
        readable.words,
    )
    for function in filters:
        made.filters[function.__name__] = function
    return made


def render(evidence: RunData, template: str) -> str:
    """One of the two pages."""
    script, digest = script_and_digest()
    return (
        environment()
        .get_template(template)
        .render(
            script=script,
            script_digest=digest,
            samples=evidence.samples,
            sample_data=embedded(evidence.samples),
            trades=front.trades(evidence),
            task_figures=figures.task_figures(evidence),
            evidence=evidence,
            recipe=evidence.recipe,
            ship=evidence.recipe.export.ship,
            date=readable.day(evidence.manifests["eval"].end),
            columns=tables.columns(evidence),
            variants=tables.variant_rows(evidence),
            verdict=tables.verdict,
            panels=curves.panels(evidence),
            threshold_curves=retrieval.threshold_curves(evidence) + fitted.fitted_curves(evidence),
            fitted_threshold=fitted.threshold(evidence),
            passages_mode=MODES[evidence.recipe.rag.mode] if evidence.recipe.rag else "",
            risk_curves=risk.risk_curves(evidence),
            histograms=histograms.histograms(evidence),
            tree=lineage.tree(evidence),
            tables={table.__name__: table(evidence) for table in TABLES}
            | {"lacked": reported.lacked()},
        )
    )


def embedded(samples: SampleBook | None) -> Markup | None:
    """The samples as JSON inside the page; None where it shows none.

    No character that could end the script element, or that HTML reads in another way, is left in.
    """
    if samples is None or not samples.tasks:
        return None
    value = {
        "variants": samples.variants,
        "baseline": BASELINE,
        "entries": [
            shown(entry, samples.variants) for task in samples.tasks for entry in task.entries
        ],
    }
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def script_and_digest() -> tuple[Markup, str]:
    """The page's own script, and its digest: the page's policy lets no other script run."""
    text = (Path(__file__).parent / "page.js").read_text(encoding="utf-8")
    digest = hashlib.sha256(text.encode()).digest()
    return Markup(text), base64.b64encode(digest).decode()
