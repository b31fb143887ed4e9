"""The LoRA stages `sft`, `dpo` and `mcq`: rows → Axolotl → gates → adapter and merged model."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stemma.base_model.files import added_first, lacks_padding
from stemma.base_model.vocabulary import stop_problems
from stemma.errors import Problem, StageFailed, UserError
from stemma.files import atomic, new_folder, write_text
from stemma.jsonl import read_json, read_rows, write_json, write_jsonl
from stemma.runs import digest_json, digests_of_weights
from stemma.stages import Result, Work
from stemma.templates import Template
from stemma.training import axolotl, gates, launch
from stemma.training.checkpoints import ASIDE, optimizer_states
from stemma.training.completion import Completed
from stemma.training.merge import merge_adapter
from stemma.training.merge_gate import merge_gate
from stemma.training.rows import ROWS, Part, Sample, Tokenize, prove, refuse_special, sample, tokenizing
from stemma.training.trained_weights import count_weights
from stemma.weights import attention_of, weights_of

MERGE_TEXTS = 32
PROOF = "deepspeed.json"
ADAPTER = "adapter_model.safetensors"


@dataclass(frozen=True)
class Trained:
    """A finished training: what it started from, what it was given, how many processes shared it, and what its
    completion marker says."""

    start: Path
    template: Template
    parts: dict[str, Part]
    config: dict[str, Any]
    processes: int
    marker: Completed


def train_adapter(work: Work) -> Trained:
    """Rows → Axolotl, until its marker says that it is complete."""
    start = weights_of(work, work.recipe.stage(work.stage).start_from)
    template = Template.read(work.recipe.template, start)
    if problems := list(stop_problems(template, start, work.recipe.chat_template)):
        raise UserError(problems)
    parts = _parts(work, template, start)
    config = write_config(work, start, parts, template)
    work.say(_describe(work, start))
    cluster = launch.cluster_for(config)
    if cluster.world_size > 1:
        rows = rows_a_step(config, cluster.world_size)
        work.say(f"{rows} rows a step: {cluster.world_size} processes; one process would take {rows_a_step(config, 1)}")
    marker = launch.train(config, work.folder / "axolotl.yml", cluster, work.say)
    return Trained(start, template, parts, config, cluster.world_size, marker)


def run(work: Work) -> Result:
    """Train one LoRA stage and hand over its adapter, merged model, history and Axolotl file."""
    trained = train_adapter(work)
    start, parts, config, marker = trained.start, trained.parts, trained.config, trained.marker
    adapter = _hand_over_adapter(work, start, config)
    facts = {
        "start": _describe(work, start),
        "trainable": {
            "trainable_parameters": marker.trainable_parameters,
            "parameters": marker.parameters,
            "share": marker.trainable_parameters / marker.parameters,
        },
        "computed_in": marker.dtype,
        "peak_memory": marker.peak_memory.model_dump(),
        "steps": marker.steps,
        "processes": trained.processes,
        "rows_a_step": rows_a_step(config, trained.processes),
        "trainer": marker.trainer,
        "plugins": marker.plugins,
        "deepspeed": deepspeed_proof(config),
    }
    checked = [
        gates.count_gate(work.stage, count_weights(work.recipe, work.run, work.stage), dict(marker)),
        gates.adapter_gate(start, adapter),
        *_first_step(trained),
    ]
    merge_adapter(start, adapter, work.folder / "merged", trained.template)
    texts = [sequence.ids for sequence in sorted(parts["train"].sequences, key=lambda s: s.ids)[:MERGE_TEXTS]]
    checked.append(merge_gate(start, adapter, work.folder / "merged", texts))
    facts |= gates.facts_of(checked)
    write_history(work, marker)
    trim(config)
    outputs = {"adapter": "adapter", "merged": "merged", "history": "history.jsonl", "axolotl": "axolotl.yml"}
    return Result(outputs | logs(config), {name: part.counts for name, part in parts.items()}, facts)


def rows_a_step(config: dict[str, Any], processes: int) -> int:
    """How many rows (packed: sequences) one optimizer step sees: the batch sizes are of each process, as in Axolotl."""
    rows: int = processes * config.get("micro_batch_size", 1) * config["gradient_accumulation_steps"]
    return rows


def write_history(work: Work, marker: Completed) -> None:
    """The trainer's log of the whole run, without `train_loss`: a resumed run divides the losses since then by all
    steps."""
    kept = ({name: value for name, value in row.items() if name != "train_loss"} for row in marker.history)
    write_jsonl(work.folder / "history.jsonl", kept)


def logs(config: dict[str, Any]) -> dict[str, str]:
    """The logs the recipe asked for, as outputs."""
    return {launch.TENSORBOARD: launch.TENSORBOARD} if config.get("use_tensorboard") else {}


def tokenizer_of(folder: Path) -> Tokenize:
    """How the model in `folder` tokenizes rendered text."""
    from transformers import AutoTokenizer

    return tokenizing(AutoTokenizer.from_pretrained(folder).backend_tokenizer)


def special_tokens_of(folder: Path) -> list[str]:
    """The special tokens of the model in `folder` that are drawn as something: no text may say one."""
    from transformers import AutoTokenizer

    known = AutoTokenizer.from_pretrained(folder).added_tokens_decoder.values()
    return [token.content for token in known if token.special and token.content.strip()]


def adds_bos(folder: Path) -> bool:
    """Whether the tokenizer puts `<bos>` in front by itself."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    return bool(tokenizer("a")["input_ids"][0] == tokenizer.bos_token_id)


