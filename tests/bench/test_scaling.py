"""The scaling bench's sums by hand.

Two real ranks exchange what the formula says (slow).
"""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.scaling import WARM, Run, expected_bytes, measured, table, train
from stemma.jsonl import read_json
from stemma.shapes import Shapes, parse
from tests.factories.models import make_gemma

CONFIG = {
    "model_type": "gemma",
    "vocab_size": 448,
    "hidden_size": 512,
    "intermediate_size": 1024,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 1,
    "head_dim": 128,
}
SHAPES: Shapes = parse(CONFIG, "the test")
TRAINED = 4 * 64 * (512 + 512 + 512 + 128)


def test_warm_steps_do_not_count() -> None:
    steps = [(float(second * 7), 0) for second in range(WARM - 1)] + [
        (100.0, 1000),
        (101.0, 3000),
        (104.0, 5000),
    ]
    assert measured(1, 2, steps) == Run(1, 2, 2 / 4.0, (5000 - 1000) / 2 / 2)


def test_expected_bytes_by_hand() -> None:
    assert expected_bytes(SHAPES, 0, 2) == expected_bytes(SHAPES, 2, 2) == 4 * TRAINED
    # ZeRO-3 spreads what has 100,000 values: all but k_proj and v_proj (512 x 128), and the
    # embedding (448 x 512).
    spread = 4 * (512 * 512 * 2 + 3 * 512 * 1024) + 448 * 512
    assert expected_bytes(SHAPES, 3, 2) == 4 * spread + 4 * TRAINED / 2 + 4 * TRAINED / 2
    assert expected_bytes(SHAPES, 3, 1) == 0


def test_the_speed_up_is_the_median_of_the_rounds_ratios() -> None:
    paces = [(1, 1.0), (2, 1.5), (1, 2.0), (2, 2.0), (1, 1.0), (2, 1.8)]
    runs = [Run(1, ranks, pace, 4.0 * TRAINED * (ranks - 1)) for ranks, pace in paces]
    kilobytes = f"{4 * TRAINED / 1e3:,.0f}"
    assert (
        table(runs, SHAPES)[2] == f"| 1 | 1.00 | 1.80 | 1.50 × | {kilobytes} | {kilobytes} | 1.00 |"
    )


@pytest.mark.slow
def test_two_real_ranks_exchange_the_gradients(tmp_path: Path) -> None:
    start = make_gemma(tmp_path, hidden=512, layers=4)
    run = train(start, (0, 2), WARM + 3)
    formula = expected_bytes(parse(read_json(start / "config.json"), "the test"), 0, 2)
    assert run.steps_a_second > 0
    assert 1 <= run.bytes_a_rank / formula < 1.5, "headers and metrics on top"
