"""One piece of work in a process of its own, and the most memory it held: the child of
`bench.memory`.

It asks only for what every checkout offers, so that an earlier one can be measured by the same
script. `python bench/memory_work.py '{"work": "pairs", "model": "folder", "count": 20}'`, with the
checkout on PYTHONPATH.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

ANSWER = 50
PROMPT = 30
TEXT = 256
"""Tokens of an answer, of its prompt, and of a text of the merge gate."""
Job = dict[str, Any]


def resident(field: str) -> int:
    """`VmRSS`, what this process holds now, or `VmHWM`, what it has held at most, in bytes."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))


def ids(count: int) -> list[int]:
    """Of the tiny tokenizer, so that every vocabulary holds them."""
    return [random.randrange(120, 440) for _ in range(count)]


def evaluation(job: Job, answers: int, tokens: int) -> Callable[[], object]:
    """Questions of one prompt and some answers, behind loading and one question of the same
    size."""
    from eval.backends import open_backend
    from eval.backends.interface import ScoreRequest

    backend = open_backend(job["kind"], job["model"], "<eos>", 2)
    requests = [
        ScoreRequest([2, *ids(PROMPT)], [ids(tokens) for _ in range(answers)])
        for _ in range(job["count"])
    ]
    backend.log_probs(requests[:1])
    return lambda: backend.log_probs(requests)


def merge_gate(job: Job) -> Callable[[], object]:
    import peft  # noqa: F401 (imported with transformers' models before the count begins)
    from transformers import AutoModelForCausalLM, GemmaForCausalLM  # noqa: F401

    from stemma.training.merge_gate import merge_gate as hand_over

    texts = [[2, *ids(job.get("tokens", TEXT) - 1)] for _ in range(job["count"])]
    return lambda: hand_over(Path(job["model"]), Path(job["adapter"]), Path(job["merged"]), texts)


def merge(job: Job) -> Callable[[], object]:
    import peft  # noqa: F401
    from transformers import AutoModelForCausalLM, GemmaForCausalLM  # noqa: F401

    from stemma.templates import Template
    from stemma.training.merge import merge_adapter

    template = Template.read(Path(job["template"]))
    return lambda: merge_adapter(
        Path(job["model"]), Path(job["adapter"]), Path(job["out"]), template
    )


def quantise(job: Job) -> Callable[[], object]:
    import bitsandbytes  # noqa: F401
    from transformers import AutoModelForCausalLM, GemmaForCausalLM  # noqa: F401

    from export.bnb import quantise_folder
    from stemma.templates import Template

    template = Template.read(Path(job["template"]))
    return lambda: quantise_folder(Path(job["merged"]), Path(job["out"]), job["kind"], template)


def parity(job: Job) -> Callable[[], object]:
    """The proof of all formats in `paths`, on `count` samples of 32 answer tokens; its child is
    counted too."""
    from transformers import AutoTokenizer

    from export.conversations import Trial, sample
    from export.proof import prove
    from stemma.recipe.sections import Gates
    from stemma.templates import Template, answered

    tokenizer = AutoTokenizer.from_pretrained(job["model"])
    template = Template.read(Path(job["template"]))
    texts = [template.split(answered(f"What is {i} + 3?", "15 " * 40)) for i in range(job["count"])]
    pairs = [
        tokenizer([prompt, answer], add_special_tokens=False)["input_ids"]
        for prompt, answer in texts
    ]
    trial = Trial(
        texts,
        [prompt + answer for prompt, answer in pairs],
        [sample(*pair) for pair in pairs],
        2,
        template,
    )
    export = SimpleNamespace(gates=Gates())
    work: Any = SimpleNamespace(
        folder=Path(job["out"]), say=_silent, recipe=SimpleNamespace(export=export)
    )
    work.folder.mkdir(exist_ok=True)
    return lambda: prove(work, {name: Path(path) for name, path in job["paths"].items()}, trial, 2)


def _silent(text: str) -> None:
    del text


WORKS: dict[str, Callable[[Job], Callable[[], object]]] = {
    "pairs": lambda job: evaluation(job, 2, ANSWER),
    "letters": lambda job: evaluation(job, 4, 1),
    "merge gate": merge_gate,
    "merge": merge,
    "quantise": quantise,
    "parity": parity,
}


def main(job: Job) -> None:
    random.seed(0)
    work = WORKS[job["work"]](job)
    before = resident("VmRSS")
    work()
    print(json.dumps({"before": before, "peak": resident("VmHWM")}))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
