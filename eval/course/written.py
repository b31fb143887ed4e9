"""Texts of the files that the course's evaluator reads and writes. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TASK_TYPE = "causal_lm"
"""The course's word for a decoder; the other one is `seq2seq`."""
IS_GGUF = """\
# The quantised model is a GGUF file, which this evaluator cannot open (it loads folders with
# transformers). metrics.json beside this file has its accuracy, measured by llama.cpp.
"""


@dataclass(frozen=True)
class Sizes:
    """Bytes on disk of the model and of its quantised form."""

    policy: int
    quantised: int


@dataclass(frozen=True)
class Config:
    """What `main_config.yaml` says."""

    team: str
    methods: tuple[str, ...]
    """`mcqa`, with `quantiz` beside it or not; or `reward`, which the evaluator takes alone."""
    policy: Path
    reference: str
    """A folder, or a name on the hub."""
    quantised: Path | None
    data: Path


def main_config(config: Config) -> str:
    """`main_config.yaml`, all keys that the course's evaluator reads."""
    quantised = config.quantised
    is_gguf = quantised is not None and quantised.suffix == ".gguf"
    values: dict[str, Any] = {
        "team_name": config.team,
        "eval_method": list(config.methods),
        "task_type": TASK_TYPE,
        "policy_model_path": str(config.policy),
        "reference_model_path": config.reference,
        "quantized_policy_model_path": str(quantised) if quantised and not is_gguf else None,
        "rag_policy_model_path": None,
        "test_data_path": str(config.data),
        "dpo_model_args": None,
        "rag_model_args": None,
        "quantized_model_args": None,
    }
    # JSON's values are YAML's too, quotes and all.
    lines = [f"{json.dumps(key)}: {json.dumps(one)}\n" for key, one in values.items()]
    return (IS_GGUF if is_gguf else "") + "".join(lines)


def question_metrics(team: str, accuracies: Mapping[str, float], sizes: Sizes | None) -> str:
    """`metrics.json` of the method `mcqa`, with `quantiz` where there are sizes.

    `accuracies` holds `policy`, and `quantised` where there is one.
    """
    found: dict[str, Any] = {"policy_acc": accuracies["policy"]}
    if sizes:
        found |= {
            "orig_model_size": sizes.policy,
            "quantized_model_size": sizes.quantised,
            "quantized": sizes.quantised < sizes.policy,
            "quantized_policy_acc": accuracies["quantised"],
        }
    return _metrics(team, found)


def pair_metrics(team: str, accuracy: float) -> str:
    """`metrics.json` of the method `reward`."""
    return _metrics(team, {"policy_reward_accuracy": accuracy})


def _metrics(team: str, found: Mapping[str, Any]) -> str:
    return json.dumps({"team_name": team, "task_type": TASK_TYPE, **found}, indent=2) + "\n"
