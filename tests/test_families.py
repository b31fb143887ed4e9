"""Not only Gemma: a tiny random model of each other family through SFT, DPO, GGUF and evaluation by the stages."""

from __future__ import annotations

from pathlib import Path

import pytest

from serve.chat import Chat, template_of
from stemma import stages
from stemma.jsonl import read_json, write_jsonl
from stemma.llama import Llama
from stemma.load import load
from stemma.rows import Message, PreferenceRow, SftRow
from stemma.runs import Run
from stemma.templates import question
from tests.conftest import Write
from tests.families import FAMILIES, TEMPLATES, make_family
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
BOS = {"gemma2": 2, "gemma3_text": 2, "qwen2": None, "qwen3": None, "llama": 128000}
STOP = {"gemma2": 107, "gemma3_text": 107, "qwen2": 151645, "qwen3": 151645, "llama": 128009}


def put_data(run: Run) -> None:
    for part, count, first in (("train", 16, 0), ("validation", 4, 100), ("test", 6, 200)):
        rows = questions(count, first)
        turns = [(i, [Message(role="user", content=q), Message(role="assistant", content=str(n))]) for i, q, n in rows]
        write_jsonl(run.folder("data") / f"sft/{part}.jsonl", [SftRow(id=i, source="s", messages=m) for i, m in turns])
        pairs = [PreferenceRow(id=i, source="s", question_id=i, prompt=q, chosen=f"$\\frac{{{n}}}1$ é", rejected="no")
                 for i, q, n in rows]  # fmt: skip
        write_jsonl(run.folder("data") / f"dpo/{part}.jsonl", pairs)
    parts = ("train", "validation", "test")
    put_manifest(run, "data", [f"{stage}/{part}.jsonl" for stage in ("sft", "dpo") for part in parts])


@pytest.mark.slow
@pytest.mark.parametrize("kind", FAMILIES)
def test_the_chain(kind: str, write_recipe: Write, tmp_path: Path) -> None:
    run = Run(tmp_path / "runs" / "small")
    put_data(run)
    base = make_family(tmp_path / "base", kind)
    recipe = load(write_recipe(
        (MADE, f"base_model: {base}\n"), ("train:\n  adapter: lora\n  lora_r: 8\n", LORA), (OLD_EXPORT, EXPORT),
        ("templates/qa.jinja", f"templates/{TEMPLATES[kind]}.jinja"),
        ("  corpus: {sources: [{source: from_sets}]}\n", ""),
        ("variants: [base, sft, dpo, gguf-Q4_K_M]", "variants: [gguf-F16]"),
    ))  # fmt: skip
    for stage in ("sft", "dpo", "export", "eval"):
        assert stages.execute(recipe, run, stage, print) == "done"
    gates = {(gate["variant"], gate["gate"]): gate for gate in read_json(run.output("export", "gates"))}
    assert gates["gguf-F16", "conversations tokenized differently"]["n"] == 12
    assert gates["gguf-F16", "mean KL, nats per token"]["measured"] < 1e-4
    generation = read_json(run.output("export", "merged") / "generation_config.json")
    assert STOP[kind] in generation["eos_token_id"]
    with Llama(run.output("export", "gguf-F16"), 2048, 1) as llama:
        assert llama.is_end(STOP[kind])
        ids = llama.tokenize(template_of(llama).render(question("What is 1 + 1?"), ask=True))
        assert (ids[0] == BOS[kind]) == (BOS[kind] is not None)
        assert ids.count(BOS[kind] or -1) == (BOS[kind] is not None)
        list(Chat(llama).answer("What is 1 + 1?"))
