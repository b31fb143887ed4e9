"""A run folder as the stages before `export` leave it: a tiny Gemma and a LoRA adapter on it.

Its test rows are hard for a tokenizer: LaTeX, unicode, tabs, blank lines.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from stemma.jsonl import write_jsonl
from stemma.recipe.models import Recipe
from stemma.rows import McqRow, PreferenceRow, SftRow
from stemma.runs import Run
from stemma.templates import answered
from tests.factories.adapters import make_adapter
from tests.factories.manifests import write_manifest
from tests.factories.models import TEMPLATE, make_gemma


def make_chain(root: Path, export: dict[str, Any], hidden: int = 256) -> tuple[Recipe, Run]:
    """A recipe whose `data` and `sft` stages are done in `root`/trial."""
    base = make_gemma(root / "model", hidden=hidden)
    run = Run(root / "trial")
    recipe = Recipe.model_validate(
        {
            "name": "trial",
            "base_model": str(base),
            "chat_template": TEMPLATE.name,
            "data": {},
            "sft": {"start_from": "base"},
            "export": export,
            "path": TEMPLATE.parent / "trial.yml",
            "eval": {"variants": ["merged"], "tasks": [{"task": "speed"}]},
        }
    )
    make_adapter(base, run.folder("sft") / "adapter")
    write_manifest(run, "sft", {"adapter": "adapter", "merged": "adapter"})
    for name, rows in hard_rows().items():
        write_jsonl(run.folder("data") / name / "test.jsonl", rows)
    write_manifest(run, "data", {f"{name}/test": f"{name}/test.jsonl" for name in hard_rows()})
    return recipe, run


def hard_rows() -> dict[str, Sequence[BaseModel]]:
    """Rows of each kind with LaTeX, unicode, tabs, several blank lines and blanks."""
    texts = [
        r"Is $\frac{1}{2} \leq \sqrt{x}$?",
        "Wie groß ist α · β, 两?",
        "def f(x):\n\treturn  x\n\n\n# end",
        "What is 1 + 1?",
    ]
    return {
        "sft": [
            SftRow(id=f"s{i}", source="t", messages=answered(t, f"{t} 7"))
            for i, t in enumerate(texts)
        ],
        "dpo": [
            PreferenceRow(
                id=f"d{i}",
                source="t",
                question_id=f"q{i}",
                prompt=t,
                chosen=f"yes: {t}",
                rejected="no",
            )
            for i, t in enumerate(texts)
        ],
        "mcq": [
            McqRow(id=f"m{i}", source="t", question=t, choices=["3 m/s²", "4"], answer="A")
            for i, t in enumerate(texts)
        ],
    }
