"""Variants that are broken or have nothing to say, measured as the worker measures them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from eval.backends.hf import HuggingFace
from eval.job import Cell
from eval.measured import read_kept
from eval.task import Setting
from eval.tasks import TASKS
from eval.worker import measure, self_test
from stemma.errors import StageFailed
from stemma.jsonl import write_jsonl
from stemma.recipe.eval_tasks import TASK_OPTIONS
from stemma.templates import Template, answered
from tests.factories.models import TEMPLATE, make_gemma

Tensors = dict[str, torch.Tensor]
EMBEDDINGS = "model.embed_tokens.weight"
EOS = 1


def backend(folder: Path, change: Callable[[Tensors], None]) -> HuggingFace:
    """A tiny model whose weights a test has changed."""
    model = make_gemma(folder / "model", hidden=32, layers=1)
    tensors = load_file(model / "model.safetensors")
    change(tensors)
    save_file(tensors, model / "model.safetensors", {"format": "pt"})
    return HuggingFace(str(model), "<eos>", 1)


def cell(folder: Path, task: str, rows: list[dict[str, Any]], **options: Any) -> Cell:
    write_jsonl(folder / f"{task}.jsonl", rows)
    return Cell(
        options=TASK_OPTIONS[task].model_validate({"task": task} | options),
        limit=None,
        data=str(folder / f"{task}.jsonl"),
        folder=str(folder / "kept" / task),
    )


def measured(engine: HuggingFace, asked: Cell) -> dict[str, dict[str, Any]]:
    """What is kept after measuring, by the row's id."""
    setting: Setting[Any] = Setting(Template.read(TEMPLATE), asked.options, [], Path(), 0.0)
    measure(engine, asked, setting)
    return kept(asked)


def kept(asked: Cell) -> dict[str, dict[str, Any]]:
    fields = TASKS[asked.task].sample.model_fields
    return {sample["id"]: sample for sample in read_kept(Path(asked.folder), fields).values()}


def question(row: str, text: str) -> dict[str, Any]:
    messages = [message.model_dump() for message in answered(text, "4")]
    return {"id": row, "source": "s", "messages": messages, "meta": {"gold": "4"}}


def pair(row: str, text: str) -> dict[str, Any]:
    known = {"source": "s", "question_id": row, "prompt": text, "meta": {}}
    return known | {"id": row, "chosen": "2 + 2 = 4", "rejected": "It is 5"}


def silent(tensors: Tensors) -> None:
    """Every token is as likely as any other but the stop token, which is likelier."""
    for tensor in tensors.values():
        tensor.zero_()
    tensors[EMBEDDINGS].fill_(1.0)
    tensors[EMBEDDINGS][EOS] = 2.0


def blank(tensors: Tensors) -> None:
    """All tokens are equally likely, everywhere."""
    for tensor in tensors.values():
        tensor.zero_()


def damaged(tensors: Tensors) -> None:
    tensors["model.layers.0.mlp.down_proj.weight"][3, 5] = float("nan")


def refused_as_constant(engine: HuggingFace) -> None:
    """The worker stops at such weights; a model that does look at the text may reply the same."""
    with pytest.raises(StageFailed, match="predictions do not depend on the text"):
        self_test(engine, Template.read(TEMPLATE), "x")


def test_a_model_that_says_nothing_has_empty_replies_that_stopped(tmp_path: Path) -> None:
    engine = backend(tmp_path, silent)
    refused_as_constant(engine)
    asked = cell(tmp_path, "generation", [question("a", "2 + 2?")], max_new_tokens=6)
    [sample] = measured(engine, asked).values()
    assert (sample["reply"], sample["tokens"], sample["stopped"]) == ("", 1, True)
    scored = TASKS["generation"].score_records([sample], [], 1, 0.1)
    assert {metric.name: metric.value for metric in scored.metrics}["accuracy"] == 0
    assert scored.samples[0]["verdict"] != "right"


def test_a_model_that_never_stops_is_cut_and_counted(tmp_path: Path) -> None:
    """Its likeliest token is padding, the first of all that are equally likely."""
    engine = backend(tmp_path, blank)
    refused_as_constant(engine)
    asked = cell(tmp_path, "generation", [question("a", "2 + 2?")], max_new_tokens=6)
    [sample] = measured(engine, asked).values()
    assert (sample["reply"], sample["tokens"], sample["stopped"]) == ("", 6, False)
    scored = TASKS["generation"].score_records([sample], [], 1, 0.1)
    assert {metric.name: metric.value for metric in scored.metrics}["stopped"] == 0


def test_damaged_weights_fail_the_self_test(tmp_path: Path) -> None:
    engine = backend(tmp_path, damaged)
    with pytest.raises(StageFailed, match=r"^eval: x fails its self-test: log-probabilities are"):
        self_test(engine, Template.read(TEMPLATE), "x")


@pytest.mark.parametrize(
    ("task", "rows"),
    [
        ("generation", [question("fine", "2 + 2?"), question("hit", "2 + 2? Is it 7, 7 or 8?")]),
        ("preference", [pair("fine", "2 + 2?"), pair("hit", "2 + 2? Is it 7, 7 or 8?")]),
    ],
)
def test_damage_that_few_rows_meet_stops_at_them_and_keeps_the_others(
    tmp_path: Path, task: str, rows: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One token's embedding is no number; the head, which is the same matrix, is left whole."""
    monkeypatch.setattr("eval.backends.hf.BATCH_TOKENS", 1)  # each row a batch of its own
    monkeypatch.setattr("eval.backends.hf.GROUP_BATCHES", 1)
    engine = backend(tmp_path, lambda _: None)
    [seven] = set(engine.tokenize("? 7, 7")) - set(engine.tokenize("? 2, 2 + 2?"))
    embedding = engine._model.get_input_embeddings()
    embedding.register_forward_hook(
        lambda _module, inputs, out: out.masked_fill((inputs[0] == seven)[..., None], float("nan"))
    )
    self_test(engine, Template.read(TEMPLATE), "x")
    asked = cell(tmp_path, task, rows)
    with pytest.raises(StageFailed, match="not finite; the weights are damaged"):
        measured(engine, asked)
    assert set(kept(asked)) == {"fine"}
