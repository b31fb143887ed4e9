"""Not only Gemma 2B: the recipes themselves, each on a tiny random model of its architecture.

From small data files of the test's own to the answer in the terminal, by the verbs a user types.
"""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from serve.shipped import template_of
from stemma.cli import main
from stemma.gguf_converter import convert
from stemma.jsonl import read_json, write_jsonl
from stemma.llama import Llama
from stemma.recipe.load import load
from stemma.recipe.models import Recipe
from stemma.runs import Run
from stemma.templates import Template, question
from stemma.training.merge import write_model
from stemma.training.trained_weights import count_weights
from tests.factories.families import make_family
from tests.factories.run_to_train import questions

Said = pytest.CaptureFixture[str]

BOS = {
    "gemma": 2,
    "gemma2": 2,
    "gemma3_text": 2,
    "qwen2": None,
    "qwen3": None,
    "llama": 128000,
    "smollm2": None,
}
STOP = {
    "gemma": 1,
    "gemma2": 107,
    "gemma3_text": 107,
    "qwen2": 151645,
    "qwen3": 151645,
    "llama": 128009,
    "smollm2": 50258,
}
STARTS = {
    "qa": "<bos>|Question|:",
    "gemma": "<bos>|<start_of_turn>|",
    "chatml": "<|im_start|>|user|Ċ|",
    "llama3": "<|begin_of_text|>|<|start_header_id|>|user|<|end_header_id|>|",
    "smollm2": "<|im_start|>|system|Ċ|",
}
"""How a row begins, as `preview` shows it. The tiny Gemmas' vocabulary spells words in several
pieces."""
ENDS = {
    "qa": "<eos>",
    "gemma": "<end_of_turn>",
    "chatml": "<|im_end|>",
    "llama3": "<|eot_id|>",
    "smollm2": "<|im_end|>",
}
RECIPES = (
    ("gemma2b", "gemma"),
    ("gemma2b-fast", "gemma"),
    ("gemma-2-2b", "gemma2"),
    ("gemma-3-1b", "gemma3_text"),
    ("qwen2.5-0.5b", "qwen2"),
    ("qwen3-0.6b", "qwen3"),
    ("llama3.2-1b", "llama"),
    ("smollm2", "smollm2"),
)
SMALL = [
    "base_revision=null",
    "train.bf16=false",
    "train.fp16=false",
    "train.sequence_len=256",
    "train.logging_steps=1",
    "export.merge={dtype: float32}",
    "export.bitsandbytes=[]",
    "export.gguf={types: [F16]}",
    "export.ship=gguf-F16",
    "export.gates={prompts: 4}",
    "eval.variants=[base, dpo, gguf-F16]",
    "eval.tasks=[{task: mcq, limit: 4}, {task: preference, limit: 4}]",
]
"""A CPU's version of any recipe: small figures in place of large ones, the settings otherwise as
they are written."""
KERNELS = (
    *(f"train.liger_{kernel}" for kernel in ("rope", "rms_norm", "glu_activation")),
    "mcq.liger_fused_linear_cross_entropy",
)
FAST = [
    "train.tf32=false",
    "mcq.sequence_len=128",
    "mcq.micro_batch_size=1",
    *(f"{key}=false" for key in KERNELS),
]
"""Triton's kernels and TF32 need a GPU; so few rows fill no packed batch of four sequences."""
PARTS = "parts: {validation: 0.15, test: 0.3}"
COLUMNS = {
    "sft": "question: asked, answer: told",
    "mcq": "question: asked, choices: offered, answer: told",
}
DATA = [
    "data.decontaminate.against=[]",
    f"data.dpo={{sources: [{{source: preference_jsonl, path: pairs.jsonl}}], {PARTS}}}",
    *(
        f"data.{kind}={{sources: [{{source: table, path: {kind}.jsonl, columns: {{{columns}}}}}], "
        f"{PARTS}}}"
        for kind, columns in COLUMNS.items()
    ),
]
"""The sets from files of the test's own, in place of the course's."""


def put_files(folder: Path) -> Path:
    """Forty questions, each in all three sets."""
    rows = questions(40, 0)
    write_jsonl(folder / "sft.jsonl", [{"asked": q, "told": str(n)} for _, q, n in rows])
    pairs = [{"prompt": q, "chosen": f"$\\frac{{{n}}}1$ é", "rejected": "no"} for _, q, n in rows]
    write_jsonl(folder / "pairs.jsonl", pairs)
    write_jsonl(
        folder / "mcq.jsonl",
        [{"asked": q, "offered": [str(n), "é", "no"], "told": "A"} for _, q, n in rows],
    )
    return folder


class Typed:
    """A recipe's verbs, each typed with the same settings, and the seconds they took."""

    def __init__(self, recipe: str, runs: Path, settings: list[str]) -> None:
        self.recipe, self.runs = recipe, runs
        self.settings = [part for setting in settings for part in ("--set", setting)]
        self.seconds: dict[str, float] = {}

    def __call__(self, verb: str, *more: str) -> None:
        begin = time.monotonic()
        assert main([verb, self.recipe, *more, "--runs", str(self.runs), *self.settings]) == 0
        self.seconds[verb] = self.seconds.get(verb, 0) + time.monotonic() - begin


