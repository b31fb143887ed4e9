"""Settings of each training stage: what the recipe says, and what the training then did. Pure."""

from __future__ import annotations

from collections.abc import Callable

from report.readable import number, percent, words
from report.run_data import Record, RunData, Table
from stemma.facts import TrainingFacts, training_facts

NAMES = {
    "start_from": "starts from",
    "learning_rate": "learning rate",
    "num_epochs": "epochs",
    "max_steps": "steps at most",
    "micro_batch_size": "batch of a process, in rows",
    "gradient_accumulation_steps": "batches a step",
    "sequence_len": "longest row, in tokens",
    "optimizer": "optimizer",
    "lr_scheduler": "learning rate over time",
    "warmup_steps": "steps of warm-up",
    "warmup_ratio": "share of warm-up",
    "adapter": "adapter",
    "lora_r": "LoRA rank (r)",
    "lora_alpha": "LoRA alpha",
    "lora_dropout": "LoRA dropout",
    "lora_target_modules": "LoRA on the matrices",
    "rl": "preference method",
    "rl_beta": "beta of preferences",
    "bf16": "bfloat16",
    "fp16": "float16",
    "deepspeed": "DeepSpeed's settings",
    "sample_packing": "several rows in a sequence",
}
"""Keys in the order of the table, in plain words; all others follow under their own names."""
SAID, USED = "recipe", "used"


def settings(evidence: RunData) -> Table:
    """A line for each key that the recipe sets, and below it what came of it where it is known."""
    stages = list(evidence.histories)
    said = {stage: _said(evidence, stage) for stage in stages}
    keys = dict.fromkeys([*NAMES, *(key for keys in said.values() for key in keys)])
    rows: list[list[object]] = []
    for key in keys:
        name = NAMES.get(key, key)
        cells = [said[stage].get(key) for stage in stages]
        if any(cell is not None for cell in cells):
            rows.append([name, key, SAID, *(_text(cell) for cell in cells)])
        if key in CAME_OF:
            _add(rows, evidence, name, key)
    for title in ALSO:
        _add(rows, evidence, title, title)
    return Table(("Setting", "Key", "", *stages), rows)


def _add(rows: list[list[object]], evidence: RunData, name: str, key: str) -> None:
    """A line of what was used, where it is known of some stage."""
    title, find = CAME_OF[key] if key in CAME_OF else ("", ALSO[key])
    cells = [find(evidence, stage) for stage in evidence.histories]
    if any(cell is not None for cell in cells):
        rows.append([title or name, None, USED, *cells])


def _said(evidence: RunData, stage: str) -> Record:
    keys = evidence.recipe.axolotl(stage)
    if stage in evidence.recipe.training_stages():
        return {"start_from": evidence.recipe.stage(stage).start_from, **keys}
    return keys


def _text(value: object) -> str | None:
    """A recipe's value as one writes it there: 5e-06, not a rounded number."""
    if value is None or isinstance(value, bool | list | dict):
        return None if value is None else words(value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _facts(evidence: RunData, stage: str) -> TrainingFacts | None:
    return training_facts(evidence.manifests[stage])


def _highest_rate(evidence: RunData, stage: str) -> str | None:
    rates = [one["learning_rate"] for one in evidence.histories[stage] if "learning_rate" in one]
    return number(max(rates)) if rates else None


def _epochs(evidence: RunData, stage: str) -> str | None:
    epochs = [one["epoch"] for one in evidence.histories[stage] if "epoch" in one]
    return number(epochs[-1]) if epochs else None


def _rows_a_step(evidence: RunData, stage: str) -> str | None:
    facts = _facts(evidence, stage)
    return f"{facts.rows_a_step:,} on {facts.processes:,}" if facts else None


def _left_out(evidence: RunData, stage: str) -> str:
    left_out = sum(
        counts.left_out_longer_than_sequence_len for counts in evidence.trained[stage].values()
    )
    return number(left_out)


def _weights(evidence: RunData, stage: str) -> str | None:
    facts = _facts(evidence, stage)
    if facts is None:
        return None
    found = facts.trainable
    of_all = percent(found.share) if found.share >= 0.1 else f"{number(100 * found.share)}%"
    return f"{found.trainable_parameters:,} of {found.parameters:,} ({of_all})"


def _dtype(evidence: RunData, stage: str) -> str | None:
    facts = _facts(evidence, stage)
    return facts.computed_in if facts else None


def _steps(evidence: RunData, stage: str) -> str | None:
    found = evidence.manifests[stage].facts.get("steps")
    return number(found) if isinstance(found, int) else None


def _rows(evidence: RunData, stage: str) -> str:
    return number(evidence.trained[stage]["train"].rows)


Find = Callable[[RunData, str], str | None]
CAME_OF: dict[str, tuple[str, Find]] = {
    "learning_rate": ("highest learning rate logged", _highest_rate),
    "num_epochs": ("epochs trained", _epochs),
    "micro_batch_size": ("rows of a step, on processes", _rows_a_step),
    "sequence_len": ("rows left out as too long", _left_out),
    "lora_r": ("weights trained", _weights),
    "bf16": ("computed in", _dtype),
}
"""By key, what is known of its outcome."""
ALSO: dict[str, Find] = {
    "optimizer steps": _steps,
    "rows trained on": _rows,
}
"""What no key says."""
