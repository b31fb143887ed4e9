"""A LoRA step in float32 and in bfloat16 on this CPU.

`python -m bench.bfloat16` (--rounds, --layers) takes two minutes.

Random weights of SmolLM2-135M's shape, 4 x 256 tokens, LoRA of rank 8 on q_proj and v_proj,
forward, backward and AdamW in a plain torch loop; the dtypes take turns. The loss of the first step
tells how far bfloat16 is off.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM

from bench.conditions import conditions, processor, sentence
from stemma.table import markdown
from stemma.training.precision import cpu_has_bfloat16

SEED = 42
ROWS = 4
TOKENS = 256
DTYPES = (torch.float32, torch.bfloat16)


def make_step(dtype: torch.dtype, layers: int) -> Callable[[], float]:
    """One optimizer step, which returns its loss; the same weights and tokens for every dtype."""
    torch.manual_seed(SEED)
    config = LlamaConfig(
        vocab_size=49152,
        hidden_size=576,
        intermediate_size=1536,
        num_hidden_layers=layers,
        num_attention_heads=9,
        num_key_value_heads=3,
        tie_word_embeddings=True,
        rope_theta=100000,
        attn_implementation="sdpa",
    )
    lora = LoraConfig(r=8, lora_alpha=16, target_modules=["q_proj", "v_proj"])
    model: Any = get_peft_model(LlamaForCausalLM(config), lora).to(dtype)  # type: ignore[arg-type]
    optimizer = torch.optim.AdamW(
        [weight for weight in model.parameters() if weight.requires_grad], lr=1e-4
    )
    ids = torch.randint(
        config.vocab_size, (ROWS, TOKENS), generator=torch.Generator().manual_seed(SEED)
    )

    def step() -> float:
        loss = model(input_ids=ids, labels=ids).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return float(loss)

    return step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--layers", type=int, default=30)
    given = parser.parse_args()
    if not cpu_has_bfloat16():
        print("this CPU does not compute in bfloat16: a recipe's `bf16: auto` is float32 here")
    steps = {dtype: make_step(dtype, given.layers) for dtype in DTYPES}
    first = {dtype: step() for dtype, step in steps.items()}
    seconds: dict[torch.dtype, list[float]] = {dtype: [] for dtype in DTYPES}
    for _ in range(given.rounds):
        for dtype, step in steps.items():
            start = time.perf_counter()
            step()
            seconds[dtype].append(time.perf_counter() - start)
    least = min(seconds[torch.float32])
    rows = [
        [
            str(dtype).removeprefix("torch."),
            f"{median(found):.2f}",
            f"{min(found):.2f}",
            f"{min(found) / least:.2f}",
            f"{first[dtype]:.4f}",
        ]
        for dtype, found in seconds.items()
    ]
    print(
        "\n".join(
            markdown(
                ("", "median, s", "least, s", "ratio of the least", "loss of the first step"), rows
            )
        )
    )
    sizes = (
        f"{given.layers} layers, {ROWS} x {TOKENS} tokens a step, {given.rounds} rounds, seed "
        f"{SEED}"
    )
    command = f"python -m bench.bfloat16 --rounds {given.rounds} --layers {given.layers}"
    print("\n" + sentence(conditions(command, processor(), sizes)))


if __name__ == "__main__":
    main()
