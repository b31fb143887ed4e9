"""A model made on the spot: what is told before it is pretrained."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from stemma.errors import UserError
from stemma.jsonl import write_json
from stemma.recipe.load import load
from stemma.runs import Run
from stemma.stages import Work
from stemma.training.base import train_tokenizer, warn

Write = Callable[..., Path]
TEXTS = [f"Force number {number} is mass times acceleration." for number in range(50)]


def test_a_corpus_of_more_characters_than_pieces(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        train_tokenizer(["abcdef"] * 9, 372, tmp_path)
    assert str(caught.value) == (
        "base.tokenizer.vocab_size: 372 pieces, and the corpus needs 373 before its first word\n"
        "  expected: at least 373\n  hint: set it to 746 or more"
    )


def test_a_corpus_that_gives_fewer_pieces_than_asked_for(
    write_recipe: Write, tmp_path: Path
) -> None:
    write_recipe()
    said: list[str] = []
    work = Work(load("small"), Run(tmp_path / "runs" / "small"), "base", said.append)
    write_json(tmp_path / "config.json", {"vocab_size": 391})
    warn(work, tmp_path, {"rows": 100, "tokens": 9000})
    assert said == [
        "warning: base: the corpus gives 391 pieces of the 400 asked for; hint: more text, or a "
        "smaller `base.tokenizer.vocab_size`"
    ]


def test_a_tokenizer_is_the_same_bytes_wherever_it_is_made(tmp_path: Path) -> None:
    near, far = tmp_path / "near", tmp_path / "far" / "away"
    for folder in (near, far):
        folder.mkdir(parents=True)
        assert train_tokenizer(TEXTS, 450, folder) == 450
    names = sorted(path.name for path in near.iterdir())
    assert names == ["tokenizer.json", "tokenizer.model", "tokenizer_config.json"]
    for name in names:
        assert (near / name).read_bytes() == (far / name).read_bytes()
    assert str(tmp_path).encode() not in (near / "tokenizer.model").read_bytes()
