"""What the data foretell of the stages behind them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from data_builders.foresight import data_warnings, tokenizer_problems
from stemma.recipe.load import load
from tests.data_builders.placed_rows import pair, placed, sft

Write = Callable[..., Path]
STEPS = ("  lora_r: 8\n", "  lora_r: 8\n  micro_batch_size: 2\n  num_epochs: 3\n")


def test_stages_that_the_rows_are_too_few_for(write_recipe: Write) -> None:
    write_recipe(STEPS, ("dpo: {start_from: sft,", "dpo: {start_from: sft, warmup_steps: 6,"))
    recipe = load("small")
    rows = [sft("What?", "That."), *(pair(f"{n}?", "yes", "no") for n in range(4))]
    rows += [placed("corpus", text, text=text) for text in ("a", "b", "c")]
    few = "sft: 1 rows are fewer than the 2 of one step"
    first, second = data_warnings(recipe, rows, {"said": "no tokenizer yet"})
    assert first.startswith(few)
    assert second.startswith("dpo: 6 steps in all, and `warmup_steps: 6`: its learning rate is ")
    counted = {"dpo/train": {"rows": 5, "left_out_longer_than_sequence_len": 5, "tokens": 9}}
    told = list(data_warnings(recipe, rows, counted))
    assert [line.partition(" ")[0] for line in told] == ["sft:", "dpo:"]
    assert told[1].startswith("dpo: 5 of 10 rows are longer than `sequence_len: 512`")


def test_fewer_pieces_than_the_corpus_has_characters(write_recipe: Write) -> None:
    write_recipe(("vocab_size: 400", "vocab_size: 372"))
    recipe = load("small")
    rows = [placed("corpus", text, text=text) for text in ("abc", "cde\n")]
    assert list(tokenizer_problems(recipe, rows)) == [], "367 and five characters are 372"
    [problem] = tokenizer_problems(recipe, [*rows, placed("corpus", "f", text="f")])
    assert str(problem) == (
        "base.tokenizer.vocab_size: 372 pieces, and the corpus needs 373 before its first word\n"
        "  expected: at least 373\n  hint: set `base.tokenizer.vocab_size` to 746 or more"
    )
