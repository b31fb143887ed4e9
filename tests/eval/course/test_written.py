"""The files of the course's evaluator, read back as it reads them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import yaml

from eval.course.written import Config, Sizes, main_config, pair_metrics, question_metrics

CONFIG = Config(
    team="tiny",
    methods=("mcqa", "quantiz"),
    policy=Path('/runs/it\'s "here"/merged'),
    reference="google/gemma-2b",
    quantised=Path("/runs/bnb-nf4"),
    data=Path("/data/é: #1.jsonl"),
)


def test_the_configuration_has_every_key_that_the_evaluator_reads() -> None:
    assert yaml.safe_load(main_config(CONFIG)) == {
        "team_name": "tiny",
        "eval_method": ["mcqa", "quantiz"],
        "task_type": "causal_lm",
        "policy_model_path": '/runs/it\'s "here"/merged',
        "reference_model_path": "google/gemma-2b",
        "quantized_policy_model_path": "/runs/bnb-nf4",
        "rag_policy_model_path": None,
        "test_data_path": "/data/é: #1.jsonl",
        "dpo_model_args": None,
        "rag_model_args": None,
        "quantized_model_args": None,
    }


def test_a_gguf_is_no_folder_that_the_evaluator_could_load() -> None:
    text = main_config(replace(CONFIG, quantised=Path("/runs/tiny-Q4_K_M.gguf")))
    assert yaml.safe_load(text)["quantized_policy_model_path"] is None
    assert text.startswith("# The quantised model is a GGUF file, which this evaluator cannot open")


def test_metrics_are_those_of_the_evaluator() -> None:
    sizes = Sizes(policy=3_132_600_320, quantised=974_903_296)
    found = question_metrics("tiny", {"policy": 0.25, "quantised": 0.5}, sizes)
    assert json.loads(found) == {
        "team_name": "tiny",
        "task_type": "causal_lm",
        "policy_acc": 0.25,
        "orig_model_size": 3_132_600_320,
        "quantized_model_size": 974_903_296,
        "quantized": True,
        "quantized_policy_acc": 0.5,
    }
    alone = {"team_name": "tiny", "task_type": "causal_lm"}
    assert json.loads(question_metrics("tiny", {"policy": 0.25}, None)) == alone | {
        "policy_acc": 0.25
    }
    assert json.loads(pair_metrics("tiny", 0.75)) == alone | {"policy_reward_accuracy": 0.75}
