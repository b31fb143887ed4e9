"""The text of a first recipe: YAML with a comment wherever a newcomer would ask why."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from string import Template

from data_builders.flow import Kind
from data_builders.new_recipe.amounts import BATCH, Amounts
from data_builders.new_recipe.guess import Guess

WHAT = {"sft": "answers", "dpo": "pairs", "mcq": "multiple-choice questions"}
STAGES: tuple[Kind, ...] = ("sft", "dpo", "mcq")
LEARNING_RATES = {"sft": "2e-4", "dpo": "5e-5", "mcq": "2e-4"}
TASKS = {
    "mcq": "{task: mcq}",
    "dpo": "{task: preference}",
    "sft": "{task: generation, limit: 100, max_new_tokens: 128}",
}
_BARE = re.compile(r"[A-Za-z_][A-Za-z0-9_./ -]*[A-Za-z0-9]|[A-Za-z]")
_WORDS = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}


_TINY = Template("""\
# yaml-language-server: $$schema=schema.json
# The data of $name through the whole chain in minutes on a CPU, with a small model made on
# the spot. It learns next to nothing: it shows that every row and every hand-over works.
extends: $name
name: $name-tiny

base_model: null                       # the next section makes one
base_revision: null
chat_template: templates/qa.jinja
base:
  tokenizer: {vocab_size: 1000}
  model:
    model_type: gemma
    hidden_size: 256                   # K-quants need multiples of 256
    intermediate_size: 512
    num_hidden_layers: 2
    num_attention_heads: 4
    num_key_value_heads: 1
    head_dim: 64
    max_position_embeddings: $tokens
  deepspeed: deepspeed/zero1.json
  sequence_len: $tokens
  micro_batch_size: 1
  num_epochs: 3
  learning_rate: 2e-3
  lr_scheduler: cosine
  warmup_ratio: 0.1
  optimizer: adamw_torch
  bf16: false
  fp16: false

data:
  corpus:
    sources: [{source: from_sets}]     # the training rows of the sets, $first first

train: {sequence_len: $tokens, bf16: false}
$stages

export:
  merge: {dtype: float32}
""")


@dataclass(frozen=True)
class Found:
    """All that is known when the recipe is written."""

    name: str
    root: str
    like: str
    """The recipe whose model and template are taken."""
    model: str
    revision: str | None
    template: str
    language: str
    sequence_tokens: int
    guesses: Sequence[Guess]
    paths: Mapping[str, str]
    """By a file's path, the path below `root` that the recipe names."""
    amounts: Mapping[Kind, Amounts]

    seed: int
    documents: Sequence[str] = ()
    """Documents and folders of them, below `root`."""
    longest_fits: bool = True
    """Whether the longest row that was seen fits into `sequence_tokens`."""

    @property
    def stages(self) -> list[Kind]:
        return [stage for stage in STAGES if stage in self.amounts]


def recipe_text(found: Found) -> str:
    """The recipe for a real model."""
    return "\n".join([*_head(found), *_data(found), *_training(found), *_end(found)]) + "\n"


def tiny_text(found: Found) -> str:
    """The recipe that tries the same data on a small model made on the spot."""
    return _TINY.substitute(
        name=found.name,
        tokens=found.sequence_tokens * 2,  # so small a tokenizer needs more of them
        stages="\n".join(f"{stage}: {{num_epochs: 1}}" for stage in found.stages),
        first=found.stages[0],
    )


def _head(found: Found) -> Iterator[str]:
    counts = ", ".join(f"{found.amounts[stage].rows} {WHAT[stage]}" for stage in found.stages)
    yield "# yaml-language-server: $schema=schema.json"
    yield f"# {found.name}: {counts}."
    yield "# Written by `stemma new`. Edit whatever you like: docs/reference/recipe.md explains"
    yield "# every key, and `make check` says what is wrong with one."
    yield f"name: {found.name}"
    yield _remarked(f"seed: {found.seed}", "by it every set below has test rows")
    yield _remarked(f"base_model: {found.model}", f"as in {found.like}; LIKE=… takes another's")
    if found.revision:
        yield f"base_revision: {found.revision}"
    yield _remarked(f"chat_template: {found.template}", "the one template, from training to chat")
    yield ""


def _data(found: Found) -> Iterator[str]:
    yield "data:"
    yield _remarked(f"  root: {scalar(found.root)}", "paths below start here; or DATA=folder")
    if found.language != "en":
        yield _remarked(f"  language: {found.language}", "as seen in the files")
    yield _remarked("  decontaminate: {mode: drop}", "no training row may hold a test question")
    for stage in found.stages:
        yield f"  {stage}:"
        yield "    sources:"
        for one in found.guesses:
            if one.kind == stage:
                yield from _source(one, found.paths[str(one.seen.path)])
        amounts = found.amounts[stage]
        parts = f"    parts: {{validation: {amounts.validation}, test: {amounts.test}}}"
        yield _remarked(parts, f"about {amounts.train_rows} of {amounts.rows} rows train")
        if stage == "mcq":
            yield _remarked("    permute: true", "no letter may be right more often than others")
    yield ""


