"""Drafts → rows: repairs LaTeX whose backslash was eaten, and refuses what must not be trained on, with the reason.

A control character that `latex` did not put back as a command refuses the row.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from pydantic import ValidationError

from data_builders.drafts import ROW_MODELS, Draft, Kind, Row
from data_builders.latex import is_damaged as damaged
from data_builders.latex import put_back
from data_builders.split import question_id
from stemma.rows import LETTERS

# What tokenizers of common families read as control tokens: Gemma's; ChatML's, Qwen's and Llama 3's `<|im_start|>`,
# `<|endoftext|>`, `<|eot_id|>`; Llama 2's and Mistral's. `<s>` is left out: it is HTML for struck-out text.
_CONTROL_TOKEN = re.compile(
    r"<(?:(?:bos|eos|pad|unk|(?:start|end)_of_(?:turn|image)|unused\d+|/s)>|\|[A-Za-z0-9_]+\|>|</?SYS>>)|\[/?INST\]"
)

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_DOTS_ONLY = re.compile(r"[.…\s]*")


def repair(text: str) -> str:
    """Put eaten LaTeX backslashes back, make line ends `\\n`, strip outer whitespace."""
    return put_back(text).replace("\r\n", "\n").replace("\r", "\n").strip()


def is_damaged(row: dict[str, Any]) -> bool:
    """Whether `repair` puts a backslash back somewhere in the row."""
    return damaged(_texts(row))


def refuse_text(text: str) -> str | None:
    """Why this text must not enter a row, or None."""
    if ("<" in text or "[" in text) and _CONTROL_TOKEN.search(text):
        return "control token in content"
    found = _CONTROL.search(text)
    if found is None:
        return None
    return "control character in content" if found[0] < "\ud800" else "unpaired surrogate in content"


def finish(kind: Kind, source: str, draft: Draft) -> Row | str:
    """The row of a draft, repaired and with its id, or the reason why it is refused."""
    row = map_texts(draft.row, repair)
    if kind == "dpo":
        row["question_id"] = question_id(row["prompt"])
    reason = next(filter(None, map(refuse_text, _texts(row))), None) or _refuse_answers(kind, row)
    if reason:
        return reason
    content = {name: row[name] for name in row if name != "meta"}  # the same row from another file is a duplicate
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
    try:
        return ROW_MODELS[kind].model_validate({"id": f"{kind}-{digest}", "source": source, **row})
    except ValidationError as error:
        return "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())


def _refuse_answers(kind: Kind, row: dict[str, Any]) -> str | None:
    if kind == "mcq":
        if any(map(_DOTS_ONLY.fullmatch, row["choices"])):
            return "empty choice"
        right = row["choices"][LETTERS.index(row["answer"])]
        return "right choice occurs twice" if row["choices"].count(right) > 1 else None
    if kind == "sft":
        texts = [message["content"] for message in row["messages"]]
    else:
        texts = [row["text"]] if kind == "corpus" else [row["chosen"], row["rejected"]]
    if any(map(_DOTS_ONLY.fullmatch, texts)):
        return "empty answer"
    return "identical answers" if kind == "dpo" and texts[0] == texts[1] else None


def map_texts(value: Any, change: Callable[[str], str]) -> Any:
    """A nested value with every string changed."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {name: map_texts(item, change) for name, item in value.items()}
    return [map_texts(item, change) for item in value] if isinstance(value, list) else value


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item)