def assert_shown(said: str, template: str) -> None:
    """`preview` draws every row of three sets as the tokens that train."""
    rows = [line.split("trained: ")[1] for line in said.splitlines() if " trained: " in line]
    assert len(rows) == 3 * (1 + 2 + 1), "three rows of each set; a pair has two answers"
    assert all(row.startswith(STARTS[template]) for row in rows), rows
    assert all(row.endswith(f"{ENDS[template]} ]]") for row in rows), rows
    assert all(
        row.count("<bos>") + row.count("<|begin_of_text|>")
        == (template in ("qa", "gemma", "llama3"))
        for row in rows
    )


def go_through(typed: Typed, opened: tuple[Recipe, Run], kind: str, capsys: Said) -> None:
    """Every verb from the files to the answer; then what each handed over must be."""
    recipe, run = opened
    typed("data")
    capsys.readouterr()
    typed("preview")
    assert_shown(capsys.readouterr().out, recipe.template.stem)
    typed("show")
    assert f"base_model: {recipe.base_model}\n" in capsys.readouterr().out
    for stage in (*recipe.training_stages(), "export", "eval", "report"):
        typed(stage)
    capsys.readouterr()
    typed("status")
    assert {line.split(maxsplit=1)[1] for line in capsys.readouterr().out.splitlines()} == {
        "up to date"
    }
    typed("chat", "What is 1 + 1?")
    print(
        f"{recipe.name} ({kind}):",
        {verb: round(seconds) for verb, seconds in typed.seconds.items()},
    )
    assert_handed_over(recipe, run)
    assert_shipped(run, kind)


def assert_handed_over(recipe: Recipe, run: Run) -> None:
    counted = run.manifest("data").facts["preflight"]
    for stage in recipe.training_stages():
        manifest = run.manifest(stage)
        for part in ("train", "validation"):
            told = {
                name: n for name, n in counted[f"{stage}/{part}"].items() if name != "sequence_len"
            }
            assert told == manifest.counts[part], "what the data stage counted is what trains"
        weights = manifest.facts["counted"]["trained"], manifest.facts["counted"]["of"]
        assert weights == count_weights(recipe, run, stage), "as `plan` computes from the shapes"
        assert manifest.facts["peak_memory"]["bytes"] > 2**27
        assert manifest.facts["steps"] == 2
    packed = recipe.axolotl("mcq").get("sample_packing")
    assert isinstance(run.manifest("mcq").facts["first_batch"], str) == bool(packed)
    assert run.manifest("dpo").facts["reference"]["first_margin"] == 0


def assert_shipped(run: Run, kind: str) -> None:
    gates = {
        (gate["subject"], gate["name"]): gate for gate in read_json(run.output("export", "gates"))
    }
    assert gates["gguf-F16", "mean KL, nats per token"]["value"] < 1e-4
    tests = sum(
        len(run.output("data", f"{kind}/test").read_text().splitlines())
        for kind in ("sft", "dpo", "mcq")
    )
    assert gates["gguf-F16", "conversations tokenized differently"]["n"] == tests > 20
    generation = read_json(run.output("export", "merged") / "generation_config.json")
    assert STOP[kind] in generation["eos_token_id"]
    with Llama(run.output("export", "gguf-F16"), 2048, 1) as llama:
        assert llama.is_end(STOP[kind])
        ids = llama.tokenize(template_of(llama).render(question("What is 1 + 1?"), ask=True))
        assert (ids[0] == BOS[kind]) == (BOS[kind] is not None)
        assert ids.count(BOS[kind] or -1) == (BOS[kind] is not None)


def bring(
    name: str, kind: str, folder: Path, settings: list[str]
) -> tuple[Typed, tuple[Recipe, Run]]:
    base, files = make_family(folder / "base", kind), put_files(folder / "files")
    given = [f"base_model={base}", f"data.root={files}", *SMALL, *DATA, *settings]
    given += [f"{stage}.max_steps=2" for stage in load(name).training_stages()]
    recipe = load(name, given)
    return Typed(name, folder / "runs", given), (recipe, Run(folder / "runs" / recipe.name))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "kind"), RECIPES)
def test_the_recipes_own_chain(
    name: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Said
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    go_through(*bring(name, kind, tmp_path, FAST if name == "gemma2b-fast" else []), kind, capsys)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["qwen2", "llama", "smollm2"])
def test_with_a_template_of_another_kind_the_shipped_file_is_asked_as_in_training(
    kind: str, tmp_path: Path
) -> None:
    """`qa` writes `bos_token`. Qwen's tokenizer has none, but its config.json names an id, which
    llama.cpp takes."""
    from transformers import AutoModelForCausalLM

    base = make_family(tmp_path / "base", kind)
    template = Template.read(load("tiny").template, base)
    write_model(AutoModelForCausalLM.from_pretrained(base), base, tmp_path / "merged", template)
    convert(tmp_path / "merged", tmp_path / "m-F16.gguf", "F16", {"general.name": "m"})
    with Llama(tmp_path / "m-F16.gguf", 64, 1) as llama:
        asked = template_of(llama).render(question("1 + 1?"), ask=True)
    assert asked == template.render(question("1 + 1?"), ask=True)
    first = {"qwen2": "", "llama": "<|begin_of_text|>", "smollm2": "<|im_start|>"}[kind]
    assert asked == f"{first}Question: 1 + 1?\n\nAnswer:"
