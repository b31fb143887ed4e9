"""Rows and tokens: estimated from limits, measured from data."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from stemma.jsonl import read_json, write_json, write_jsonl
from stemma.plan.amounts import Amount, amount, limits
from stemma.recipe.load import load
from stemma.rows import PreferenceRow
from stemma.runs import Run
from stemma.stages import Forecast
from tests.conftest import Write
from tests.factories.manifests import put_manifest
from tests.factories.models import tiny_model
from tests.factories.recipes import MADE


def test_before_any_data(write_recipe: Write, tmp_path: Path) -> None:
    run = Run(tmp_path / "runs" / "small")
    unlimited = load(write_recipe())
    assert amount(unlimited, run, "sft") == Amount(
        None, 150, 200, 512, "no `make data` yet, no limits; 350 tokens assumed"
    )
    sources = "path: train.jsonl, limit: 1000}\n    - {source: gsm8k, path: t, use: test}"
    limited = load(write_recipe(("path: train.jsonl}", sources)))
    # 5 % validate and 10 % test by default; what is all test trains nothing.
    assert limits(limited, "sft") == 850
    assert amount(limited, run, "sft") == Amount(
        850, 150, 200, 512, "limits of the recipe; 350 tokens assumed"
    )


def test_data_is_measured_in_characters(write_recipe: Write, tmp_path: Path) -> None:
    run = Run(tmp_path / "runs" / "small")
    pairs = [
        PreferenceRow(
            id="a", source="s", question_id="q", prompt="p" * 20, chosen="c" * 10, rejected="r" * 30
        )
    ]
    write_jsonl(run.folder("data") / "dpo/train.jsonl", pairs)
    put_manifest(run, "data", ["dpo/train.jsonl"])
    # "<bos>Question: " + 20 + "\n\nAnswer:" is 44 characters; with " " and "<eos>" the answers are
    # 16 and 36.
    assert amount(load(write_recipe()), run, "dpo") == Amount(
        1, 11, 6.5, 20, "data; 4 characters a token, no tokenizer"
    )


def test_rows_counted_from_the_sources(write_recipe: Write, tmp_path: Path) -> None:
    run, recipe = Run(tmp_path / "runs" / "small"), load(write_recipe())
    pair = PreferenceRow(
        id="a", source="s", question_id="q", prompt="p" * 20, chosen="c" * 10, rejected="r" * 30
    )
    counted = Forecast({"requests": 3}, {"dpo": [pair], "sft": []}, {"dpo": 3, "sft": 40})
    # As above; the generated rows are taken to be as long.
    origin = "sources, 3 to be generated; 4 characters a token, no tokenizer"
    assert amount(recipe, run, "dpo", counted) == Amount(4, 11, 6.5, 20, origin)
    assert amount(recipe, run, "sft", counted) == Amount(
        40, 150, 200, 512, "rows to be generated; 350 tokens assumed"
    )


def test_what_the_recipe_expects_counts_where_nothing_else_does(
    write_recipe: Write, tmp_path: Path
) -> None:
    expected = load(write_recipe(("  sft:\n", "  sft:\n    expected_rows: 28000\n")))
    run = Run(tmp_path / "runs" / "small")
    assert amount(expected, run, "sft") == Amount(
        28_000, 150, 200, 512, "expected by the recipe; 350 tokens assumed"
    )
    assert expected.section("data") == load(write_recipe()).section("data"), (
        "it makes nothing stale"
    )


def test_the_tokenizer_counts_where_it_is_there(write_recipe: Write, tmp_path: Path) -> None:
    from tokenizers import Tokenizer

    model = tiny_model()
    run = Run(tmp_path / "runs" / "small")
    recipe = load(write_recipe((MADE, f"base_model: {model}\n")))
    pair = PreferenceRow(
        id="a", source="s", question_id="q", prompt="1 + 1?", chosen="2", rejected="10 or 12"
    )
    found = amount(recipe, run, "dpo", Forecast({}, {"dpo": [pair]}, {"dpo": 0}))
    tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))

    def count(text: str) -> int:
        return len(tokenizer.encode(text, add_special_tokens=False).ids)

    prompt = count("<bos>Question: 1 + 1?\n\nAnswer:")
    chosen, rejected = count(" 2<eos>"), count(" 10 or 12<eos>")
    how = "sources; counted by the tokenizer"
    assert found == Amount(1, prompt, (chosen + rejected) / 2, prompt + rejected, how)


def test_the_template_has_the_models_own_tokens(write_recipe: Write, tmp_path: Path) -> None:
    """A model that begins with nothing: its `bos_token` is null, and no `<bos>` is counted."""
    model = tmp_path / "model"
    shutil.copytree(tiny_model(), model)
    config = read_json(model / "tokenizer_config.json")
    write_json(model / "tokenizer_config.json", config | {"bos_token": None})
    pair = PreferenceRow(
        id="a", source="s", question_id="q", prompt="1 + 1?", chosen="2", rejected="3"
    )
    counted = Forecast({}, {"dpo": [pair]}, {"dpo": 0})
    with_bos, without = (
        amount(
            load(write_recipe((MADE, f"base_model: {folder}\n"))),
            Run(tmp_path / "none"),
            "dpo",
            counted,
        )
        for folder in (tiny_model(), model)
    )
    assert with_bos.prompt - without.prompt == 1


def test_rows_too_long_to_train_are_not_counted(write_recipe: Write, tmp_path: Path) -> None:
    run, recipe = (
        Run(tmp_path / "runs" / "small"),
        load(write_recipe(("  lora_r: 8\n", "  lora_r: 8\n  sequence_len: 20\n"))),
    )
    pairs = [
        PreferenceRow(
            id=str(i),
            source="s",
            question_id="q",
            prompt="p" * 20,
            chosen="c" * 10,
            rejected="r" * n,
        )
        for i, n in enumerate((30, 31, 500, 20))
    ]
    found = amount(recipe, run, "dpo", Forecast({}, {"dpo": pairs}, {"dpo": 0}))
    # 44 + 36 characters are 20 tokens; with 31 it is one character too many. 16 and 36, 16 and 26
    # are left.
    assert (found.rows, found.prompt, found.longest) == (2, 11, 20)
    assert found.answer == pytest.approx((26 + 21) / 2 / 4)
    none = amount(recipe, run, "dpo", Forecast({}, {"dpo": pairs[2:3]}, {"dpo": 0}))
    assert (none.rows, none.tokens) == (0, pytest.approx(20))


def test_a_sample_of_many_rows_but_the_longest_of_all(write_recipe: Write, tmp_path: Path) -> None:
    pairs = [
        PreferenceRow(
            id=str(i),
            source="s",
            question_id="q",
            prompt="p" * 20,
            chosen="c",
            rejected="r" * (i == 4001) + "d",
        )
        for i in range(5000)
    ]
    found = amount(
        load(write_recipe()), Run(tmp_path), "dpo", Forecast({}, {"dpo": pairs}, {"dpo": 0})
    )
    # Every third row is looked at, of which 4001 is none. " c<eos>" is 7 characters, " rd<eos>" 8.
    assert (found.rows, found.answer, found.longest) == (5000, 7 / 4, (44 + 8) / 4)
    assert found.origin == "sources; 4 characters a token, no tokenizer, 1 row of 3 looked at"