def _source(guess: Guess, path: str) -> Iterator[str]:
    yield "      - source: table"
    yield f"        path: {scalar(path)}"
    if guess.seen.form.delimiter != "," and guess.seen.path.suffix.lower() == ".csv":
        yield f"        delimiter: {json.dumps(guess.seen.form.delimiter)}"
    if guess.seen.form.columns:
        header = _value(list(guess.seen.form.columns))
        yield _remarked(f"        header: {header}", "the file has no header line")
    if guess.seen.form.encoding != "utf-8":
        yield f"        encoding: {guess.seen.form.encoding}"
    if guess.answer_is != "label":
        yield f"        answer_is: {guess.answer_is}"
    if guess.columns:
        yield "        columns:"
    for name, column in guess.columns.items():
        yield f"          {name}: {_value(column)}"


def _training(found: Found) -> Iterator[str]:
    yield "train:                                 # Axolotl's own keys, shared by the stages below"
    yield "  adapter: lora"
    yield "  lora_r: 16"
    yield "  lora_alpha: 32"
    yield "  lora_target_modules: [q_proj, k_proj, v_proj, o_proj]"
    yield "  deepspeed: deepspeed/zero1.json"
    longest = "tokens; " + (
        "the longest row that was seen fits" if found.longest_fits else "longer rows are left out"
    )
    yield _remarked(f"  sequence_len: {found.sequence_tokens}", longest)
    yield f"  micro_batch_size: {BATCH}"
    yield "  optimizer: adamw_torch"
    yield "  lr_scheduler: cosine"
    yield "  warmup_ratio: 0.1"
    yield _remarked("  bf16: auto", "where the machine computes in bfloat16")
    yield ""
    before = "base"
    for stage in found.stages:
        rule = "rl: dpo, rl_beta: 0.1, " if stage == "dpo" else ""
        amounts = found.amounts[stage]
        keys = f"learning_rate: {LEARNING_RATES[stage]}, num_epochs: {amounts.epochs}"
        yield f"# About {amounts.steps} steps."
        yield f"{stage}: {{start_from: {before}, {rule}{keys}}}"
        before = stage
    yield ""


def _end(found: Found) -> Iterator[str]:
    last = found.stages[-1]
    yield "export:"
    yield f"  from: {last}"
    yield "  merge: {dtype: bfloat16}"
    yield "  bitsandbytes: [int8, nf4]"
    yield "  gguf: {types: [Q8_0, Q4_K_M]}"
    yield _remarked("  ship: gguf-Q4_K_M", "what `make chat` answers with")
    yield ""
    yield from _passages(found)
    yield "eval:"
    if "dpo" in found.amounts:
        reference = "sft" if "sft" in found.amounts else "base"
        yield _remarked(f"  reference: {reference}", "the weights DPO started from")
    made = ", ".join(["base", *found.stages, "merged", "bnb-int8", "bnb-nf4", "gguf-Q8_0"])
    arms = ", gguf-Q4_K_M+retrieved, gguf-Q4_K_M+random" if found.documents else ""
    remark = "   # asked with passages" if found.documents else ""
    yield f"  variants: [{made}, gguf-Q4_K_M{arms}]{remark}"
    yield "  tasks:"
    for stage in reversed(found.stages):
        yield f"    - {TASKS[stage]}"
    if "dpo" in found.amounts:
        yield "    - {task: divergence}"
    yield "    - {task: speed, prompt_tokens: 128, max_new_tokens: 32}"


def _passages(found: Found) -> Iterator[str]:
    """The section that puts documents at hand; none without documents."""
    if not found.documents:
        return
    yield "rag:                                   # passages to answer with: docs/retrieval.md"
    yield "  sources:"
    for number, path in enumerate(found.documents, start=1):
        name = f", name: documents-{number}" if len(found.documents) > 1 else ""
        yield f"    - {{source: documents{name}, path: {scalar(path)}}}"
    yield _remarked("  search: {arm: bm25, k: 10}", "by words; an `encoder` finds by meaning")
    tokens = min(512, found.sequence_tokens)
    yield f"  context: {{passages: 3, max_tokens: {tokens}}}"
    yield ""


def _remarked(line: str, remark: str) -> str:
    return f"{line:<38} # {remark}" if len(line) < 39 else f"{line}   # {remark}"


def _value(column: str | list[str]) -> str:
    if isinstance(column, list):
        return f"[{', '.join(map(scalar, column))}]"
    return scalar(column)


def scalar(text: str) -> str:
    """A text as YAML has it: bare where that is what it says, else in double quotes."""
    if _BARE.fullmatch(text) and text.casefold() not in _WORDS:
        return text
    return json.dumps(text, ensure_ascii=False)
