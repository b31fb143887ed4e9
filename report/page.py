"""The pages: a run's data laid out for the two templates, HTML and Markdown."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

from report import (
    curves,
    examples,
    figures,
    fitted,
    flip_table,
    formats_table,
    front,
    gate_table,
    glossary,
    histograms,
    judgings,
    lineage,
    links,
    planned,
    readable,
    reported,
    retrieval,
    risk,
    settings,
    subjects,
    tables,
    unproven,
)
from report.entries import embedded as shown
from report.run_data import RunData
from report.samples import SampleBook
from stemma.comparisons import BASELINE
from stemma.markdown import escaped
from stemma.page_policy import page_policy
from stemma.recipe.rag import MODES
from stemma.training.losses import what_the_loss_did
from stemma.visible import visible

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
    formats_table.format_costs,
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
    settings.settings,
)
"""Tables that the templates name, each by its function."""


FILTERS = (
    readable.fixed,
    readable.noted,
    readable.number,
    readable.percent,
    readable.size,
    readable.words,
)


def template(name: str) -> Template:
    """A template of this folder. Whatever it puts in is a text of its page and nothing else: in
    HTML no tag, in Markdown no mark, in both nothing that hides; but for what is `Markup`."""
    made = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        finalize=_markdown if name.endswith(".md.jinja") else _html,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {function.__name__: function for function in FILTERS}
    return made.get_template(name)


def _html(value: object) -> object:
    return value if hasattr(value, "__html__") else visible(str(value))


def _markdown(value: object) -> object:
    if hasattr(value, "__html__"):
        return value
    text = str(value)
    before, behind = (" " if sign.isspace() else "" for sign in (text[:1], text[-1:]))
    return Markup(f"{before}{escaped(text)}{behind}" if text.strip() else text)


def own_texts(script: str = "") -> dict[str, str]:
    """The style sheet and a script of this folder, and the policy that lets a page have no
    other."""
    style, code = (
        (Path(__file__).parent / name).read_text(encoding="utf-8") if name else ""
        for name in ("style.css", script)
    )
    return {"style": Markup(style), "script": Markup(code), "policy": page_policy(style, code)}


def render(evidence: RunData, name: str, files: Sequence[str] = ()) -> str:
    """One of the two pages; `files` are those that will lie beside it."""
    return template(name).render(
        **own_texts("page.js"),
        samples=evidence.samples,
        sample_data=embedded(evidence.samples),
        unproven=unproven.unproven(evidence),
        examples=examples.examples(evidence),
        groups=subjects.groups(evidence),
        gate_stages=gate_table.by_stage(evidence),
        glossary=glossary.glossary(evidence),
        commands=links.commands(evidence),
        shipped=links.shipped_link(evidence),
        stage_links=links.stage_links(evidence),
        own_links=links.own_links(files),
        matter=reported.variants_that_matter(evidence),
        trades=front.trades(evidence),
        task_figures=figures.task_figures(evidence),
        evidence=evidence,
        recipe=evidence.recipe,
        ship=evidence.recipe.export.ship,
        stalled=stalled(evidence),
        date=readable.day(evidence.manifests["eval"].end),
        columns=tables.columns(evidence),
        variants=tables.variant_rows(evidence),
        quality_titles=tables.quality_titles(evidence),
        # The formats' own table tells what they cost.
        cost_titles=[] if formats_table.formats(evidence).rows else tables.cost_titles(evidence),
        verdict=tables.verdict,
        panels=curves.panels(evidence),
        threshold_curves=retrieval.threshold_curves(evidence) + fitted.fitted_curves(evidence),
        fitted_threshold=fitted.threshold(evidence),
        passages_mode=MODES[evidence.recipe.rag.mode] if evidence.recipe.rag else "",
        risk_curves=risk.risk_curves(evidence),
        main_curves=risk.main_curves(evidence),
        histograms=histograms.histograms(evidence),
        tree=lineage.tree(evidence),
        tables={table.__name__: table(evidence) for table in TABLES}
        | {"lacked": reported.lacked()},
    )


def stalled(evidence: RunData) -> list[str]:
    """What the losses of trainings that taught nothing did, a sentence each."""
    did = {stage: what_the_loss_did(history) for stage, history in evidence.histories.items()}
    return [f"In {stage} {said}." for stage, said in did.items() if said]


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
