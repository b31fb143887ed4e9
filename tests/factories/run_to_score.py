"""A run folder as the stages before `eval` leave it: real tiny models and test rows."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from stemma import ROOT
from stemma.jsonl import write_jsonl
from stemma.recipe.models import Recipe
from stemma.runs import Run
from stemma.stages import Work
from stemma.templates import Template, answered
from tests.factories.manifests import write_manifest
from tests.factories.models import TEMPLATE, make_gemma

SET = {"sources": [{"source": "stem_exercises"}]}


def make_recipe(variants: list[str], tasks: list[dict[str, Any]], **section: Any) -> Recipe:
    types = [name.removeprefix("gguf-") for name in variants if name.startswith("gguf-")] or ["F16"]
    kinds = [name.removeprefix("bnb-") for name in variants if name.startswith("bnb-")]
    value = {
        "name": "small",
        "base": {"model": {}, "tokenizer": {"vocab_size": 448}},
        "chat_template": "templates/qa.jinja",
        "sft": {"start_from": "base"},
        "dpo": {"start_from": "sft"},
        "data": {"sft": SET, "dpo": SET, "mcq": SET},
        "export": {
            "from": "dpo",
            "bitsandbytes": kinds,
            "gguf": {"types": types},
            "ship": f"gguf-{types[0]}",
        },
        "eval": {"variants": variants, "tasks": tasks, "threads": 1} | section,
    }
    return Recipe.model_validate(value).model_copy(update={"path": ROOT / "recipes" / "small.yml"})


def make_work(root: Path, recipe: Recipe, rows: int = 6, hidden: int = 32, layers: int = 1) -> Work:
    """The finished run up to `export`.

    base, sft and dpo are models of different seeds; merged is dpo again.
    """
    run = Run(root / recipe.name)
    _make_data(run, rows)
    for seed, stage in enumerate(["base", "sft", "dpo"]):
        if stage in ("dpo", recipe.eval.reference, *recipe.eval.variants):
            make_gemma(run.folder(stage) / "merged", hidden, layers, seed)
            write_manifest(run, stage, {"merged": "merged"})
    _export(run, recipe)
    return Work(recipe, run, "eval", say=lambda _: None)


def _export(run: Run, recipe: Recipe) -> None:
    folder = run.folder("export")
    shutil.copytree(run.folder("dpo") / "merged", folder / "merged")
    outputs = {"merged": "merged"}
    for variant in recipe.exported()[1:]:
        kind, _, name = variant.partition("-")
        if variant not in recipe.eval.variants:
            continue
        outputs[variant] = _bnb(folder, name) if kind == "bnb" else _gguf(folder, name)
    write_manifest(run, "export", outputs)


def _bnb(folder: Path, kind: str) -> str:
    from export.bnb import quantise_folder

    quantise_folder(folder / "merged", folder / f"bnb-{kind}", kind, Template.read(TEMPLATE))
    return f"bnb-{kind}"


def _gguf(folder: Path, type_name: str) -> str:
    from export.quantise import quantise
    from stemma.gguf_converter import FLOAT_TYPES, convert

    out = folder / f"small-{type_name}.gguf"
    if type_name in FLOAT_TYPES:
        convert(folder / "merged", out, type_name, {"general.name": "small"})
    else:
        convert(folder / "merged", folder / "source.gguf", "F32", {"general.name": "small"})
        quantise(folder / "source.gguf", out, type_name, 1)
    return out.name


def _make_data(run: Run, rows: int) -> None:
    folder = run.folder("data")
    sets = {"sft": _sft(rows), "dpo": _pairs(rows), "mcq": _mcq(rows)}
    for name, found in sets.items():
        write_jsonl(folder / name / "test.jsonl", found)
    write_manifest(run, "data", {f"{name}/test": f"{name}/test.jsonl" for name in sets})


def _sft(rows: int) -> list[dict[str, Any]]:
    return [
        {
            "id": f"s{i}",
            "source": "toy",
            "meta": {"gold": str(2 * i)} if i % 3 else {},
            "messages": [
                message.model_dump() for message in answered(f"What is {i} + {i}?", f"{2 * i}")
            ],
        }
        for i in range(rows)
    ]


def _pairs(rows: int) -> list[dict[str, Any]]:
    return [
        {
            "id": f"p{i}",
            "source": "toy",
            "question_id": f"q{i // 2}",
            "prompt": f"What is {i // 2} + 1?",
            "meta": {},
            "chosen": f"{i // 2} + 1 = {i // 2 + 1}",
            "rejected": f"It is {i + 7}, as émile × 5 says",
        }
        for i in range(rows)
    ]


def _mcq(rows: int) -> list[dict[str, Any]]:
    return [
        {
            "id": f"m{i}",
            "source": "toy",
            "question": f"What is {i} + 1?",
            "choices": [f"{i + k}" for k in range(4)],
            "answer": "B",
            "subject": "sums",
            "meta": {},
        }
        for i in range(rows)
    ]
