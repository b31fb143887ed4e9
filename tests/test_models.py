"""stemma.models: tile by tile the model says what it says at once, never holding more logits than a
tile; and two models are compared by figures worked out by hand."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from stemma import models
from tests.factories.models import make_gemma, tiny_model
from tests.held import Held

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
    ours, theirs = (
        models.load_model(folder),
        AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32),
    )
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
    torch.testing.assert_close(
        models.log_probs(model, models.hidden_of(model, IDS), where, tokens), expected
    )


@pytest.mark.parametrize("cap", [0.5, None])
def test_what_comes_behind_the_head_is_kept(cap: float | None, tmp_path: Path) -> None:
    from transformers import Gemma2Config, Gemma2ForCausalLM

    torch.manual_seed(0)
    sizes = {
        "vocab_size": 64,
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "head_dim": 8,
    }
    heads = {"num_attention_heads": 2, "num_key_value_heads": 1, "initializer_range": 0.5}
    Gemma2ForCausalLM(Gemma2Config(**sizes, **heads, final_logit_softcapping=cap)).save_pretrained(
        tmp_path
    )
    gemma2 = models.load_model(tmp_path)
    found = models.logits_of(gemma2, models.hidden_of(gemma2, [1, 2, 3]))
    with torch.no_grad():
        torch.testing.assert_close(found, gemma2(torch.tensor([[1, 2, 3]])).logits[0])
    assert (found.abs().max() <= 0.5) == bool(cap)


QUARTERS = np.log(np.array([[0.75, 0.25]], dtype=np.float32))
HALVES = np.array([[3.0, 3.0]], dtype=np.float32)
FROM_HALVES = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
"""KL(quarters || halves): 0.75 ln(0.75 / 0.5) + 0.25 ln(0.25 / 0.5)."""


def test_compare_counts_positions_and_agreement() -> None:
    one = [torch.tensor([[0.0, 0.0], [10.0, 0.0]])]
    other = [torch.tensor([[0.0, 0.0], [0.0, 10.0]])]
    agreement = models.compare(zip(one, other, strict=True))
    # Position 1 agrees (KL 0). Position 2: p = (s, 1-s), q = (1-s, s), s = 1/(1+e^-10):
    # KL = (2s - 1) * 10.
    assert agreement.kl == pytest.approx((2 / (1 + 2.718281828**-10) - 1) * 10 / 2, rel=1e-6)
    assert (agreement.top1, agreement.positions, agreement.max_difference) == (0.5, 2, 10.0)


def test_divergence_by_hand() -> None:
    assert models.compare([(QUARTERS, HALVES)]).kl == pytest.approx(FROM_HALVES, abs=1e-6)
    assert models.compare([(QUARTERS, QUARTERS)]).kl == pytest.approx(0.0, abs=1e-9)
    far = np.array([[1e4, 0.0]], dtype=np.float32)
    assert models.compare([(far, far)]) == models.Agreement(0.0, 0.0, 1.0, 1)


def test_half_of_the_tokens_flipped() -> None:
    found = models.compare([(QUARTERS, QUARTERS), (QUARTERS, QUARTERS[:, ::-1].copy())])
    # KL (0 + 0.5 ln 3) / 2, top-1 0.5
    assert found.kl == pytest.approx(0.25 * math.log(3), abs=1e-6)
    assert (found.top1, found.positions) == (0.5, 2)


def test_long_texts_are_compared_part_by_part() -> None:
    one = np.tile(QUARTERS, (20, 1))
    other = one.copy()
    other[15:] = HALVES
    found = models.compare([(one, other), (QUARTERS, QUARTERS)])
    assert found.kl == pytest.approx(FROM_HALVES * 5 / 21, abs=1e-6)
    assert (found.top1, found.positions) == (1, 21)


def test_a_nan_stays_whatever_follows() -> None:
    broken = np.array([[np.nan, 1.0]], dtype=np.float32)
    found = models.compare([(HALVES, broken), (HALVES, HALVES)])
    assert math.isnan(found.kl)
    assert math.isnan(found.max_difference)


def test_nothing_compared_is_an_error() -> None:
    with pytest.raises(ZeroDivisionError):
        models.compare([])


@pytest.mark.parametrize(("tie_nats", "top1"), [(0.0, 0.0), (0.05, 0.0), (0.15, 1.0)])
def test_tokens_that_are_nearly_equally_likely_may_count_as_one(
    tie_nats: float, top1: float
) -> None:
    comparison = models.LogitsCompared(tie_nats)
    comparison.add(torch.tensor([[0.1, 0.0]]), torch.tensor([[0.0, 0.1]]))
    assert comparison.agreement().top1 == top1


def test_of_many_texts_one_pair_is_held() -> None:
    def pairs() -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        for _ in range(20):
            yield torch.rand(32, 1000), torch.rand(32, 1000)

    with Held() as held:
        models.compare(pairs())
    # A pair is 256 KB, with the next one in the making 512; of COMPARED rows there are some arrays
    # in float64.
    assert (
        held.most < 2 * 2 * 32 * 1000 * 4 + 6 * models.COMPARED * 1000 * 8 < 20 * 2 * 32 * 1000 * 4
    )


def test_a_folder_is_loaded_as_it_is_stored(tmp_path: Path) -> None:
    folder = make_gemma(tmp_path / "half", hidden=32, dtype="bfloat16")
    assert models.load_as_stored(folder, "cpu").dtype == torch.bfloat16
