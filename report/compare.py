"""Two recipes' preference training side by side: Figures 1 and 2 of the reference report.

`make compare RECIPE=gemma2b WITH=gemma2b-sft-dpo` draws accuracy, margin and loss of both, while
training and on held-out pairs, as one self-contained page and a Markdown table of the last values.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from report.chart import Point, line_chart
from report.curves import MEASURES, points
from report.page import own_texts, template
from report.run_data import Record
from stemma.errors import Problem, UserError
from stemma.files import write_text
from stemma.jsonl import read_dicts
from stemma.recipe.models import Recipe
from stemma.runs import Run

FIGURES = {"Figure 1: while training": "", "Figure 2: on held-out pairs": "eval_"}
COMPARED = ("Reward accuracy", "Reward margin", "Loss")
HELD_OUT = "data/dpo/validation"
"""Among the inputs of `dpo`: the pairs it was evaluated on while it trained."""
COLOURS = ("train", "eval")
"""The two line colours of the style sheet: the first recipe's and the second's."""


@dataclass(frozen=True)
class ComparedMeasure:
    """One measure of both recipes; `css` tells whose colour a name has."""

    measure: str
    lines: dict[str, list[Point]]
    css: dict[str, str]
    not_finite: int

    @property
    def svg(self) -> Markup:
        return line_chart(self.measure, self.lines, self.css)


def compare(one: tuple[Recipe, Run], other: tuple[Recipe, Run]) -> Path:
    """Write index.html and compare.md into runs/compare-<one>-<other>; returns the page.

    Raises UserError naming the command that makes what is missing.
    """
    if one[0].name == other[0].name:
        raise UserError(
            Problem(f"--with {other[0].name}", "the same recipe twice", "another recipe")
        )
    histories = read_histories(one, other)
    unlike = rows_apart(one[1], other[1])
    folder = one[1].root.parent / f"compare-{one[0].name}-{other[0].name}"
    drawn = {title: comparisons(histories, prefix) for title, prefix in FIGURES.items()}
    starts = {recipe.name: recipe.stage("dpo").start_from for recipe, _ in (one, other)}
    pages = {"compare.html.jinja": "index.html", "compare.md.jinja": "compare.md"}
    for name, file in pages.items():
        made = template(name).render(
            **own_texts(), figures=drawn, starts=starts, css=_css(histories), unlike=unlike
        )
        write_text(folder / file, made)
    return folder / "index.html"


def rows_apart(one: Run, other: Run) -> str:
    """A sentence where the two were scored on other held-out pairs; else nothing."""
    held = [run.manifest("dpo").inputs.get(HELD_OUT) for run in (one, other)]
    if held[0] == held[1]:
        return ""
    names = " and ".join(run.root.name for run in (one, other))
    return (
        f"{names} were scored on different held-out pairs, so their curves of Figure 2 show the "
        "pairs as much as the models"
    )


def read_histories(*chosen: tuple[Recipe, Run]) -> dict[str, list[Record]]:
    """The logs of `dpo` by recipe. All that is missing is told at once."""
    found: dict[str, list[Record]] = {}
    problems: list[Problem] = []
    for recipe, run in chosen:
        if recipe.dpo is None:
            missing = f"recipe `{recipe.name}` has no stage `dpo`"
            problems.append(Problem(recipe.path.name, missing, "a `dpo` section"))
            continue
        try:
            found[recipe.name] = read_dicts(run.output("dpo", "history"))
        except UserError as error:
            problems += error.problems
    if problems:
        raise UserError(problems)
    return found


def comparisons(histories: dict[str, list[Record]], prefix: str) -> list[ComparedMeasure]:
    """The panels of one figure; a measure that neither log holds is left out."""
    found = []
    for measure in COMPARED:
        logged = {
            name: points(history, prefix + MEASURES[measure]) for name, history in histories.items()
        }
        drawn = {name: [p for p in line if math.isfinite(p[1])] for name, line in logged.items()}
        lines = {name: line for name, line in drawn.items() if line}
        if lines:
            lost = sum(map(len, logged.values())) - sum(map(len, lines.values()))
            found.append(ComparedMeasure(measure, lines, _css(histories), lost))
    return found


def _css(names: Iterable[str]) -> dict[str, str]:
    return dict(zip(names, COLOURS, strict=True))
