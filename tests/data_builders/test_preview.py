from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from data_builders.preview import preview
from stemma.errors import UserError
from stemma.recipe.models import Recipe
from stemma.runs import Run
from stemma.stages import execute
from tests.data_builders.small_recipe import make_dpo_recipe as make_recipe
from tests.data_builders.small_recipe import write_lines
from tests.factories.families import write_byte_tokenizer
from tests.factories.models import tiny_model

PAIRS = [
    {"prompt": "What is 1 + 2?", "chosen": "3\nof course", "rejected": "4"},
    {"prompt": "What is 1 + 3?", "chosen": "...", "rejected": "5"},
    {"prompt": "What is 1 + 4?", "chosen": "5", "rejected": "6"},
]
GENERATED = {"source": "generated_pairs", "limit": 2}


def recipe_on(folder: Path, **changes: Any) -> Recipe:
    write_lines(folder / "pairs.jsonl", *PAIRS)
    pairs = {"source": "preference_jsonl", "path": "pairs.jsonl", "use": "train"}
    generator = {"server": "scripted-expert", "model": "expert"}
    sets = {
        "dpo": {"sources": [pairs, GENERATED]},
        "corpus": {"sources": [{"source": "from_sets"}]},
    }
    return make_recipe(**{"data": {"root": str(folder), "generator": generator, **sets}, **changes})


def test_an_unbuilt_source_shows_its_first_rows_and_asks_nothing(tmp_path: Path) -> None:
    said = "\n".join(preview(recipe_on(tmp_path), Run(tmp_path / "runs/small"), None, 1))
    assert said == (
        "small: first rows of the sources, not yet built\n"
        "(no tokenizer yet: the same proof runs when training starts; rows as text, the "
        "trained part in [[ … ]])\n"
        "── corpus: from_sets "
        "───────────────────────────────────────────────────────────────────────────────\n"
        "  made of the other sets' training rows when the data are built\n"
        "\n"
        "── dpo: preference_jsonl pairs.jsonl "
        "───────────────────────────────────────────────────────────────\n"
        "  [1] pairs.jsonl:1\n"
        "    prompt:\n"
        "      What is 1 + 2?\n"
        "    chosen:\n"
        "      3\n"
        "      of course\n"
        "    rejected:\n"
        "      4\n"
        "    as text:\n"
        "      {bos_token}Question: What is 1 + 2?\\n\\nAnswer: [[  3\\nof course{eos_token} ]]\n"
        "      {bos_token}Question: What is 1 + 2?\\n\\nAnswer: [[  4{eos_token} ]]\n"
        "  dropped: empty answer (pairs.jsonl:2)\n"
        '      {"prompt": "What is 1 + 3?", "chosen": "...", "rejected": "5"}\n'
        "\n"
        "── dpo: generated_pairs "
        "────────────────────────────────────────────────────────────────────────────\n"
        "  written by the generator when the data are built; `--dry-run` of `data` says "
        "what that costs\n"
    )
    assert not (tmp_path / "runs").exists()


def test_with_a_tokenizer_rows_are_shown_as_tokens(tmp_path: Path) -> None:
    recipe = recipe_on(tmp_path, base_model=str(tiny_model()))
    lines = list(preview(recipe, Run(tmp_path / "runs/small"), "preference_jsonl", 2))
    tokens = [line for line in lines if "trained: <bos>|" in line]
    assert len(tokens) == 4
    assert all("[[ ▁|" in line and line.endswith("|<eos> ]]") for line in tokens)


def test_a_model_without_a_first_token_is_shown_without_one(tmp_path: Path) -> None:
    write_byte_tokenizer(tmp_path / "model", "qwen2")
    recipe = recipe_on(tmp_path, base_model=str(tmp_path / "model"))
    lines = list(preview(recipe, Run(tmp_path / "runs/small"), "preference_jsonl", 1))
    [_, second] = [line.strip() for line in lines if "trained: " in line]
    text = "Question: What is 1 + 2?"
    told = "36 tokens, 3 trained: " + "|".join(text).replace(" ", "Ġ")
    assert second == told + "|Ċ|Ċ|A|n|s|w|e|r|: [[ Ġ|4|<|endoftext|> ]]"


def test_a_finished_build_shows_what_was_written_and_what_was_dropped(tmp_path: Path) -> None:
    recipe = recipe_on(tmp_path)
    here = Run(tmp_path / "runs/small")
    execute(recipe, here, "data", lambda _: None)
    lines = list(preview(recipe, here, "preference_jsonl", 3))
    assert lines[0] == "small: rows of the finished build"
    assert "  [1] train · pairs.jsonl:1" in lines
    assert "  [2] train · pairs.jsonl:3" in lines
    assert "  dropped: empty answer (pairs.jsonl:2)" in lines
    changed = recipe_on(tmp_path, seed=7)
    assert (
        next(preview(changed, here, None, 1)) == "small: first rows of the sources, not yet built"
    )


def test_a_source_that_fills_no_set_is_the_users(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        list(preview(recipe_on(tmp_path), Run(tmp_path / "runs/small"), "gsm8k", 1))
    assert str(caught.value) == (
        "--source: `gsm8k` fills no set of `small`\n  expected: one of from_sets, "
        "generated_pairs, preference_jsonl"
    )


def test_a_file_that_another_source_lacks_hides_nothing(tmp_path: Path) -> None:
    write_lines(tmp_path / "pairs.jsonl", *PAIRS)
    pairs = {"source": "preference_jsonl", "path": "pairs.jsonl", "use": "train"}
    lacking = {"source": "gsm8k", "path": "missing.jsonl"}
    data = {"root": str(tmp_path), "dpo": {"sources": [pairs]}, "sft": {"sources": [lacking]}}
    recipe = make_recipe(data=data)
    run = Run(tmp_path / "runs/small")
    with pytest.raises(UserError, match=r"missing\.jsonl: no such file"):
        list(preview(recipe, run, "gsm8k", 1))
    assert "      What is 1 + 2?" in list(preview(recipe, run, "preference_jsonl", 1))


def test_the_models_own_special_tokens_are_refused_as_in_a_build(tmp_path: Path) -> None:
    recipe = recipe_on(tmp_path, base_model=str(tiny_model()))
    row = {"prompt": "What is <mask>?", "chosen": "3", "rejected": "4"}  # of no family's fixed list
    (tmp_path / "pairs.jsonl").write_text(json.dumps(row) + "\n")
    lines = list(preview(recipe, Run(tmp_path / "runs/small"), "preference_jsonl", 2))
    assert "  dropped: control token in content (pairs.jsonl:1)" in lines


def test_the_special_tokens_are_known_from_the_hub_cache_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = "0123456789012345678901234567890123456789"
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    shutil.copytree(tiny_model(), tmp_path / "hub/models--nobody--nothing/snapshots" / commit)
    row = {"prompt": "What is <mask>?", "chosen": "3", "rejected": "4"}
    for revision, known in ((commit, True), (commit.replace("0", "a"), False)):
        recipe = recipe_on(tmp_path, base_model="nobody/nothing", base_revision=revision)
        (tmp_path / "pairs.jsonl").write_text(json.dumps(row) + "\n")
        lines = list(preview(recipe, Run(tmp_path / "runs/small"), "preference_jsonl", 2))
        assert ("  dropped: control token in content (pairs.jsonl:1)" in lines) == known
