"""Worked answers to word problems in GSM8K's notation: calculator annotations and the final number."""

from __future__ import annotations

import re


def without_annotations(answer: str) -> str:
    """The answer without `<<48/2=24>>`, ending in `#### 72` (model solutions write `A: 72`)."""
    return re.sub(r"\nA: (\S+)\s*$", r"\n#### \1", re.sub(r"<<[^<>]*>>", "", answer))


def final_number(answer: str) -> str | None:
    """The number behind `####`, without thousands separators; None when the answer does not end in one."""
    match = re.search(r"\n#### \$?(-?[\d.,]*\d)\s*$", answer)
    return match[1].replace(",", "") if match else None
