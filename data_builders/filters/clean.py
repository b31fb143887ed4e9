"""The cleaning of drafts into rows: LaTeX whose backslash was eaten is repaired, and what must not
be trained on is refused with the reason.

A control character that `latex` did not put back as a command refuses the row.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from pydantic import ValidationError

from data_builders.filters.as_read import UNSEEN
from data_builders.filters.latex import is_damaged as damaged
from data_builders.filters.latex import put_back
from data_builders.flow import NO_TOKENS, ROW_MODELS, Draft, Kind, Row
from data_builders.split import question_id
from stemma.rows import LETTERS

# What tokenizers of common families read as control tokens: Gemma's; ChatML's, Qwen's, Phi's and
# Llama 3's `<|im_start|>`, `<|endoftext|>`, `<|eot_id|>`; DeepSeek's `<｜User｜>`; Llama 2's and
# Mistral's. `<s>` is left out: it is HTML for struck-out text. Those of the recipe's own model come
# on top, where its tokenizer is known.
_CONTROL_TOKEN = re.compile(
    r"<(?:(?:bos|eos|pad|unk|(?:start|end)_of_(?:turn|image)|unused\d+|/s)>|\|[A-Za-z0-9_]+\|>|｜[^｜\s]+｜>|</?SYS>>)"
    r"|\[/?(?:INST|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|SYSTEM_PROMPT)\]"
)
LONGEST = 2_000_000
"""Characters of a text that may train: half a million tokens, more than any model here reads. Only
a corpus is cut into sequences."""
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_BLANK = re.compile("[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]")
_LINE_END = re.compile(r"(?<![ \t])[ \t]+(?=\n)")
_DOTS_ONLY = re.compile(r"[.…\s]*")
# What programs write where there is no value. "None" is left out: it answers questions.
_PLACEHOLDERS = frozenset(
    {"null", "nan", "<na>", "n/a", "#n/a", "[object object]", "[deleted]", "[removed]"}
)
_SHEET_ERRORS = frozenset({"#ref!", "#value!", "#div/0!", "#name?", "#null!", "#num!", "#n/a"})


def special_tokens(tokens: Iterable[str]) -> re.Pattern[str]:
    """A tokenizer's own special tokens, to refuse in content. One that is drawn as nothing is
    none."""
    written = sorted({token for token in tokens if _visible(token)}, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, written))) if written else NO_TOKENS


def repair(text: str) -> str:
    """Put eaten LaTeX backslashes back, make line ends `\\n`, strip outer whitespace."""
    return put_back(text).replace("\r\n", "\n").replace("\r", "\n").strip()


def is_damaged(row: dict[str, Any]) -> bool:
    """Whether `repair` puts a backslash back somewhere in the row."""
    return damaged(texts_in(row))


def refuse_text(text: str, special: re.Pattern[str] = NO_TOKENS) -> str | None:
    """The reason why a text must not enter a row, or None. `special`: see `special_tokens`."""
    if (("<" in text or "[" in text) and _CONTROL_TOKEN.search(text)) or special.search(text):
        return "control token in content"
    found = _CONTROL.search(text)
    if found is None:
        return None
    return (
        "control character in content" if found[0] < "\ud800" else "unpaired surrogate in content"
    )


def finish(
    kind: Kind, source: str, draft: Draft, special: re.Pattern[str] = NO_TOKENS
) -> Row | str:
    """The row of a draft, repaired and with its id, or the reason why it is refused."""
    if kind != "corpus" and any(len(text) > LONGEST for text in texts_in(draft.row)):
        return f"text of more than {LONGEST:,} characters"
    row = map_texts(draft.row, repair)
    if kind == "mcq":
        row["choices"] = without_empty_end(row["choices"])
    if kind == "dpo":
        row["question_id"] = question_id(repair(draft.question))
        if row.get("turns"):
            row["prompt"] = "\n\n".join(
                turn["content"] for turn in row["turns"] if turn["role"] != "system"
            )
    reason = next(
        filter(None, (refuse_text(text, special) for text in texts_in(row))), None
    ) or _refuse(kind, row)
    if reason:
        return reason
    content = {
        name: row[name] for name in row if name != "meta"
    }  # the same row from another file is a duplicate
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
    try:
        return ROW_MODELS[kind].model_validate({"id": f"{kind}-{digest}", "source": source, **row})
    except ValidationError as error:
        return "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())


def without_empty_end(choices: list[str]) -> list[str]:
    """Choices without the empty ones at the end: tables of five columns hold questions of four
    choices too."""
    count = len(choices)
    while count and not _visible(choices[count - 1]):
        count -= 1
    return choices[:count]


def _refuse(kind: Kind, row: dict[str, Any]) -> str | None:
    if kind == "mcq":
        return _refuse_question(row)
    if kind == "corpus":
        return _refuse_answer(row["text"])
    if kind == "sft":
        *asked, answer = [_visible(message["content"]) for message in row["messages"]] or [""]
        return "empty turn" if any(map(_DOTS_ONLY.fullmatch, asked)) else _refuse_answer(answer)
    chosen = _visible(row["chosen"])
    rejected = _visible(row["rejected"])
    if not _visible(row["prompt"]):
        return "empty question"
    if not all(_visible(turn["content"]) for turn in row.get("turns", ())):
        return "empty turn"
    reason = _refuse_answer(chosen) or _refuse_answer(rejected)
    return reason or ("identical answers" if chosen == rejected else None)


def _refuse_question(row: dict[str, Any]) -> str | None:
    choices = list(map(_visible, row["choices"]))
    if not _visible(row["question"]):
        return "empty question"
    if any(map(_DOTS_ONLY.fullmatch, choices)):
        return "empty choice"
    if any(choice.casefold() in _SHEET_ERRORS for choice in choices):
        return "placeholder instead of a choice"
    if len(choices) > len(LETTERS):
        return f"more than {len(LETTERS)} choices"
    if row["answer"] not in LETTERS[: len(choices)]:
        return "the answer is none of the options"
    right = choices[LETTERS.index(row["answer"])]
    return "right choice occurs twice" if choices.count(right) > 1 else None


def _refuse_answer(text: str) -> str | None:
    text = _visible(text)
    if _DOTS_ONLY.fullmatch(text):
        return "empty answer"
    bare = text.strip("\"'`().").casefold()
    return "placeholder instead of an answer" if bare in _PLACEHOLDERS | _SHEET_ERRORS else None


def _visible(text: str) -> str:
    """What a reader sees of a text, to compare: composed (NFC), without characters that are drawn
    as nothing and blanks at the ends of lines; a blank is a blank, whatever its width."""
    if not text.isascii():
        text = _BLANK.sub(" ", UNSEEN.sub("", unicodedata.normalize("NFC", text)))
    return _LINE_END.sub("", text).strip()


def map_texts(value: Any, change: Callable[[str], str]) -> Any:
    """A nested value with every string changed."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {name: map_texts(item, change) for name, item in value.items()}
    return [map_texts(item, change) for item in value] if isinstance(value, list) else value


def texts_in(value: Any) -> Iterator[str]:
    """Every text in a nested value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from texts_in(item)
