"""Samples in the shape of lm-evaluation-harness, as the page shows them.

`{"doc_id": 3, "filter": "none", "target": "1", "arguments": [["Question: …", " a"], …], "resps":
…, "filtered_resps": [[-4.1, false], …], "acc": 1.0}`: of multiple choice an argument for each
choice, of generation one with its settings. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from report.questions import Question
from report.readable import words

Record = Mapping[str, Any]


def is_benchmark(record: Record) -> bool:
    """Whether a sample is the harness's."""
    return {"doc_id", "arguments", "filtered_resps"} <= record.keys()


def question_of(record: Record) -> Question:
    """The prompt and, of multiple choice, the choices; the target is the right answer."""
    prompts = list(dict.fromkeys(_texts(record["arguments"], 0)))
    choices = tuple(_texts(record["arguments"], 1))
    parts = [("Prompt", prompt) for prompt in prompts[:1]]
    if len(choices) > 1:
        parts.append(("Choices", "\n".join(choice.strip() for choice in choices)))
    target = record.get("target", "")
    gold = str(target)
    if isinstance(target, int) and 0 <= target < len(choices) > 1:
        gold = choices[target].strip()
    return Question(tuple(parts), gold, "")


def _texts(arguments: Any, place: int) -> list[str]:
    """The text at one place of each argument; nothing where the harness keeps another shape."""
    if not isinstance(arguments, Sequence) or isinstance(arguments, str):
        return []
    rows = [one for one in arguments if isinstance(one, Sequence) and len(one) > place]
    return [one[place] for one in rows if isinstance(one[place], str)]


def answer_of(record: Record) -> str:
    """The likeliest choice, or what was generated as the harness's filter left it."""
    found = record["filtered_resps"]
    choices = _texts(record["arguments"], 1)
    pairs = [one for one in found if isinstance(one, Sequence) and not isinstance(one, str)]
    if len(pairs) == len(choices) > 1:
        likelihoods = [float(one[0]) for one in pairs]
        return choices[likelihoods.index(max(likelihoods))].strip()
    return words(found) if isinstance(found, list) else str(found)
