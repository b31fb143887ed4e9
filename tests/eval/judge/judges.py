"""A judging for tests: the real client and ledger, and a judge on loopback that does as it is told.

The variants' replies are given; the questions lie in a run folder as the data stage leaves them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from data_builders.scripted.faults import Faults, Json
from data_builders.scripted.judge import ShownPair, read_comparison, verdict_json
from data_builders.scripted.server import ScriptedServer, serve
from eval.job import Samples
from eval.judge.pairs import Pair
from eval.judge.verdicts import Judge, OrderVerdict, PairVerdict, Side, judged
from stemma.jsonl import write_jsonl
from stemma.recipe.evaluation import Judging
from stemma.runs import Run
from stemma.stages import Work
from stemma.templates import answered
from tests.factories.manifests import write_manifest
from tests.factories.run_to_score import make_recipe

TASKS = [{"task": "generation"}]
JudgeFunction = Callable[[ShownPair], str]
Replies = Mapping[str, tuple[str, str]]
"""By id: the reference's reply, and the policy's."""


def numbered(count: int) -> dict[str, tuple[str, str]]:
    """Replies that differ everywhere: the reference's wrong and short, the policy's right."""
    return {
        f"s{i}": (f"It is {i}.", f"{i} + {i} = {2 * i}, so it is {2 * i}") for i in range(count)
    }


def sample(name: str, reply: str, gold: str | None = None) -> dict[str, Any]:
    return {
        "id": name,
        "source": "toy",
        "gold": gold,
        "choices": (),
        "reply": reply,
        "tokens": 3,
        "stopped": True,
    }


def samples(replies: Replies, gold: Mapping[str, str] | None = None) -> dict[str, Samples]:
    """What the task `generation` wrote down of the variants base and dpo."""
    known = gold or {}
    return {
        variant: {
            "generation": [
                sample(name, pair[place], known.get(name)) for name, pair in replies.items()
            ]
        }
        for place, variant in enumerate(("base", "dpo"))
    }


def make_work(folder: Path, replies: Replies, generator: Json, **changes: Any) -> Work:
    """A run whose evaluation has measured base and dpo, and judges dpo against base."""
    judging = {"policy": "dpo", "reference": "base", "generator": generator} | changes
    recipe = make_recipe(["base", "dpo"], TASKS, judge=[judging])
    run = Run(folder / "runs" / "small")
    rows = [
        {
            "id": name,
            "source": "toy",
            "meta": {},
            "messages": [
                turn.model_dump() for turn in answered(f"What is {name[1:]} + {name[1:]}?", "x")
            ],
        }
        for name in replies
    ]
    write_jsonl(run.folder("data") / "sft/test.jsonl", rows)
    write_manifest(run, "data", {"sft/test": "sft/test.jsonl"})
    said: list[str] = []
    return Work(recipe, run, "eval", said.append)


def paid(base_url: str, **changes: Any) -> Json:
    """Settings of a server on loopback that stands for a paid one."""
    return {
        "base_url": base_url,
        "model": "m",
        "api_key_env": "TEST_KEY",
        "prices": {"input": 2.0, "output": 10.0},
        "timeout_seconds": 5.0,
    } | changes


@contextmanager
def judging_server(
    judge: JudgeFunction, monkeypatch: pytest.MonkeyPatch, faults: Faults | None = None
) -> Iterator[ScriptedServer]:
    """A server whose replies are what `judge` makes of the comparison in the prompt."""
    monkeypatch.setenv("TEST_KEY", "k")

    def answer(body: Json) -> str:
        comparison = read_comparison(body["messages"][-1]["content"])
        assert comparison is not None, "the prompt holds no comparison"
        return judge(comparison)

    with serve(answer, faults or Faults()) as server:
        yield server


def longer(comparison: ShownPair) -> str:
    """The verdict for the longer answer."""
    first, second = len(comparison.first), len(comparison.second)
    verdict = "3" if first == second else "1" if first > second else "2"
    return verdict_json("It is longer.", verdict)


def pair_verdict(
    name: str, marks: Sequence[str | None], lengths: tuple[int, int] = (1, 1), **pair: Any
) -> PairVerdict:
    """A judged pair: the report's marks in both orders, and the answers' lengths."""
    judging = Judging.model_validate(
        {"policy": "dpo", "reference": "base", "generator": {"model": "m"}}
    )
    question = str(pair.pop("question", "q?"))
    texts = {"reference": "r" * lengths[0], "policy": "p" * lengths[1]} | pair
    firsts: tuple[Side, ...] = ("reference", "policy")
    orders = [
        OrderVerdict.model_validate(
            {"first": first, "verdict": mark, "problem": None if mark else "reply empty"}
        )
        for first, mark in zip(firsts, marks, strict=False)
    ]
    return judged(Pair(name, question, **texts), judging, Judge("m", "model"), orders)
