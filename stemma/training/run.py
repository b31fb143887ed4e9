"""The LoRA stages `sft`, `dpo` and `mcq`: rows → Axolotl → gates → adapter and merged model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stemma.base_model.vocabulary import stop_problems
from stemma.errors import UserError
from stemma.jsonl import read_json
from stemma.stages import Result, Work
from stemma.templates import Template
from stemma.training import gates, launch
from stemma.training.completion import Completed
from stemma.training.handover import (
    hand_over_adapter,
    logs,
    training_record,
    trim,
    weights_digest,
    write_history,
)
from stemma.training.inputs import read_splits, write_config
from stemma.training.losses import tell_of_loss
from stemma.training.merge import merge_adapter
from stemma.training.merge_gate import merge_gate
from stemma.training.pitfalls import rows_a_step, training_warnings
from stemma.training.rows import Split
from stemma.training.trained_weights import count_weights
from stemma.weights import weights_of

MERGE_TEXTS = 32
"""Training rows on which the merged model is compared with its adapter on the base."""
OUTPUTS = {
    "adapter": "adapter",
    "merged": "merged",
    "history": "history.jsonl",
    "axolotl": "axolotl.yml",
}


@dataclass(frozen=True)
class Trained:
    """A finished training: what it was given, and what its completion marker says."""

    start: Path
    """The model folder it started from."""
    template: Template
    splits: dict[str, Split]
    config: dict[str, Any]
    """Axolotl's."""
    processes: int
    """Training processes, on all machines together."""
    marker: Completed


def train_adapter(work: Work) -> Trained:
    """Train until the completion marker says that it is complete; nothing is checked yet.

    Raises UserError, or StageFailed with the reason.
    """
    start = weights_of(work, work.recipe.stage(work.stage).start_from)
    template = Template.read(work.recipe.template, start)
    if problems := list(stop_problems(template, start, work.recipe.chat_template)):
        raise UserError(problems)
    splits = read_splits(work, template, start)
    config = write_config(work, start, splits, template)
    work.say(_describe_start(work, start))
    cluster = launch.cluster_for(config)
    if cluster.world_size > 1:
        alone = rows_a_step(config, 1)
        together = rows_a_step(config, cluster.world_size)
        several = f"{cluster.world_size} processes; one process would take {alone}"
        work.say(f"{together} rows a step: {several}")
    counts = splits["train"].counts
    for warning in training_warnings(work.stage, config, counts, cluster.world_size):
        work.say(f"warning: {warning}")
    marker = launch.train(config, work.folder / "axolotl.yml", cluster, work.say)
    return Trained(start, template, splits, config, cluster.world_size, marker)


def run(work: Work) -> Result:
    """Train one LoRA stage and hand over its adapter, merged model, history and Axolotl file."""
    trained = train_adapter(work)
    start = trained.start
    merged = work.folder / "merged"
    adapter = hand_over_adapter(work, start, trained.config)
    said = _describe_start(work, start)
    record = training_record(said, trained.marker, trained.config, trained.processes)
    facts = record.model_dump()
    checked = [
        _count_gate(work, trained),
        gates.adapter_gate(start, adapter),
        *_first_step(trained),
    ]
    merge_adapter(start, adapter, merged, trained.template)
    checked.append(merge_gate(start, adapter, merged, _texts(trained)))
    write_history(work, trained.marker)
    tell_of_loss(work, trained.marker)
    trim(trained.config)
    counts = {name: split.counts for name, split in trained.splits.items()}
    return Result(OUTPUTS | logs(trained.config), counts, facts | gates.facts_of(checked))


def _describe_start(work: Work, start: Path) -> str:
    """The weights the training starts from, in words; for DPO they are the reference as well."""
    name = work.recipe.stage(work.stage).start_from
    weights = f"{start} (sha256 {weights_digest(start)[:16]}…): the weights of `{name}`"
    if work.recipe.axolotl(work.stage).get("rl"):
        return f"the reference, and where the policy starts, is {weights}, adapter off"
    return f"a new adapter on {weights}"


def _count_gate(work: Work, trained: Trained) -> gates.Checked:
    expected = count_weights(work.recipe, work.run, work.stage)
    found = (trained.marker.trainable_parameters, trained.marker.parameters)
    return gates.count_gate(work.stage, expected, found)


def _first_step(trained: Trained) -> list[gates.Checked]:
    """The gates of the first batch, which need what the plugin left of it."""
    output = Path(trained.config["output_dir"])
    batches = sorted(output.glob("first_step.rank*.safetensors"))
    if trained.config.get("sample_packing"):
        return [gates.packed_batch()]
    checked = [gates.batch_gate(batches, trained.splits["train"].sequences)]
    if trained.config.get("rl"):
        said = read_json(output / "first_step.json")
        dtype = trained.marker.dtype
        checked.append(gates.reference_gate(trained.start, batches, said, dtype))
    return checked


def _texts(trained: Trained) -> list[tuple[int, ...]]:
    """Token ids of the training rows on which the merged model is judged."""
    sequences = sorted(sequence.ids for sequence in trained.splits["train"].sequences)
    return sequences[:MERGE_TEXTS]
