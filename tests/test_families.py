"""Not only Gemma 2B: the recipes themselves, each on a tiny random model of its architecture, through every training
stage, export to GGUF and evaluation by the stages. Qwen 3, which has no recipe, goes through a made-up one."""

from __future__ import annotations

from pathlib import Path

import pytest

from serve.chat import Chat, template_of
from stemma import stages
from stemma.jsonl import read_json, write_jsonl
from stemma.llama import Llama
from stemma.load import load
from stemma.plan import count_weights
from stemma.recipe import Recipe
from stemma.rows import McqRow, Message, PreferenceRow, SftRow
from stemma.runs import Run
from stemma.templates import question
from tests.conftest import Write
from tests.families import TEMPLATES, make_family
from tests.models import make_gemma
from tests.test_shapes import MADE
from tests.test_train import LORA, put_manifest, questions

EXPORT = """\
export:
  from: dpo
  merge: {dtype: float32}
  gates: {prompts: 4}
  gguf: {types: [F16]}
  ship: gguf-F16
"""
OLD_EXPORT = "export:\n  from: dpo\n  gguf: {types: [F16, Q4_K_M]}\n  ship: gguf-Q4_K_M\n"
BOS = {"gemma": 2, "gemma2": 2, "gemma3_text": 2, "qwen2": None, "qwen3": None, "llama": 128000}
STOP = {"gemma": 1, "gemma2": 107, "gemma3_text": 107, "qwen2": 151645, "qwen3": 151645, "llama": 128009}
RECIPES = {
    "gemma2b": "gemma", "gemma2b-fast": "gemma", "gemma-2-2b": "gemma2", "gemma-3-1b": "gemma3_text",
    "qwen2.5-0.5b": "qwen2", "llama3.2-1b": "llama",
}  # fmt: skip
SMALL = [
    "base_revision=null", "train.bf16=false", "train.fp16=false", "train.sequence_len=256", "train.logging_steps=1",
    "export.merge={dtype: float32}", "export.bitsandbytes=[]", "export.gguf={types: [F16]}", "export.ship=gguf-F16",
    "export.gates={prompts: 4}", "eval.variants=[base, dpo, gguf-F16]",
    "eval.tasks=[{task: mcq, limit: 4}, {task: preference, limit: 4}]",
]  # fmt: skip
"""A CPU's version of any recipe: small figures in place of large ones, the settings otherwise as they are written."""
KERNELS = (
    *(f"train.liger_{kernel}" for kernel in ("rope", "rms_norm", "glu_activation")),
    "mcq.liger_fused_linear_cross_entropy",
)
FAST = ["train.tf32=false", "mcq.sequence_len=128", "mcq.micro_batch_size=1", *(f"{key}=false" for key in KERNELS)]
"""Triton's kernels and TF32 need a GPU; so few rows fill no packed batch of four sequences."""


def put_data(run: Run) -> None:
    for part, count, first in (("train", 16, 0), ("validation", 4, 100), ("test", 6, 200)):
        rows = questions(count, first)
        turns = [(i, [Message(role="user", content=q), Message(role="assistant", content=str(n))]) for i, q, n in rows]
        write_jsonl(run.folder("data") / f"sft/{part}.jsonl", [SftRow(id=i, source="s", messages=m) for i, m in turns])
        pairs = [PreferenceRow(id=i, source="s", question_id=i, prompt=q, chosen=f"$\\frac{{{n}}}1$ é", rejected="no")
                 for i, q, n in rows]  # fmt: skip
        write_jsonl(run.folder("data") / f"dpo/{part}.jsonl", pairs)
        choices = [McqRow(id=i, source="s", question=q, choices=[str(n), "é", "no"], answer="A") for i, q, n in rows]
        write_jsonl(run.folder("data") / f"mcq/{part}.jsonl", choices)
    parts = ("train", "validation", "test")
    put_manifest(run, "data", [f"{stage}/{part}.jsonl" for stage in ("sft", "dpo", "mcq") for part in parts])


def go_through(recipe: Recipe, run: Run, kind: str) -> None:
    """Every stage but data, base and report; then what the shipped file must be."""
    for stage in (*recipe.training_stages(), "export", "eval"):
        assert stages.execute(recipe, run, stage, print) == "done"
    for stage in recipe.training_stages():
        facts = run.manifest(stage).facts
        counted = facts["counted"]["trained"], facts["counted"]["of"]
        assert counted == count_weights(recipe, run, stage), "as `plan` computes from the shapes"
        assert facts["peak_memory"]["bytes"] > 2**27
    gates = {(gate["variant"], gate["gate"]): gate for gate in read_json(run.output("export", "gates"))}
    assert gates["gguf-F16", "mean KL, nats per token"]["measured"] < 1e-4
    generation = read_json(run.output("export", "merged") / "generation_config.json")
    assert STOP[kind] in generation["eos_token_id"]
    with Llama(run.output("export", "gguf-F16"), 2048, 1) as llama:
        assert llama.is_end(STOP[kind])
        ids = llama.tokenize(template_of(llama).render(question("What is 1 + 1?"), ask=True))
        assert (ids[0] == BOS[kind]) == (BOS[kind] is not None)
        assert ids.count(BOS[kind] or -1) == (BOS[kind] is not None)
        list(Chat(llama).answer("What is 1 + 1?"))


@pytest.mark.slow
@pytest.mark.parametrize("name", RECIPES)
def test_the_recipes_own_chain(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    kind = RECIPES[name]
    base = make_gemma(tmp_path / "base", hidden=64) if kind == "gemma" else make_family(tmp_path / "base", kind)
    steps = [f"{stage}.max_steps=2" for stage in load(name).training_stages()]
    recipe = load(name, [f"base_model={base}", *SMALL, *steps, *(FAST if name == "gemma2b-fast" else [])])
    run = Run(tmp_path / "runs" / name)
    put_data(run)
    go_through(recipe, run, kind)
    for stage in recipe.training_stages():
        assert run.manifest(stage).facts["steps"] == 2
    packed = recipe.axolotl("mcq").get("sample_packing")
    assert isinstance(run.manifest("mcq").facts["first_batch"], str) == bool(packed)
    assert run.manifest("dpo").facts["reference"]["first_margin"] == 0


@pytest.mark.slow
def test_a_family_without_a_recipe(write_recipe: Write, tmp_path: Path) -> None:
    kind = "qwen3"
    run = Run(tmp_path / "runs" / "small")
    put_data(run)
    base = make_family(tmp_path / "base", kind)
    recipe = load(write_recipe(
        (MADE, f"base_model: {base}\n"), ("train:\n  adapter: lora\n  lora_r: 8\n", LORA), (OLD_EXPORT, EXPORT),
        ("templates/qa.jinja", f"templates/{TEMPLATES[kind]}.jinja"),
        ("  corpus: {sources: [{source: from_sets}]}\n", ""),
        ("variants: [base, sft, dpo, gguf-Q4_K_M]", "variants: [gguf-F16]"),
    ))  # fmt: skip
    go_through(recipe, run, kind)
    gates = {(gate["variant"], gate["gate"]): gate for gate in read_json(run.output("export", "gates"))}
    assert gates["gguf-F16", "conversations tokenized differently"]["n"] == 18, "the test rows of three sets"
