"""Drafts → rows: repairs LaTeX whose backslash was eaten, and refuses what must not be trained on, with the reason.

The damage comes from JSON or Python strings read with single backslashes: `\\text` became TAB + `ext`, `\\neq` newline
+ `eq`, `\\frac` form feed + `rac`, `\\begin` backspace + `egin`. Where a command can be told from ordinary text it is
put back; a control character that is left over afterwards refuses the row.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from typing import Any

from pydantic import ValidationError

from data_builders.drafts import ROW_MODELS, Draft, Kind, Row
from data_builders.split import question_id
from stemma.rows import LETTERS

CONTROL_TOKENS = ("<bos>", "<eos>", "<pad>", "<unk>", "<start_of_turn>", "<end_of_turn>")

# What followed the eaten backslash and its letter. TAB, newline and carriage return also occur in ordinary text, so
# only remainders that are no English words and stand as LaTeX writes them count; the others never occur in text.
_END = r"(?![a-zA-Z])"
_EATEN = {
    "\t": (
        "t",
        rf"ext(?:bf|it|rm|tt|sf)?(?=\s?\{{)|imes{_END}|heta{_END}|ilde(?=\s?\{{)|riangle{_END}|herefore{_END}|frac(?=\s?\{{)",
    ),
    "\n": ("n", rf"eq{_END}(?![.:(])|abla{_END}|otin{_END}"),
    "\r": ("r", rf"ight(?:arrow)?{_END}|ho{_END}|angle{_END}|ceil{_END}|floor{_END}"),
    "\f": ("f", rf"rac{_END}|loor{_END}|orall{_END}|box{_END}|lat{_END}"),
    "\b": (
        "b",
        rf"egin{_END}|eta{_END}|ar{_END}|oxed{_END}|inom{_END}|ullet{_END}|mod{_END}|igl?{_END}|f{_END}|ot{_END}",
    ),
    "\v": ("v", rf"ec{_END}|ert{_END}|arepsilon{_END}|arphi{_END}|ee{_END}|dots{_END}"),
    "\a": ("a", rf"lpha{_END}|pprox{_END}|ngle{_END}|rray{_END}|st{_END}"),
}
_DAMAGE = [(re.compile(f"{eaten}(?={rest})"), f"\\\\{letter}") for eaten, (letter, rest) in _EATEN.items()]
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_DOTS_ONLY = re.compile(r"[.…\s]*")


def repair(text: str) -> str:
    """Put eaten LaTeX backslashes back, make line ends `\\n`, strip outer whitespace."""
    for damage, command in _DAMAGE:
        text = damage.sub(command, text)
    return text.replace("\r\n", "\n").replace("\r", "\n").strip()


def is_damaged(row: dict[str, object]) -> bool:
    """Whether `repair` puts a backslash back somewhere in the row."""
    return any(damage.search(text) for text in _texts(row) for damage, _ in _DAMAGE)


def refuse_text(text: str) -> str | None:
    """Why this text must not enter a row, or None."""
    if any(token in text for token in CONTROL_TOKENS):
        return "control token in content"
    if _CONTROL.search(text):
        return "control character in content"
    return "unpaired surrogate in content" if _SURROGATE.search(text) else None


def finish(kind: Kind, source: str, draft: Draft) -> Row | str:
    """The row of a draft, repaired and with its id, or the reason why it is refused."""
    row = map_texts(draft.row, repair)
    if kind == "dpo":
        row["question_id"] = question_id(row["prompt"])
    reason = next((reason for reason in map(refuse_text, _texts(row)) if reason), None) or _refuse_answers(kind, row)
    if reason:
        return reason
    content = {
        name: value for name, value in row.items() if name != "meta"
    }  # the same row from another file is a duplicate
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
    try:
        return ROW_MODELS[kind].model_validate({"id": f"{kind}-{digest}", "source": source, **row})
    except ValidationError as error:
        return "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())


def _refuse_answers(kind: Kind, row: dict[str, Any]) -> str | None:
    if kind == "mcq":
        if any(_DOTS_ONLY.fullmatch(choice) for choice in row["choices"]):
            return "empty choice"
        right = row["choices"][LETTERS.index(row["answer"])]
        return "right choice occurs twice" if row["choices"].count(right) > 1 else None
    answers = {"dpo": ("chosen", "rejected"), "corpus": ("text",), "sft": ()}[kind]
    texts = [row[name] for name in answers] or [message["content"] for message in row["messages"]]
    if any(_DOTS_ONLY.fullmatch(text) for text in texts):
        return "empty answer"
    return "identical answers" if kind == "dpo" and row["chosen"] == row["rejected"] else None


def map_texts(value: Any, change: Callable[[str], str]) -> Any:
    """A nested value with every string changed."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {name: map_texts(item, change) for name, item in value.items()}
    return [map_texts(item, change) for item in value] if isinstance(value, list) else value


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for item in items for text in _texts(item)]
