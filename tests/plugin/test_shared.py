"""A pair in one sequence behind its prompt."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from stemma.plugin import shared
from tests.factories.models import tiny_model
from tests.plugin.trainers import PLAIN, assert_alike, both, make_small

SHARED = PLAIN | {"shared_prompts": True}

# Pair 1: prompt 5 6, chosen 7, rejected 8 9. Pair 2: prompt 4, chosen 3 3, rejected 2.
BATCH = {
    "input_ids": torch.tensor([[5, 6, 7, 0], [4, 3, 3, 0], [5, 6, 8, 9], [4, 2, 0, 0]]),
    "attention_mask": torch.tensor([[1, 1, 1, 0], [1, 1, 1, 0], [1, 1, 1, 1], [1, 1, 0, 0]]),
    "completion_mask": torch.tensor([[0, 0, 1, 0], [0, 1, 1, 0], [0, 0, 1, 1], [0, 1, 0, 0]]),
}


def test_joined_by_hand() -> None:
    joined = shared.join(BATCH)
    assert joined.ids.tolist() == [[5, 6, 7, 8, 9], [4, 3, 3, 2, 0]]
    assert joined.positions[0].tolist() == [0, 1, 2, 2, 3]
    assert joined.positions[1, :4].tolist() == [0, 1, 2, 1]
    sees = joined.sees.int().tolist()
    assert sees[0][3] == [1, 1, 0, 1, 0], "the first rejected token sees the prompt and itself"
    assert sees[0][4] == [1, 1, 0, 1, 1]
    assert sees[1][2] == [1, 1, 1, 0, 0]
    assert sees[1][3] == [1, 0, 0, 1, 0]
    assert sees[1][4][4] == 1, "padding sees itself, so that its softmax is one of something"
    # The states before the answers: chosen at 1 | 0 1, rejected at 1 3 (token 8's) | 0.
    assert joined.places[:, :3].tolist() == [[0, 1, 2], [0, 1, 2], [0, 1, 3], [0, 3, 4]]


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("gemma", {}),
        ("gemma2", {"sliding_window": 8}),
        ("gemma3_text", {"sliding_window": 8, "num_hidden_layers": 7}),
        ("qwen3", {}),
        ("llama", {}),
    ],
)
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_equals_trl(tmp_path: Path, kind: str, changes: dict[str, int], attention: str) -> None:
    ours, stock = both(
        make_small(tmp_path / "start", kind, **changes), tmp_path, SHARED, attention=attention
    )
    assert_alike(ours, stock, 0, 1, 2, 3)
    assert ours.describe()["logps"] == "answers only, fp32, prompts shared"


@pytest.mark.parametrize("longest", [20, 30])
def test_equals_trl_when_answers_are_cut(tmp_path: Path, longest: int | None) -> None:
    ours, stock = both(tiny_model(), tmp_path, SHARED, max_length=longest)
    assert_alike(ours, stock, 0, 1, -1)
    assert_alike(ours, stock, -1)


def test_what_attends_otherwise_is_not_joined() -> None:
    plain = {"_attn_implementation": "sdpa", "model_type": "m"}
    assert shared.why_not(SimpleNamespace(**plain)) is None
    flash = SimpleNamespace(_attn_implementation="flash_attention_2")
    assert shared.why_not(flash) == "attention by flash_attention_2 takes no mask of its own"
    for other in ({"sliding_window": 8}, {"layer_types": ["chunked_attention"]}):
        assert (
            shared.why_not(SimpleNamespace(**plain, **other)) == "`m` attends in a way of its own"
        )
