"""Counts of every source on real files, where they are present. `docs/data-counts.md` is written by

python -m tests.data_builders.sources.test_shared_files
"""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from data_builders import SOURCES
from data_builders.filters.clean import finish
from data_builders.flow import Draft, Kind
from data_builders.split import question_key
from stemma import ROOT
from stemma.files import write_text
from tests.data_builders.sources.reading import read, rows

REAL = Path(os.environ.get("STEMMA_DATA", ROOT.parent / "shared" / "data"))
COUNTS = ROOT / "docs" / "data-counts.md"
pytestmark = pytest.mark.skipif(not REAL.is_dir(), reason=f"no real data at {REAL} (STEMMA_DATA)")

READ: list[tuple[Kind, str, str, dict[str, Any]]] = [
    ("sft", "gsm8k", "gsm8k/train.first3000.jsonl", {}),
    ("sft", "gsm8k", "gsm8k/test.jsonl", {}),
    ("sft", "mathqa", "mathqa/test1000.jsonl", {}),
    ("sft", "aqua", "aqua_rat/dev.json", {}),
    ("sft", "sciq_support", "sciq/sft_sciq_with_support.first2000.jsonl", {}),
    ("sft", "theoremqa", "theoremqa/theoremqa_test.json", {}),
    ("dpo", "preference_jsonl", "course_template_examples/dpo_preference_example.jsonl", {}),
    ("dpo", "gsm8k_solutions", "gsm8k/example_model_solutions.jsonl", {}),
    ("mcq", "mmlu", "mmlu_stem_csv/*_test.csv", {}),
    ("mcq", "mathqa", "mathqa/test1000.jsonl", {"answer_as": "both"}),
    ("mcq", "aqua", "aqua_rat/dev.json", {"answer_as": "both"}),
    ("mcq", "aqua", "aqua_rat/test.json", {}),
    ("mcq", "sciq_support", "sciq/sft_sciq_with_support.first2000.jsonl", {"answer_as": "both"}),
    ("mcq", "mcq_jsonl", "sciq/mcqa_sciq_*.jsonl", {}),
    ("mcq", "mcq_jsonl", "arc_challenge/mcqa_ai2_arc_*.jsonl", {}),
    ("mcq", "mcq_jsonl", "mmlu_course_format/mcqa_mmlu_*.jsonl", {}),
    ("mcq", "mcq_jsonl", "course_template_examples/mcqa_example.jsonl", {}),
]
HEADER = """\
# What the sources make of real files

Rows that each source read, and those kept after `clean` repaired or refused them: read = kept + dropped. With
`answer_as: both` every question is read as two rows. What a whole build drops later (duplicates, near copies, questions
of evaluation splits) is in its manifest. `python -m tests.data_builders.sources.test_shared_files` writes this page, and
that test checks it where the files are present.

| set | source | files | read | kept | dropped |
|---|---|---|---:|---:|---|
"""


def count(
    kind: Kind, source: str, path: str, options: dict[str, Any]
) -> tuple[int, int, Counter[str]]:
    """(read, kept, dropped by reason)."""
    finished = [
        finish(kind, source, item) if isinstance(item, Draft) else item.reason
        for item in read(kind, source, REAL, path, **options)
    ]
    reasons = Counter(row for row in finished if isinstance(row, str))
    return len(finished), len(finished) - reasons.total(), reasons


def page() -> str:
    lines = []
    for kind, source, path, options in READ:
        found, kept, reasons = count(kind, source, path, options)
        dropped = "; ".join(f"{number} {reason}" for reason, number in sorted(reasons.items()))
        given = "".join(f" `{name}: {value}`" for name, value in options.items())
        lines.append(
            f"| {kind} | `{source}`{given} | `{path}` | {found:,} | {kept:,} | {dropped} |\n"
        )
    return HEADER + "".join(lines)


def test_the_page_of_counts_is_up_to_date() -> None:
    assert page() == COUNTS.read_text(encoding="utf-8")


def test_every_reading_source_that_has_real_files_is_counted() -> None:
    reading = {name for name, source in SOURCES.items() if source.phase == "read"}
    without = {
        "stem_exercises",
        "encyclopaedia",
        "epfl_preferences",
        "argilla_math",
        "table",
    }  # made on the spot, or not published here
    assert {source for _, source, _, _ in READ} == reading - without


def test_the_course_preference_file_has_412_prompts_in_428_pairs() -> None:
    pairs = rows(
        read(
            "dpo", "preference_jsonl", REAL, "course_template_examples/dpo_preference_example.jsonl"
        )
    )
    assert len(pairs) == 428
    assert len({question_key(row["prompt"]) for row in pairs}) == 412


def test_numeric_keys_of_arc_are_letters_in_their_order() -> None:
    path = REAL / "arc_challenge" / "mcqa_ai2_arc_train.jsonl"
    raw = Counter(
        json.loads(line)["answer"] for line in path.read_text(encoding="utf-8").splitlines()
    )
    letters = Counter(
        row["answer"]
        for row in rows(read("mcq", "mcq_jsonl", REAL, f"{path.parent.name}/{path.name}"))
    )
    assert raw["1"] > 0
    assert [letters[letter] for letter in "ABCD"] == [
        raw[a] + raw[b] for a, b in ("A1", "B2", "C3", "D4")
    ]


if __name__ == "__main__":
    write_text(COUNTS, page())
