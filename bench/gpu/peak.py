"""The speed of the device's matrix products: of a large square, and of the model's own shapes.

`python -m bench.gpu.peak`.

TFLOP/s, the median of several; a training's share is that of the square's.
"""

from __future__ import annotations

from statistics import median

import torch

from bench.dpo_setting import GEMMA_2B, Setting
from bench.gpu.device import finished, print_figures
from bench.gpu.needs import parse
from bench.gpu.settings import SMALL

TOKENS = 4096
SQUARE = 8192
REPEATS = 7
TIMES = 10


def shapes(setting: Setting, tokens: int, square: int) -> dict[str, tuple[int, int, int]]:
    """(rows, inner, columns) of a product by its name."""
    hidden = setting.hidden
    inner = setting.intermediate
    return {
        "square": (square, square, square),
        "q_proj": (tokens, hidden, hidden),
        "gate_proj": (tokens, hidden, inner),
        "down_proj": (tokens, inner, hidden),
        "head": (tokens, hidden, setting.vocabulary),
    }


def tflops(shape: tuple[int, int, int], setting: Setting) -> float:
    """The median over the repeats.

    Each is several products, so that starting them costs nothing.
    """
    rows, inner, columns = shape
    left = torch.randn(rows, inner, device=setting.device, dtype=setting.dtype)
    right = torch.randn(
        columns, inner, device=setting.device, dtype=setting.dtype
    ).T  # as a linear layer's weight
    rates = []
    for _ in range(REPEATS + 1):
        started = finished(setting.device)
        for _ in range(TIMES):
            torch.matmul(left, right)
        rates.append(
            2 * rows * inner * columns * TIMES / (finished(setting.device) - started) / 1e12
        )
    return median(rates[1:])  # the first chooses kernels


def main() -> None:
    arguments = parse(__doc__)
    setting, tokens, square = (SMALL, 256, 512) if arguments.small else (GEMMA_2B, TOKENS, SQUARE)
    dtype = str(setting.dtype).removeprefix("torch.")
    for name, shape in shapes(setting, tokens, square).items():
        print_figures(
            "peak",
            name=name,
            shape=shape,
            dtype=dtype,
            n=REPEATS,
            tflops=round(tflops(shape, setting), 4),
        )


if __name__ == "__main__":
    main()
