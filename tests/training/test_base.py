"""The base model made on the spot."""

from __future__ import annotations

from pathlib import Path

from stemma.training.base import train_tokenizer

TEXTS = [f"Force number {number} is mass times acceleration." for number in range(50)]


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
