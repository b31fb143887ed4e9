"""stemma.models: tile by tile the model says what it says at once, and never holds more logits than
a tile."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from stemma import models
from tests.factories.models import make_gemma, tiny_model

IDS = [2, 120, 130, 140, 150, 160, 170, 180, 190, 200, 210]


@pytest.fixture(scope="module")
def model() -> Any:
    return models.load_model(tiny_model())


@pytest.fixture
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three positions of the tiny model's 448 pieces."""
    monkeypatch.setitem(models.TILE_LOGITS, "cpu", 3 * 448)


def plain(folder: Path, ids: list[int]) -> torch.Tensor:
    from transformers import AutoModelForCausalLM

    with torch.no_grad():
        logits: torch.Tensor = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)(
            torch.tensor([ids])
        ).logits
    return logits[0]


def test_loads_what_transformers_loads(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    folder = make_gemma(tmp_path / "half", hidden=32, dtype="bfloat16")
    ours, theirs = models.load_model(folder), AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    assert ours.dtype == torch.float32
    assert ours.lm_head.weight is ours.model.embed_tokens.weight, "tied as in the config"
    found, expected = ours.state_dict(), theirs.state_dict()
    assert list(found) == list(expected)
    assert all(torch.equal(found[name], expected[name]) for name in found)


def test_logits_are_those_of_the_whole_model(model: Any) -> None:
    hidden = models.hidden_of(model, IDS)
    assert hidden.shape == (11, 256)
    torch.testing.assert_close(models.logits_of(model, hidden[4:7]), plain(tiny_model(), IDS)[4:7])


def test_log_probs_read_several_tokens_at_one_position(model: Any, small_tiles: None) -> None:
    where, tokens = torch.tensor([10, 0, 5, 5, 9]), torch.tensor([3, 7, 130, 447, 0])
    expected = plain(tiny_model(), IDS).log_softmax(-1)[where, tokens]
    torch.testing.assert_close(models.log_probs(model, models.hidden_of(model, IDS), where, tokens), expected)


@pytest.mark.parametrize("cap", [0.5, None])
def test_what_comes_behind_the_head_is_kept(cap: float | None, tmp_path: Path) -> None:
    from transformers import Gemma2Config, Gemma2ForCausalLM

    torch.manual_seed(0)
    sizes = {"vocab_size": 64, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "head_dim": 8}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 1, "initializer_range": 0.5}
    Gemma2ForCausalLM(Gemma2Config(**sizes, **heads, final_logit_softcapping=cap)).save_pretrained(tmp_path)
    gemma2 = models.load_model(tmp_path)
    found = models.logits_of(gemma2, models.hidden_of(gemma2, [1, 2, 3]))
    with torch.no_grad():
        torch.testing.assert_close(found, gemma2(torch.tensor([[1, 2, 3]])).logits[0])
    assert (found.abs().max() <= 0.5) == bool(cap)
