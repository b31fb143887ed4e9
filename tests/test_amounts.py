"""Rows and tokens: estimated from limits, measured from data."""

from __future__ import annotations

from pathlib import Path

from stemma.amounts import Amount, amount, limits
from stemma.jsonl import write_jsonl
from stemma.load import load
from stemma.rows import PreferenceRow
from stemma.runs import Run
from stemma.stages import Forecast
from tests.conftest import Write
from tests.test_train import put_manifest


def test_before_any_data(write_recipe: Write, tmp_path: Path) -> None:
    run = Run(tmp_path / "runs" / "small")
    unlimited = load(write_recipe())
    assert amount(unlimited, run, "sft") == Amount(None, 350, "no `make data` yet, no limits; 350 tokens assumed")
    sources = "path: train.jsonl, limit: 1000}\n    - {source: gsm8k, path: t, use: test}"
    limited = load(write_recipe(("path: train.jsonl}", sources)))
    # 5 % validate and 10 % test by default; what is all test trains nothing.
    assert limits(limited, "sft") == 850
    assert amount(limited, run, "sft") == Amount(850, 350, "limits of the recipe; 350 tokens assumed")


def test_data_is_measured_in_characters(write_recipe: Write, tmp_path: Path) -> None:
    run = Run(tmp_path / "runs" / "small")
    pairs = [PreferenceRow(id="a", source="s", question_id="q", prompt="p" * 20, chosen="c" * 10, rejected="r" * 30)]
    write_jsonl(run.folder("data") / "dpo/train.jsonl", pairs)
    put_manifest(run, "data", ["dpo/train.jsonl"])
    # "<bos>Question: " + 20 + "\n\nAnswer:" is 44 characters, " " and "<eos>" 6 more a side: 60 and 80 of four a token.
    assert amount(load(write_recipe()), run, "dpo") == Amount(1, 17.5, "data; 4 characters a token")


def test_rows_counted_from_the_sources(write_recipe: Write, tmp_path: Path) -> None:
    run, recipe = Run(tmp_path / "runs" / "small"), load(write_recipe())
    pair = PreferenceRow(id="a", source="s", question_id="q", prompt="p" * 20, chosen="c" * 10, rejected="r" * 30)
    counted = Forecast({"requests": 3}, {"dpo": [pair], "sft": []}, {"dpo": 3, "sft": 40})
    # As above: 17.5 tokens a side; the generated rows are taken to be as long.
    assert amount(recipe, run, "dpo", counted) == Amount(4, 17.5, "sources, 3 to be generated; 4 characters a token")
    assert amount(recipe, run, "sft", counted) == Amount(40, 350, "rows to be generated; 350 tokens assumed")


def test_what_the_recipe_expects_counts_where_nothing_else_does(write_recipe: Write, tmp_path: Path) -> None:
    expected = load(write_recipe(("  sft:\n", "  sft:\n    expected_rows: 28000\n")))
    run = Run(tmp_path / "runs" / "small")
    assert amount(expected, run, "sft") == Amount(28_000, 350, "expected by the recipe; 350 tokens assumed")
    assert expected.section("data") == load(write_recipe()).section("data"), "it makes nothing stale"
