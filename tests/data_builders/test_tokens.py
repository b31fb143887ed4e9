"""The preflight and the picture, on a real tokenizer."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from data_builders.drafts import Draft, Placed
from data_builders.tokens import LATER, picture, preflight
from stemma import ROOT
from stemma.errors import GateFailed
from stemma.recipe import Recipe
from stemma.rows import PreferenceRow, Split
from stemma.runs import Run
from stemma.tokenizer import find_tokenizer, load_tokenizer
from stemma.training_rows import Sample
from tests.models import tiny_model

RUN = Run(Path("runs/none"))
SMALL: dict[str, Any] = {
    "name": "small",
    "base_model": "nobody/nothing",
    "chat_template": "templates/qa.jinja",
    "path": ROOT / "recipes" / "small.yml",
    "train": {"sequence_len": 20},
    "dpo": {"start_from": "base"},
    "data": {"dpo": {"sources": [{"source": "stem_exercises"}]}},
    "export": {"from": "base", "gguf": {"types": ["F16"]}, "ship": "gguf-F16"},
    "eval": {"variants": ["base"], "tasks": [{"task": "mcq"}]},
}


def make_recipe(**changes: Any) -> Recipe:
    return Recipe.model_validate(SMALL | changes)


def pair(chosen: str, rejected: str, part: Split = "train") -> Placed:
    row = PreferenceRow(id="r1", source="s", question_id="q", prompt="1 + 2?", chosen=chosen, rejected=rejected)
    return Placed("dpo: s", "dpo", part, "k", "k", False, Draft("w", "k", {}), row)


def test_rows_and_tokens_are_counted_per_set_and_part() -> None:
    rows = [pair("3", "4"), pair("3", "4 " * 30), pair("5", "6", "validation"), pair("7", "8", "test")]
    found = preflight(make_recipe(base_model=str(tiny_model())), RUN, rows)
    assert set(found) == {"template", "tokenizer", "dpo/train", "dpo/validation"}
    counts = found["dpo/train"]
    assert (counts["rows"], counts["left_out_longer_than_sequence_len"], counts["sequence_len"]) == (1, 1, 20)
    assert counts["trained_tokens"] == 2 * 3  # of each answer: the blank, the digit, <eos>
    assert found["dpo/validation"]["rows"] == 1


def test_a_row_that_is_not_what_the_template_says_fails_the_build() -> None:
    with pytest.raises(GateFailed, match=r"1 of 2 sequences .* r1: 2 stop tokens in the answer"):
        preflight(make_recipe(base_model=str(tiny_model())), RUN, [pair("3", "4 <eos> 5")])


def test_without_a_tokenizer_it_says_when_the_proof_runs() -> None:
    assert preflight(make_recipe(), RUN, [pair("3", "4")]) == {"said": LATER}


def test_the_tokenizer_is_looked_for_on_this_machine_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    assert find_tokenizer(make_recipe(), RUN) is None
    assert find_tokenizer(make_recipe(base_model="../no/such/folder"), RUN) is None
    assert find_tokenizer(make_recipe(base_model=str(tmp_path)), RUN) is None
    assert find_tokenizer(make_recipe(base_model=str(tiny_model())), RUN) == tiny_model() / "tokenizer.json"


def test_a_model_made_on_the_spot_has_its_tokenizer_once_it_is_made(tmp_path: Path) -> None:
    made = {"base_model": None, "base": {"model": {}, "tokenizer": {"vocab_size": 300}}}
    run = Run(tmp_path / "small")
    assert find_tokenizer(make_recipe(**made), run) is None
    path = tmp_path / "small/base/merged/tokenizer.json"
    path.parent.mkdir(parents=True)
    shutil.copyfile(tiny_model() / "tokenizer.json", path)
    assert find_tokenizer(make_recipe(**made), run) == path


def test_a_picture_marks_what_is_trained() -> None:
    tokenizer = load_tokenizer(tiny_model() / "tokenizer.json")
    [line] = picture(Sample("a", "<bos>1 +", (" 2<eos>",)), tokenizer)
    assert line == "6 tokens, 3 trained: <bos>|1|▁+ [[ ▁|2|<eos> ]]"
