"""The model on paper, every formula by hand on round figures.

The table in bench/README.md is compared with what it makes.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.cluster import (
    GEMMA_2B_DPO,
    GLOBAL_PAIRS,
    Machine,
    exchanged,
    forecast,
    gathered,
    rounds,
    step_seconds,
    table,
)
from stemma import ROOT

FREE = Machine(nvlink_latency=0, infiniband_latency=0, overhead=0)


def test_a_ring_sends_all_but_a_rank_s_own_part() -> None:
    assert gathered(1, 80) == 0
    assert gathered(8, 80) == 70


def test_bytes_by_hand() -> None:
    # 8 ranks, 80 bytes of gradients, 800 of spread weights.
    assert exchanged(8, 0, 80, 800) == 2 * 70
    assert exchanged(8, 1, 80, 800) == exchanged(8, 2, 80, 800) == exchanged(8, 0, 80, 800)
    assert exchanged(8, 3, 80, 800) == 2 * 700 + 70
    assert [exchanged(1, zero, 80, 800) for zero in range(4)] == [0, 0, 0, 0]


def test_messages_by_hand() -> None:
    assert rounds(8, 0, 18) == 14
    assert rounds(8, 3, 18) == 7 * 37
    assert rounds(1, 3, 18) == 0


def test_the_slowest_link_decides() -> None:
    assert Machine().link(8) == (450e9, 5e-6)
    assert Machine().link(9) == (50e9, 20e-6)


def test_one_gpu_s_step_by_hand() -> None:
    # 4 pairs are 2,800 tokens, 1,600 of them answers'. Forward of a token:
    # 2 x 1,981,808,640 + 2 x 18 x 350 x 2,048, of an answer's also 2 x 524,288,000.
    # Three forwards less the frozen products' gradient, a third of the
    # reference's forward, and 6 x 921,600 of the adapter.
    dense = 2800 * 2 * 1_981_808_640 + 1600 * 2 * 524_288_000
    attention = 2800 * 2 * 18 * 350 * 2048
    flops = 3 * (dense + attention) - dense + 2800 * 6 * 921_600 + (dense + attention) / 3
    assert step_seconds(FREE, GEMMA_2B_DPO, 1, 4, 1) == pytest.approx(flops / (790e12 * 0.45))


def test_exchange_adds_to_the_step() -> None:
    alone = step_seconds(FREE, GEMMA_2B_DPO, 1, 4, 1)
    eight = step_seconds(FREE, GEMMA_2B_DPO, 8, 4, 1)
    assert eight - alone == pytest.approx(2 * 7 / 8 * 4 * 921_600 / 450e9)
    waiting = step_seconds(replace(FREE, infiniband_latency=1e-3), GEMMA_2B_DPO, 64, 4, 1)
    assert waiting - step_seconds(FREE, GEMMA_2B_DPO, 64, 4, 1) == pytest.approx(2 * 63 * 1e-3)


def test_efficiency_by_hand() -> None:
    # Nothing but 20 ms of overhead in the way: 64 pairs alone take 16 shares of 4, on 16 GPUs one
    # share each.
    machine = Machine(
        nvlink_bytes=1e30, infiniband_bytes=1e30, nvlink_latency=0, infiniband_latency=0
    )
    share = step_seconds(FREE, GEMMA_2B_DPO, 1, 4, 1)
    assert forecast(machine, GEMMA_2B_DPO, 16, 1, fixed_global=False).efficiency == pytest.approx(1)
    spread = forecast(machine, GEMMA_2B_DPO, 16, 1, fixed_global=True)
    assert GLOBAL_PAIRS / 16 == spread.pairs == 4
    assert spread.efficiency == pytest.approx((16 * share + 0.02) / (16 * (share + 0.02)))


def test_the_published_table_is_the_one_made() -> None:
    readme = (ROOT / "bench" / "README.md").read_text(encoding="utf-8")
    assert "\n".join(table(Machine(), GEMMA_2B_DPO)) in readme
