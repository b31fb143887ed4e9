"""The rule for right answers on real replies.

Run `python -m bench.answers gsm8k FILE` or `python -m bench.answers options FILE`.

gsm8k: OpenAI's `example_model_solutions.jsonl`, where each solution says whether it is correct.
options: questions with options and a rationale (MathQA's or AQuA's JSON lines): the rationale
against the right option's text, and against the next option's, for which it should never be right.
"""

from __future__ import annotations

import ast
import json
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stemma.answers import judge


def gsm8k(rows: Iterator[dict[str, Any]]) -> Counter[str]:
    found = Counter[str]()
    for row in rows:
        gold = row["ground_truth"].rsplit("A:", 1)[1].strip()
        for one in row.values():
            if isinstance(one, dict):
                found[
                    f"{judge(one['solution'], gold)}, "
                    f"{'correct' if one['is_correct'] else 'incorrect'}"
                ] += 1
    return found


def options(rows: Iterator[dict[str, Any]]) -> Counter[str]:
    found = Counter[str]()
    for row in rows:
        texts = _texts(row["options"])
        right = "ABCDE".index(row["correct"].upper())
        if right < len(texts):
            found[f"right option: {judge(row['rationale'], texts[right])}"] += 1
            found[
                f"another option: {judge(row['rationale'], texts[(right + 1) % len(texts)])}"
            ] += 1
    return found


def _texts(written: str | list[str]) -> list[str]:
    """Options from AQuA's list `["A)5", …]`, or MathQA's `a ) 5 , b ) 6 , …`.

    Some rows hold them as Python prints a list.
    """
    if isinstance(written, list):
        return [re.sub(r"^[A-E]\)", "", text).strip() for text in written]
    written = " , ".join(ast.literal_eval(written)) if written.startswith("[") else written
    return [text.strip() for text in re.split(r"(?:^|\s*,\s*)[a-e] \) ", written)][1:]


def main() -> None:
    kind, path = sys.argv[1:]
    with Path(path).open(encoding="utf-8") as lines:
        found = {"gsm8k": gsm8k, "options": options}[kind](map(json.loads, lines))
    for name, count in sorted(found.items()):
        print(f"{count:6,}  {name}")


if __name__ == "__main__":
    main()