def write_config(work: Work, start: Path, parts: dict[str, Part], template: Template) -> dict[str, Any]:
    """Write the data files (digest in the name: caches go by path) and axolotl.yml; returns the config."""
    from ruamel.yaml import YAML

    added = added_first(work.recipe, template, adds_bos(start))
    rows = {name: [s.axolotl(added) for s in part.samples] for name, part in parts.items() if part.samples}
    files = {name: work.folder / "input" / f"{name}-{digest_json(values)[:12]}.jsonl" for name, values in rows.items()}
    for name, values in rows.items():
        write_jsonl(files[name], values)
    paths = axolotl.Paths(
        start=start.resolve(),
        train=files["train"].resolve(),
        validation=files["validation"].resolve() if "validation" in files else None,
        prepared=(work.folder / "prepared").resolve(),
        output=(work.folder / "training").resolve(),
        references=(work.run.root.parent / axolotl.REFERENCES).resolve(),
    )
    pad = template.eos if lacks_padding(start) else ""
    config = axolotl.render(work.recipe, work.stage, paths, template.stop(), pad)
    if "attn_implementation" not in work.recipe.axolotl(work.stage):
        config["attn_implementation"] = attention_of(start)
    config |= launch.precision_for(config)
    with atomic(work.folder / "axolotl.yml") as stream:
        YAML(typ="safe").dump(config, stream)
    return config


def prepared_part(samples: list[Sample], tokenize: Tokenize, work: Work, template: Template, stop: str) -> Part:
    """The part of `samples` that trains, proved on tokens."""
    longest = work.recipe.training_settings(work.stage)["sequence_len"]
    return prove(samples, tokenize, template.first, stop, longest)


def deepspeed_proof(config: dict[str, Any]) -> str:
    """Where DeepSpeed's own optimizer state lay, written down before checkpoints go. Raises StageFailed without it."""
    if not config.get("deepspeed"):
        return "not asked for"
    output = Path(config["output_dir"])
    if not (output / PROOF).is_file():
        found = optimizer_states(output)
        if not found:
            raise StageFailed(f"the recipe asks for DeepSpeed, but no checkpoint in {output} holds its optimizer state")
        write_json(output / PROOF, found[-1])
    return str(read_json(output / PROOF))


def trim(config: dict[str, Any]) -> None:
    """Drop what only resuming needed, and the useless full model DPO leaves beside its adapter."""
    output = Path(config["output_dir"])
    for folder in (*output.glob("checkpoint-*"), output / ASIDE, Path(config["dataset_prepared_path"])):
        shutil.rmtree(folder, ignore_errors=True)
    (output / "model.safetensors").unlink(missing_ok=True)


def _parts(work: Work, template: Template, start: Path) -> dict[str, Part]:
    parts = {}
    tokenize, special = tokenizer_of(start), special_tokens_of(start)
    for name in ("train", "validation"):
        path = work.input("data", f"{work.stage}/{name}")
        rows = read_rows(path, ROWS[work.stage])
        refuse_special(rows, special, path)
        samples = [sample(row, template) for row in rows]
        parts[name] = prepared_part(samples, tokenize, work, template, template.stop())
        if name == "train" and not parts[name].samples:
            left_out = parts[name].counts["left_out_longer_than_sequence_len"]
            found = f"no rows to train on ({left_out} were longer than sequence_len)"
            hint = "look at `data` in the recipe, or raise sequence_len"
            raise UserError(Problem(str(path), found, "at least one row", hint))
    return parts


def _describe(work: Work, start: Path) -> str:
    name = work.recipe.stage(work.stage).start_from
    weights = f"{start} (sha256 {_digest_of_weights(start)[:16]}…)"
    if work.recipe.axolotl(work.stage).get("rl"):
        return f"the reference, and where the policy starts, is {weights}: the weights of `{name}`, adapter off"
    return f"a new adapter on {weights}: the weights of `{name}`"


def _digest_of_weights(folder: Path) -> str:
    return digest_json(digests_of_weights(folder))


def _hand_over_adapter(work: Work, start: Path, config: dict[str, Any]) -> Path:
    """The adapter alone, with the digest of the base it belongs to and without this machine's paths."""
    adapter = work.folder / "adapter"
    output = Path(config["output_dir"])
    base = work.recipe.stage(work.stage).start_from
    hub = work.recipe.base_name if base == "base" else None
    given = read_json(output / "adapter_config.json")
    # PEFT writes the modules in the order of a set, another one each run: equal adapters must have equal digests.
    modules = given["target_modules"]  # a regular expression stays one
    ours: dict[str, Any] = {"target_modules": modules if isinstance(modules, str) else sorted(modules)}
    ours["base_model_name_or_path"] = hub or f"{work.recipe.name}/{base}/merged"
    with new_folder(adapter) as part:
        shutil.copyfile(output / ADAPTER, part / ADAPTER)
        write_json(part / "adapter_config.json", given | ours)
        write_text(part / "base.sha256", _digest_of_weights(start) + "\n")
    return adapter


def _first_step(trained: Trained) -> list[gates.Checked]:
    config = trained.config
    output = Path(config["output_dir"])
    batches = sorted(output.glob("first_step.rank*.safetensors"))
    if config.get("sample_packing"):
        return [gates.packed_batch()]
    checked = [gates.batch_gate(batches, trained.parts["train"].sequences)]
    if config.get("rl"):
        said = read_json(output / "first_step.json")
        checked.append(gates.reference_gate(trained.start, batches, said, trained.marker.dtype))
    return checked
