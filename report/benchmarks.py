"""Samples in the shape of lm-evaluation-harness, as the page shows them.

`{"doc_id": 3, "filter": "none", "target": "1", "arguments": {"gen_args_0": {"arg_0": "Question: …",
"arg_1": " newton"}, …}, "filtered_resps": [["-4.1", "False"], …], "acc": 1.0}`: of multiple choice
an argument for each choice and the choice's number as target, of generation one with its settings.
Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from report.questions import AskedQuestion
from report.readable import words

Record = Mapping[str, Any]


def is_benchmark(record: Record) -> bool:
    """Whether a sample is the harness's."""
    return {"doc_id", "arguments", "filtered_resps"} <= record.keys()


def question_of(record: Record) -> AskedQuestion:
    """The prompt and, of multiple choice, the choices; the target is the right answer."""
    prompts = list(dict.fromkeys(_texts(record["arguments"], 0)))
    choices = tuple(_texts(record["arguments"], 1))
    parts = [("Prompt", prompt) for prompt in prompts[:1]]
    if len(choices) > 1:
        parts.append(("Choices", "\n".join(choice.strip() for choice in choices)))
    target = str(record.get("target", ""))
    is_number = target.isdecimal() and int(target) < len(choices) > 1
    return AskedQuestion(tuple(parts), choices[int(target)].strip() if is_number else target, "")


def _texts(arguments: Any, place: int) -> list[str]:
    """The text at one place of each argument; nothing where the harness keeps another shape."""
    rows = [_listed(one) for one in _listed(arguments)]
    return [row[place] for row in rows if len(row) > place and isinstance(row[place], str)]


def _listed(value: Any) -> list[Any]:
    """A list, or the values of an object; nothing of anything else."""
    if isinstance(value, dict):
        return list(value.values())
    return list(value) if isinstance(value, list | tuple) else []


def answer_of(record: Record) -> str:
    """The likeliest choice, or what was generated as the harness's filter left it."""
    found = record["filtered_resps"]
    choices = _texts(record["arguments"], 1)
    pairs = [_listed(one) for one in _listed(found)]
    if len(pairs) == len(choices) > 1 and all(pairs):
        likelihoods = [float(pair[0]) for pair in pairs]
        return choices[likelihoods.index(max(likelihoods))].strip()
    return words(found)
