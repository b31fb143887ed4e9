from __future__ import annotations

import pytest

from eval.tasks.speed import TASK


def test_a_speed_is_the_median_between_its_quartiles() -> None:
    sample = {
        "id": "speed",
        "size_bytes": 10,
        "load_seconds": 0.5,
        "loaded_again": [0.2, 0.1, 0.3, 0.9, 0.25],
        "peak_memory_bytes": 20,
        "prompt_tokens": 100,
        "decode_tokens": 60,
        "prompt_seconds": [5.0, 1.0, 2.0, 4.0, 10.0],
        "decode_seconds": [-1.0, 0.0, 3.0, 4.0, 5.0],
    }
    found = {metric.name: metric for metric in TASK.score_records([sample], [], 1, 0.1).metrics}
    load = found["load_seconds"]
    assert (load.value, load.n, load.low, load.high) == (0.25, 5, 0.2, 0.3)
    assert (found["first_load_seconds"].value, found["first_load_seconds"].n) == (0.5, 1)
    first = found["first_token_seconds"]
    assert (first.value, first.n, first.low, first.high) == (4.0, 5, 2.0, 5.0)
    prompt, decode = found["prompt_tokens_per_second"], found["decode_tokens_per_second"]
    assert (prompt.value, prompt.n, prompt.low, prompt.high) == (25.0, 5, 20.0, 50.0)
    assert (decode.value, decode.low, decode.high) == (pytest.approx(20.0), None, None), (
        "noise beyond what was timed"
    )
