"""Files beside the page: all scores and the main tables as CSV, JSON and LaTeX. Pure."""

from __future__ import annotations

from collections.abc import Callable

from report import (
    figures,
    flip_table,
    formats_table,
    gate_table,
    judgings,
    planned,
    reported,
    subjects,
    tables,
)
from report.formats import FORMATS
from report.run_data import RunData, Table

FOLDER = "tables"
EXACT = {"scores"}
"""Tables whose numbers are written in full precision."""
WRITTEN: dict[str, Callable[[RunData], Table]] = {
    "scores": figures.scores_table,
    "variants": tables.variants,
    "reported": reported.reported,
    "flips": flip_table.flip_table,
    "formats": formats_table.formats,
    "verdicts": flip_table.verdict_table,
    "judgings": judgings.judgings,
    "subjects": subjects.subjects,
    "gates": gate_table.gates,
    "planned": planned.planned,
}
"""Each table by the name of its files."""


def table_files(evidence: RunData) -> dict[str, str]:
    """The text of each file by its path in the stage's folder; no file of an empty table."""
    found = {}
    for name, make in WRITTEN.items():
        table = make(evidence)
        if table.rows:
            for ending, write in FORMATS.items():
                found[f"{FOLDER}/{name}.{ending}"] = write(table, name in EXACT)
    return found
