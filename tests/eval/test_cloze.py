"""Multiple choice without its options in view: each option's text is scored behind the question."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

import eval.run
from eval.backends import open_backend
from eval.cells import cell_of, decisive
from eval.job import Variant
from eval.run import run
from eval.task import Setting
from eval.tasks.mcq import TASK
from stemma.jsonl import read_dicts, read_json, write_jsonl
from stemma.recipe.eval_tasks import McqTask
from stemma.recipe.evaluation import EvalSection
from stemma.rows import McqRow
from stemma.stages import Work
from stemma.templates import Template
from tests.eval.encyclopaedia import retrieval
from tests.eval.servers.tiny_server import TinyServer, log_prob, serving
from tests.factories.manifests import write_manifest
from tests.factories.models import TEMPLATE, make_gemma
from tests.factories.run_to_score import make_recipe, make_work

CLOZE = {"task": "mcq", "formulation": "cloze"}
OPTIONS = McqTask(task="mcq", formulation="cloze")


def sample(row: str, choices: list[str], *values: float) -> dict[str, Any]:
    found = {"id": row, "ids_digest": "x", "subject": "s", "answer": "B", "choices": choices}
    return found | {"log_probs": dict(zip("ABCD", values, strict=False))}


def test_accuracy_by_sum_and_by_character_by_hand() -> None:
    samples = [
        # A by its sum; B by character: -0.5 against -0.3.
        sample("1", ["10", "hundred"], -1.0, -2.1),
        # B by both: -1 against -0.25.
        sample("2", ["ab", "cdef"], -2.0, -1.0),
        # A by both.
        sample("3", ["abc", "all of the above"], -0.3, -16.0),
    ]
    found = TASK.score_records(samples, [], 1, 0.1, OPTIONS)
    values = {metric.name: metric.value for metric in found.metrics}
    assert values["accuracy"] == pytest.approx(1 / 3)
    assert values["normalised_accuracy"] == pytest.approx(2 / 3)
    assert found.right["normalised_accuracy"] == {"1": True, "2": True, "3": False}
    assert found.facts["questions whose choices mean others"] == 1
    assert [row["picked"] + row["picked_by_length"] for row in found.samples] == ["AB", "BB", "AA"]
    assert {row["formulation"] for row in found.samples} == {"cloze"}
    listed = TASK.score_records(samples, [], 1, 0.1, McqTask(task="mcq"))
    assert "formulation" not in listed.samples[0]
    assert set(listed.right) == {"accuracy"}


def test_each_choice_is_scored_behind_the_bare_question(tmp_path: Path) -> None:
    """Token by token, each by the distribution that the model gives behind the text before it."""
    folder = make_gemma(tmp_path / "model", hidden=32, layers=2)
    backend = open_backend("hf", str(folder), "<eos>", 1)
    value = {"id": "m", "source": "s", "question": "Force?", "choices": ["10 N", "ten newtons"]}
    row = McqRow.model_validate(value | {"answer": "B"})
    setting = Setting(Template.read(TEMPLATE, folder), OPTIONS, [row], folder, 0.0)
    [found] = TASK.measure(backend, setting)
    prompt = backend.tokenize("<bos>Question: Force?\n\nAnswer:")
    for letter, choice in zip("AB", row.choices, strict=True):
        ids = backend.tokenize(f"<bos>Question: Force?\n\nAnswer: {choice}")
        assert ids[: len(prompt)] == prompt
        behind = backend.distributions(ids[:-1], len(prompt) - 1)
        alone = behind[np.arange(len(behind)), ids[len(prompt) :]].sum()
        assert found.log_probs[letter] == pytest.approx(float(alone), abs=1e-4)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"generate": True}, "generate: a reply picks an option in view"),
        ({"permute": 7}, "permute: `formulation: cloze` shows no options"),
    ],
)
def test_what_needs_options_in_view_is_refused(options: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        McqTask.model_validate(CLOZE | options)


def variant() -> Variant:
    value = {"name": "v", "kind": "gguf", "weights": "w", "digest": "d", "made_by": None}
    return Variant.model_validate(value | {"template": "t", "bos": "", "eos": "", "threads": 1})


def test_recipes_without_it_keep_their_keys_and_what_was_measured() -> None:
    section = EvalSection.model_validate({"variants": ["base"], "tasks": [{"task": "mcq"}]})
    kept = {"limit", "generate", "max_new_tokens", "permute", "permutations", "task"}
    [content] = section.content()["tasks"]
    assert set(content) == kept
    options = decisive(variant(), McqTask(task="mcq"))["options"]
    assert set(options) == kept - {"limit", "task"}
    cells = [cell_of(variant(), one, Path(), None) for one in (McqTask(task="mcq"), OPTIONS)]
    assert cells[0].folder != cells[1].folder
    assert cells[1].model_validate_json(cells[1].model_dump_json()).options == OPTIONS


def make_arms(root: Path) -> Work:
    variants = ["merged", "bnb-int8", "gguf-F16", "gguf-F16+gold"]
    work = make_work(root, make_recipe(["merged", "bnb-int8", "gguf-F16"], [CLOZE]))
    path = work.input("data", "mcq/test")
    rows = read_dicts(path)
    for number, row in enumerate(rows):
        row["meta"] |= {"passage": f"sum-{number}"}
        row["answer_as"] = "text"
    write_jsonl(path, rows)
    names = [f"{name}/test" for name in ("sft", "dpo", "mcq")]
    write_manifest(work.run, "data", {name: f"{name}.jsonl" for name in names})
    section = work.recipe.eval.model_copy(update={"variants": variants})
    recipe = work.recipe.model_copy(update={"evaluated_by": section})
    return Work(recipe, work.run, "eval", say=lambda _: None)


@pytest.mark.slow
def test_every_engine_and_arm_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eval.run, "open_retrieval", lambda _: retrieval())
    work = make_arms(tmp_path)
    run(work)
    metrics = {(one["variant"], one["metric"]) for one in read_json(work.folder / "results.json")}
    rows = {
        name: read_dicts(work.folder / f"samples/{name}/mcq.jsonl")
        for name in work.recipe.eval.variants
    }
    for name, found in rows.items():
        assert (name, "normalised_accuracy") in metrics
        assert all(row["formulation"] == "cloze" for row in found)
    assert ("gguf-F16+gold", "normalised_accuracy_minus_closed_book") in metrics
    for ours, theirs in zip(rows["merged"], rows["gguf-F16"], strict=True):
        assert ours["ids_digest"] == theirs["ids_digest"]
        assert theirs["log_probs"] == pytest.approx(ours["log_probs"], abs=0.05)
    assert rows["gguf-F16+gold"][0]["ids_digest"] != rows["gguf-F16"][0]["ids_digest"]
    [file] = (tmp_path / "measured/contexts").glob("mcq+gold-*/rows.jsonl")
    question = read_dicts(file)[1]["question"]
    assert question.startswith("Read the passages below")
    assert "With 1 the sum 1 + 1 is 2" in question
    assert question.endswith("What is 1 + 1?"), "no options in what the model reads"


def test_a_server_is_asked_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVED_KEY", "sk-of-the-test-1234567890")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = {"model": "tiny", "api_key_env": "SERVED_KEY", "tasks": ["mcq"]}
    with serving(TinyServer(adds_bos=True)) as base_url:
        served = {"served": server | {"base_url": base_url}}
        work = make_work(tmp_path, make_recipe(["served"], [CLOZE], servers=served))
        run(work)
    shown = read_dicts(work.folder / "samples/served/mcq.jsonl")
    assert len(shown) == 6
    for found in shown:
        prompt = f"<bos>Question: What is {found['id'][1:]} + 1?\n\nAnswer:"
        for letter, choice in zip("ABCD", found["choices"], strict=True):
            answer = f" {choice}"
            alone = sum(log_prob(prompt + answer[:n], token) for n, token in enumerate(answer))
            assert found["log_probs"][letter] == pytest.approx(alone)
