"""A model on paper of gemma2b's DPO on many GPUs: step time and efficiency.

`python -m bench.cluster`. A calculation.

step = overhead + FLOPs of a GPU's share / (peak x utilisation) + bytes exchanged; nothing overlaps,
no rank waits for another's longer batch, and data is never short. The figures of the machine are
`Machine`'s defaults.
"""

from __future__ import annotations

from dataclasses import dataclass

from stemma.plan.costs import training_flops
from stemma.plan.settings import CostSettings
from stemma.shapes import PUBLISHED, parse
from stemma.table import markdown

EPOCHS = 3
TOKENS_A_SIDE = 350
ANSWER = 200
"""The report's run; 350 tokens are a prompt of 150 with an answer of 200."""
GLOBAL_PAIRS = 64
PAIRS_A_GPU = 4
"""The least global batch that is fixed for all numbers of GPUs, up to 64.

The recipe's batch of 4 cannot be cut over more than 4.
"""
FP32 = 4
GEMMA_2B_DPO = CostSettings(
    shapes=parse(PUBLISHED["google/gemma-2b"], "published shapes"),
    rank=8,
    targets=("q_proj", "v_proj"),
    preference=True,
    precomputed=True,
    checkpointing=False,
    logits="stemma",
    length=1024,
    sequences=8,
    bytes=2,
    quantised=None,
    moments=8,
    zero=1,
    gpus=1,
    answers=ANSWER / TOKENS_A_SIDE,
)


@dataclass(frozen=True)
class Machine:
    """Nodes of 8 H200.

    Peak: measured matrix products. Utilisation: the goal of bench/README.md. Links, one direction a
    GPU: NVLink 4 (900 GB/s both ways, NVIDIA's data sheet) and one 400 Gb/s InfiniBand port.
    Latencies and the overhead (kernel launches, optimizer) are round guesses.
    """

    flops: float = 790e12
    utilisation: float = 0.45
    gpus_a_node: int = 8
    nvlink_bytes: float = 450e9
    infiniband_bytes: float = 50e9
    nvlink_latency: float = 5e-6
    infiniband_latency: float = 20e-6
    overhead: float = 0.02

    def link(self, gpus: int) -> tuple[float, float]:
        """Bytes a second and latency of a ring's slowest link, which sets its pace."""
        if gpus <= self.gpus_a_node:
            return self.nvlink_bytes, self.nvlink_latency
        return self.infiniband_bytes, self.infiniband_latency


def gathered(count: int, size: float) -> float:
    """Bytes a rank sends in a ring's all-gather, or reduce-scatter, of `size` bytes in all.

    That is (N - 1) / N of them.
    """
    return (count - 1) / count * size


def exchanged(gpus: int, zero: int, trained: float, spread: float) -> float:
    """Bytes a rank sends in one step.

    `trained`: of gradients (and of the weights they change); `spread`: of the weights that ZeRO-3
    spreads over the ranks.

    ZeRO-0 reduces gradients on all: a reduce-scatter and an all-gather, 2(N-1)/N (Patarasuk & Yuan
    2009). ZeRO-1 and 2 reduce-scatter gradients and gather the changed weights: as much
    (Rajbhandari et al. 2020, section 7). ZeRO-3 gathers the weights for the forward and again for
    the backward, and reduce-scatters gradients.
    """
    if zero < 3:
        return 2 * gathered(gpus, trained)
    return 2 * gathered(gpus, spread) + gathered(gpus, trained)


def rounds(gpus: int, zero: int, layers: int) -> int:
    """Messages a rank sends one after the other.

    A collective has N - 1; ZeRO-3 has two gathers a layer.
    """
    return (gpus - 1) * (2 if zero < 3 else 2 * layers + 1)


def step_seconds(
    machine: Machine, training: CostSettings, gpus: int, pairs: float, zero: int
) -> float:
    """One optimizer step in which each GPU has `pairs` pairs."""
    tokens = 2 * TOKENS_A_SIDE * pairs
    compute = training_flops(training, tokens, EPOCHS, TOKENS_A_SIDE) / (
        machine.flops * machine.utilisation
    )
    trained = FP32 * training.trainable
    weights = training.bytes * training.shapes.parameters()
    bandwidth, latency = machine.link(gpus)
    sent = exchanged(gpus, zero, trained, weights + trained)
    waiting = rounds(gpus, zero, training.shapes.layers) * latency
    return machine.overhead + compute + sent / bandwidth + waiting


@dataclass(frozen=True)
class Forecast:
    gpus: int
    zero: int
    pairs: float
    sent: float
    seconds: float
    efficiency: float
    """Of fixed global batch: one GPU's time for all of it / (N x this).

    Of a fixed share: one GPU's time / this.
    """


def forecast(
    machine: Machine, training: CostSettings, gpus: int, zero: int, fixed_global: bool
) -> Forecast:
    pairs = GLOBAL_PAIRS / gpus if fixed_global else float(PAIRS_A_GPU)
    seconds = step_seconds(machine, training, gpus, pairs, zero)
    alone = step_seconds(machine, training, 1, GLOBAL_PAIRS if fixed_global else PAIRS_A_GPU, 0)
    trained = FP32 * training.trainable
    sent = exchanged(gpus, zero, trained, training.bytes * training.shapes.parameters() + trained)
    return Forecast(
        gpus, zero, pairs, sent, seconds, alone / (gpus if fixed_global else 1) / seconds
    )


def table(machine: Machine, training: CostSettings) -> list[str]:
    """Markdown, as it stands in bench/README.md."""
    heads = (
        "batch",
        "GPUs",
        "ZeRO",
        "pairs a GPU",
        "MB sent a GPU and step",
        "ms a step",
        "pairs/s",
        "efficiency",
    )
    cases = [(True, gpus, zero) for gpus in (1, 8, 64) for zero in ((1, 3) if gpus > 1 else (1,))]
    cases += [(False, gpus, zero) for _, gpus, zero in cases]
    found = [(fixed, forecast(machine, training, gpus, zero, fixed)) for fixed, gpus, zero in cases]
    return markdown(heads, [_row(fixed, cast) for fixed, cast in found])


def _row(fixed: bool, cast: Forecast) -> tuple[str, ...]:
    batch = f"{GLOBAL_PAIRS} pairs in all" if fixed else f"{PAIRS_A_GPU} pairs a GPU"
    zero = "–" if cast.gpus == 1 else str(cast.zero)
    pace = f"{cast.pairs * cast.gpus / cast.seconds:,.0f}"
    sent = f"{cast.sent / 1e6:,.1f}"
    took = f"{cast.seconds * 1e3:,.0f}"
    return (
        batch,
        str(cast.gpus),
        zero,
        f"{cast.pairs:g}",
        sent,
        took,
        pace,
        f"{cast.efficiency:.0%}",
    )


if __name__ == "__main__":
    print("\n".join(table(Machine(), GEMMA_2B_DPO)))
