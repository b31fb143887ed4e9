"""A finished chain up to `export`: a tiny random Gemma, a LoRA adapter on it, and test rows with LaTeX and unicode."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from stemma.jsonl import write_json, write_jsonl
from stemma.recipe.models import Recipe
from stemma.rows import McqRow, PreferenceRow, SftRow
from stemma.runs import MANIFEST, Manifest, Run, describe
from stemma.templates import answered
from tests.models import TEMPLATE, make_gemma


def make_chain(root: Path, export: dict[str, Any], hidden: int = 256) -> tuple[Recipe, Run]:
    """A recipe whose `data` and `sft` stages are done in `root`/trial."""
    base, run = make_gemma(root / "model", hidden=hidden), Run(root / "trial")
    recipe = Recipe.model_validate(
        {
            "name": "trial", "base_model": str(base), "chat_template": TEMPLATE.name, "data": {},
            "sft": {"start_from": "base"}, "export": export, "path": TEMPLATE.parent / "trial.yml",
            "eval": {"variants": ["merged"], "tasks": [{"task": "speed"}]},
        }
    )  # fmt: skip
    make_adapter(base, run.folder("sft") / "adapter")
    finish(run, "sft", {"adapter": "adapter", "merged": "adapter"})
    for name, rows in hard_rows().items():
        write_jsonl(run.folder("data") / name / "test.jsonl", rows)
    finish(run, "data", {f"{name}/test": f"{name}/test.jsonl" for name in hard_rows()})
    return recipe, run


def make_adapter(base: Path, out: Path) -> None:
    """A LoRA adapter on q and v that changes the model clearly."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(1)
    model = get_peft_model(
        AutoModelForCausalLM.from_pretrained(base), LoraConfig(r=4, target_modules=["q_proj", "v_proj"])
    )
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.05)
    model.save_pretrained(out)


def hard_rows() -> dict[str, Sequence[BaseModel]]:
    """Rows of each kind, hard for a tokenizer: LaTeX, unicode, tabs, several blank lines and blanks."""
    texts = [
        r"Is $\frac{1}{2} \leq \sqrt{x}$?",
        "Wie groß ist α · β, 两?",
        "def f(x):\n\treturn  x\n\n\n# end",
        "What is 1 + 1?",
    ]
    return {
        "sft": [SftRow(id=f"s{i}", source="t", messages=answered(t, f"{t} 7")) for i, t in enumerate(texts)],
        "dpo": [
            PreferenceRow(id=f"d{i}", source="t", question_id=f"q{i}", prompt=t, chosen=f"yes: {t}", rejected="no")
            for i, t in enumerate(texts)
        ],
        "mcq": [
            McqRow(id=f"m{i}", source="t", question=t, choices=["3 m/s²", "4"], answer="A") for i, t in enumerate(texts)
        ],
    }


def finish(run: Run, stage: str, outputs: dict[str, str], facts: dict[str, Any] | None = None) -> None:
    """Write the manifest of a stage whose outputs are there."""
    folder = run.folder(stage)
    manifest = Manifest(
        stage=stage, recipe="trial", key=f"key-of-{stage}", section={}, overrides=[], inputs={},
        outputs={name: describe(folder, path) for name, path in outputs.items()}, counts={}, facts=facts or {}, seed=42,
        git_commit="", versions={}, hardware={}, start="", end="",
    )  # fmt: skip
    write_json(folder / MANIFEST, manifest.model_dump(mode="json"))
