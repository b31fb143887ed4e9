"""What scoring a GGUF file costs beyond llama.cpp's own time, in CPU time of one thread.

Run `python -m bench.gguf_scoring FILE.gguf [questions] [turns]`.

Questions of random tokens with four answers each, of one token (letters) and of 24 (texts): scored
by `LlamaCpp.scored`, and by bare calls of llama_decode over the same tokens with the same logits
asked for and not read. Both take turns in one process. Every question is given a second time: its
prompt and its answers must not be read again.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import quantiles
from time import process_time

import llama_cpp

from bench.conditions import conditions, sentence
from eval.backends.interface import ScoreRequest
from eval.backends.llamacpp import LlamaCpp
from stemma.llama import Llama

SEED = 42
PROMPT, CHOICES = 100, 4


def questions(vocabulary: int, count: int, answer: int) -> list[ScoreRequest]:
    """Questions with four answers each; every question twice."""
    draw = random.Random(SEED)

    def text(length: int) -> list[int]:
        return [draw.randrange(10, vocabulary) for _ in range(length)]

    asked = [
        ScoreRequest(text(PROMPT), [text(answer) for _ in range(CHOICES)]) for _ in range(count)
    ]
    return [request for request in asked for _ in range(2)]


def bare(llama: Llama, asked: Sequence[ScoreRequest]) -> float:
    """Seconds of the same decodes, each prompt and answer once, nothing read."""
    begin = process_time()
    for request in asked[::2]:
        llama._rewind(0)
        llama._read(request.prompt[:-1])
        llama._decode(request.prompt[-1:], scored=True)
        for answer in sorted(map(tuple, request.answers)):
            llama._rewind(len(request.prompt))
            if len(answer) > 1:
                llama._decode(answer[:-1], scored=True)
        llama_cpp.llama_synchronize(llama._context)
    return process_time() - begin


def scored(backend: LlamaCpp, asked: Sequence[ScoreRequest]) -> float:
    """Seconds of scoring them."""
    begin = process_time()
    for _ in backend.scored(asked):
        pass
    return process_time() - begin


def main() -> None:
    path = Path(sys.argv[1])
    count, turns = (int(sys.argv[2]), int(sys.argv[3])) if len(sys.argv) > 2 else (20, 7)
    backend = LlamaCpp(str(path), "a", 1)
    print("| answer, tokens | vocabulary | beyond llama.cpp, ms a scored token | of its time |")
    print("|---|---|---|---|")
    for length in (1, 24):
        llama = backend._with_room(PROMPT + length)
        asked = questions(llama.vocabulary_size, count, length)
        bare(llama, asked), scored(backend, asked)  # the first of each pays for memory
        pairs = [(bare(llama, asked), scored(backend, asked)) for _ in range(turns)]
        tokens = count * CHOICES * length
        more = quantiles([(two - one) / tokens * 1e3 for one, two in pairs], n=4)
        share = quantiles([two / one for one, two in pairs], n=4)
        print(
            f"| {length} | {llama.vocabulary_size:,} | {more[1]:.3f} [{more[0]:.3f}–{more[2]:.3f}] "
            f"| {share[1]:.3f} [{share[0]:.3f}–{share[2]:.3f}] |"
        )
    command = f"python -m bench.gguf_scoring {path.name}"
    sizes = f"{count} questions of {PROMPT} tokens, each twice; {turns} turns; seed {SEED}"
    print("\n" + sentence(conditions(command, "CPU", sizes)))


if __name__ == "__main__":
    main()
