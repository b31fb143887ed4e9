"""A run folder as the stages before `report` leave it, with round numbers.

It holds manifests, histories, gates and scores. The figures are made up; every file goes through
the project's own writers and models.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from stemma.chain import chain
from stemma.gate import HandOver, recorded
from stemma.jsonl import write_json, write_jsonl
from stemma.recipe.models import Recipe
from stemma.rows import Score
from stemma.runs import Run
from stemma.stages import Work
from tests.factories.manifests import write_manifest

FORMATS = ["merged", "bnb-int8", "bnb-nf4", "gguf-F16", "gguf-Q8_0", "gguf-Q6_K", "gguf-Q4_K_M"]
VARIANTS = ["base", "sft", "dpo", "mcq", *FORMATS]
KILOBYTES = dict(
    zip(VARIANTS, [820, 820, 820, 820, 410, 290, 230, 415, 236, 195, 160], strict=True)
)
MCQ = dict(
    zip(VARIANTS, [0.34, 0.48, 0.50, 0.72, 0.72, 0.71, 0.68, 0.72, 0.72, 0.71, 0.61], strict=True)
)
SET = {"sources": [{"source": "stem_exercises"}]}
MINUTE = {
    stage: index
    for index, stage in enumerate(["data", "base", "sft", "dpo", "mcq", "export", "eval"])
}


def make_recipe(**changes: Any) -> Recipe:
    lora = {"adapter": "lora", "lora_r": 8}
    value = {
        "name": "toy",
        "base": {"model": {"hidden_size": 256}, "tokenizer": {"vocab_size": 512}},
        "chat_template": "templates/qa.jinja",
        "train": lora,
        "sft": {"start_from": "base"},
        "dpo": {"start_from": "sft", "rl": "dpo"},
        "mcq": {"start_from": "dpo"},
        "data": {"corpus": SET, "sft": SET, "dpo": SET, "mcq": SET},
        "export": {
            "from": "mcq",
            "bitsandbytes": ["int8", "nf4"],
            "ship": "gguf-Q4_K_M",
            "gguf": {"types": ["F16", "Q8_0", "Q6_K", "Q4_K_M"]},
        },
        "eval": {
            "variants": VARIANTS,
            "reference": "sft",
            "tasks": [{"task": "mcq"}, {"task": "speed"}],
        },
    }
    return Recipe.model_validate(value | changes)


def make_work(root: Path, recipe: Recipe | None = None, scores: list[Score] | None = None) -> Work:
    """The finished run up to `eval`; returns the work the report stage is given."""
    recipe = recipe or make_recipe()
    run = Run(root / recipe.name)
    for stage in chain(recipe)[:-1]:
        _make_stage(run, recipe, stage, make_scores() if scores is None else scores)
    return Work(recipe, run, "report", say=[].append)


def make_scores() -> list[Score]:
    return [score for name in VARIANTS for score in _scores_of(name)]


def _scores_of(name: str) -> list[Score]:
    right = MCQ[name]
    change = MCQ[name] - MCQ["merged"]
    found = [
        score(name, "mcq", "accuracy", right, 240, 0.06),
        score(name, "mcq", "chance", 0.25, 240),
        score(name, "speed", "size_bytes", KILOBYTES[name] * 1000, 1),
        score(name, "speed", "peak_memory_bytes", 61.2e6, 1),
        score(name, "speed", "prompt_tokens_per_second", 5321.4, 3),
        score(name, "speed", "decode_tokens_per_second", 812.3, 5, 20.0),
    ]
    if name != "merged":
        found.append(score(name, "mcq", "accuracy_minus_merged", change, 240, 0.05))
    return found if name == "bnb-nf4" else [*found, *_pairs_and_answers(name)]


def _pairs_and_answers(name: str) -> list[Score]:
    reward, margin = {"sft": (0.0, 0.0), "base": (0.31, -0.2)}.get(name, (0.86, 0.42))
    return [
        score(name, "preference", "reward_accuracy", reward, 200, 0.05),
        score(name, "preference", "reward_margin", margin, 200, 0.1),
        score(name, "preference", "longer_accuracy", 0.55, 200),
        score(name, "generation", "accuracy", MCQ[name] - 0.1, 150, 0.08),
        score(name, "generation", "undecided", 0.04, 150, 0.03),
    ]


def score(
    variant: str, task: str, metric: str, value: float, n: int, half: float | None = None
) -> Score:
    """A score with the interval value ± half."""
    low, high = (None, None) if half is None else (value - half, value + half)
    return Score(variant=variant, task=task, metric=metric, value=value, n=n, low=low, high=high)


def history(preference: bool, steps: int = 90) -> list[dict[str, Any]]:
    """A log as the trainer keeps it.

    It has a record for each step, an evaluation every 30, and a closing record without curves.
    """
    records: list[dict[str, Any]] = []
    for step in range(1, steps + 1):
        wobble = 0.05 * math.sin(7 * step)
        records.append(_record("", step, steps, wobble, preference))
        if step % 30 == 0:
            records.append(_record("eval_", step, steps, 0.02, preference))
    return [*records, {"train_runtime": 61.2, "train_loss": 0.4, "step": steps, "epoch": 3.0}]


def _record(prefix: str, step: int, steps: int, wobble: float, preference: bool) -> dict[str, Any]:
    done = step / steps
    record: dict[str, Any] = {f"{prefix}loss": 0.69 * math.exp(-2 * done) + wobble + 0.1}
    if preference:
        record[f"{prefix}rewards/accuracies"] = min(1.0, 0.5 + 0.4 * done + wobble)
        record[f"{prefix}rewards/margins"] = 0.6 * done + wobble
        record[f"{prefix}rewards/chosen"] = 0.2 * done
        record[f"{prefix}rewards/rejected"] = -0.4 * done
    return record | {"step": step, "epoch": 3 * done}


COUNTS = {
    "sources": {
        "corpus: stem_exercises": {
            "read": 1200,
            "kept": 1100,
            "dropped": {"duplicate": 40, "in the evaluation": 60},
            "repaired": 3,
        },
        "mcq: stem_exercises": {"read": 400, "kept": 400, "dropped": {}, "repaired": 0},
    },
    "sets": {"corpus": {"train": 1100}, "mcq": {"train": 300, "validation": 40, "test": 60}},
}
STATISTICS = {
    "mcq": {
        "parts": {"train": 300, "validation": 40, "test": 60},
        "sources": {"stem_exercises": 400},
        "subjects": {"physics": 240, "<algebra>": 160},
        "words": {"prompt": {"10 to 19": 100, "20 to 49": 300}, "answer": {"1": 400}},
        "dropped": {},
    }
}
TRAINED = {
    "train": {
        "rows": 300,
        "left_out_longer_than_sequence_len": 2,
        "tokens": 9000,
        "trained_tokens": 1200,
    }
}
SCORED = {"mcq": {"scored": 240, "skipped": 0}, "generation": {"scored": 150, "skipped": 7}}
STAGE_COUNTS = {
    "data": COUNTS,
    "base": TRAINED,
    "sft": TRAINED,
    "dpo": TRAINED,
    "mcq": TRAINED,
    "export": {},
    "eval": SCORED,
}
GATES = [
    HandOver("gguf-F16", "conversion").at_most("conversations tokenized differently", 0, 0, 32),
    HandOver("gguf-Q4_K_M", "quantisation").at_most("mean KL to merged", 0.0123, 0.2, 640),
    HandOver("gguf-Q4_K_M", "quantisation").at_least("top-1 agreement", 0.97, 0.9, 640),
]
NOT_FINITE = HandOver("weights", "training").at_most("tensors with NaN or infinity", 0, 0, 30)
COUNTED = HandOver("adapter", "training").exactly("trained weights", 15_360, 15_360, 1_815_360)
MERGED = HandOver("merged", "merging").at_most(
    "share of the adapter's effect lost", 1e-8, 0.05, 900
)
STARTING = HandOver("reference", "starting DPO")
MARGIN = STARTING.at_most("first-step reward margin, either way", 0, 2.15e-5, 8)
LOG_PROB = STARTING.at_most("first-step log p of chosen", 0.004, 0.0121, 8)
LORA: dict[str, Any] = {
    "start": "a new adapter on its start",
    "deepspeed": "checkpoint-90/global_step90/zero_pp_rank_0_mp_rank_00_optim_states.pt",
    "gates": recorded([COUNTED, MERGED]),
}
FACTS: dict[str, dict[str, Any]] = {
    "data": {
        "language": "de",
        "licences": {"our own": 1500},
        "generator": {},
        "balance": {},
        "decontamination": {},
        "unfilled": [],
        "special_tokens": "of common families",
        "preflight": {"said": "no tokenizer yet"},
    },
    "base": {"parameters": 1_800_000, "gates": recorded([NOT_FINITE])},
    "sft": LORA,
    "dpo": LORA | {"gates": recorded([COUNTED, MARGIN, LOG_PROB, MERGED])},
    "mcq": LORA,
    "export": {"from": "mcq", "bytes": {}, "gates": recorded(GATES)},
    "eval": {"reference": "rewards are measured against the merged weights of stage `sft`"},
}


def _make_stage(run: Run, recipe: Recipe, stage: str, scores: list[Score]) -> None:
    folder = run.folder(stage)
    outputs = _outputs(folder, recipe, stage, scores)
    at = f"2026-11-22T10:{MINUTE[stage]:02d}:"
    write_manifest(
        run,
        stage,
        outputs,
        key="0" * 64,
        counts=STAGE_COUNTS[stage],
        facts=FACTS[stage],
        git_commit="abcdef0123456789",
        versions={"python": "3.11.9", "torch": "2.13.0"},
        hardware={"machine": "x86_64", "cores": 2},
        start=at + "00+00:00",
        end=at + "48+00:00",
    )


def _outputs(folder: Path, recipe: Recipe, stage: str, scores: list[Score]) -> dict[str, str]:
    if stage == "data":
        write_jsonl(folder / "dropped.jsonl", [])
        write_json(folder / "statistics.json", STATISTICS)
        return {"dropped": "dropped.jsonl", "statistics": "statistics.json"}
    if stage == "eval":
        write_json(folder / "results.json", [score.model_dump() for score in scores])
        return {"results": "results.json"}
    if stage == "export":
        write_json(folder / "gates.json", recorded(GATES))
        return {name: _weights(folder, name) for name in recipe.exported()} | {
            "gates": "gates.json"
        }
    write_jsonl(folder / "history.jsonl", history(preference=stage == "dpo"))
    return {"merged": _weights(folder, stage, "merged"), "history": "history.jsonl"}


def _weights(folder: Path, variant: str, name: str | None = None) -> str:
    (folder / (name or variant)).mkdir(parents=True, exist_ok=True)
    content = (variant.encode() * 1000)[:1000] * KILOBYTES[variant]
    (folder / (name or variant) / "model.safetensors").write_bytes(content)
    return name or variant
