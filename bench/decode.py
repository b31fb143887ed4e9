"""Python's cost in greedy decoding, in CPU time of one thread.

Run `python -m bench.decode FILE.gguf [tokens] [turns]`.

A bare loop of llama_decode, as llama-bench runs it, and `Llama.stream` take turns in one process.
"""

from __future__ import annotations

import sys
from pathlib import Path
from statistics import median, quantiles
from time import process_time

import llama_cpp

from eval.backends.llamacpp import _Timed as Endless

PROMPT = [2, 5, 6, 7, 8, 9, 10, 11]


def bare(model: Endless, tokens: int) -> float:
    """Seconds of `tokens` decodes of one token each, nothing read."""
    llama_cpp.llama_memory_clear(model._memory, True)
    prompt = (llama_cpp.llama_token * len(PROMPT))(*PROMPT)
    llama_cpp.llama_decode(model._context, llama_cpp.llama_batch_get_one(prompt, len(PROMPT)))
    llama_cpp.llama_synchronize(model._context)
    token = (llama_cpp.llama_token * 1)(7)
    batch = llama_cpp.llama_batch_get_one(token, 1)
    begin = process_time()
    for number in range(tokens):
        llama_cpp.llama_decode(model._context, batch)
        llama_cpp.llama_synchronize(model._context)
        token[0] = 7 + number % 40
    return process_time() - begin


def streamed(model: Endless, tokens: int) -> float:
    stream = model.stream(PROMPT, tokens + 1)
    next(stream)
    begin = process_time()
    count = sum(1 for _ in stream)
    assert count == tokens
    return process_time() - begin


def main() -> None:
    path = Path(sys.argv[1])
    tokens, turns = (int(sys.argv[2]), int(sys.argv[3])) if len(sys.argv) > 2 else (200, 15)
    with Endless(path, len(PROMPT) + tokens + 64, 1) as model:
        model.endless = True
        bare(model, tokens), streamed(model, tokens)  # the first of each pays for memory
        pairs = [(bare(model, tokens), streamed(model, tokens)) for _ in range(turns)]
    low, middle, high = quantiles([one / other for one, other in pairs], n=4, method="inclusive")
    more = median(other - one for one, other in pairs) / tokens * 1e6
    print(
        f"{path.name}: {middle:.3f} [{low:.3f}-{high:.3f}], {more:.1f} us a token, n = {turns} x "
        f"{tokens} tokens"
    )


if __name__ == "__main__":
    main()
