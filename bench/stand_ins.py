"""Files in the real shapes and sizes of a recipe's sources.

The contents are invented, with the measured dirt, all seeded.

The EPFL array: 1,522 questions (792 multiple choice, 166 near-duplicates), 26,738 pairs; answers of
100 to 400 words; 6.8 % of the pairs with one under 20 words, 0.9 % identical, 1.8 % with outer
whitespace, 0.3 % a bare `...`, 5 % of the questions with eaten LaTeX backslashes; the chosen answer
longer in 62.5 %; `overall` is A in 76 %.
"""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Callable, Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any

QUESTIONS = 1_522
PAIRS = 26_738
MCQ = 792
NEAR = 166
LATEX = (
    "$\\text{net}$",
    "$a \\neq b$",
    "$\\frac{1}{2}$",
    "$\\floor{x}$",
    "\\begin{cases} x \\end{cases}",
)
EATEN = {"\\t": "\t", "\\n": "\n", "\\f": "\f", "\\b": "\b"}
MMLU = ("abstract_algebra", "astronomy", "college_physics", "computer_security", "machine_learning")
FREQUENT = (
    "the of a is to and in that for we it as by with this are be an on which from can if then "
    "has not"
)
SHARES = {
    "short": 0.068,
    "identical": 13 / 1522,
    "space": 28 / 1522,
    "dots": 5 / 1522,
    "latex": 0.05,
}


class Writer:
    """Invented English-like text.

    Its vocabulary has 6,000 words, the frequent ones much more frequent.
    """

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        onsets = [*"bcdfghlmnprstvw", "st", "tr", "pl"]
        vowels = [*"aeiou", "ea", "ou"]
        ends = ["", *"nrstlmd"]
        syllables = [a + b + c for a in onsets for b in vowels for c in ends]
        self.words = FREQUENT.split() + [
            "".join(self.rng.choices(syllables, k=self.rng.choice((1, 2, 2, 3))))
            for _ in range(6_000)
        ]
        self.cumulative = list(accumulate(1 / (rank + 3) for rank in range(len(self.words))))

    def text(self, count: int) -> str:
        """Sentences of `count` words in all, every third with a number in it."""
        words = self.rng.choices(self.words, cum_weights=self.cumulative, k=count)
        for start in range(0, count, 14):
            words[start] = words[start].capitalize()
            words[min(start + 13, count - 1)] += "."
            if start % 3 == 0 and start + 5 < count:
                words[start + 5] = str(self.rng.randint(2, 9_999))
        return " ".join(words)

    def happens(self, share: float) -> bool:
        return self.rng.random() < share


def epfl(writer: Writer) -> list[dict[str, Any]]:
    """The released array: one object a question, with all its pairs."""
    rng = writer.rng
    texts = _epfl_questions(writer)
    counts = [PAIRS // QUESTIONS + (number < PAIRS % QUESTIONS) for number in range(QUESTIONS)]
    return [
        {
            "question_id": number,
            "question_complete": text,
            "course_id": rng.randint(15000, 15200),
            "preference": [_pair(writer) for _ in range(count)],
        }
        for number, (text, count) in enumerate(zip(texts, counts, strict=True))
    ]


def _epfl_questions(writer: Writer) -> list[str]:
    rng = writer.rng
    texts = []
    for number in range(QUESTIONS - NEAR):
        text = "Question: " + writer.text(rng.randint(20, 90))
        if writer.happens(SHARES["latex"]):
            text += " " + rng.choice(LATEX)
            for whole, eaten in EATEN.items():
                text = text.replace(whole, eaten)
        if number < MCQ:
            text += "\n\nOptions:\n" + "\n".join(
                f"{letter}. {writer.text(rng.randint(2, 12))}" for letter in "ABCD"
            )
        texts.append(text)
    near = [text.replace(". ", ".  Indeed ", 1) + " " for text in texts[-NEAR:]]
    return [*texts, *near]


def _pair(writer: Writer) -> dict[str, Any]:
    rng = writer.rng
    long, short = (
        writer.text(n) for n in sorted((rng.randint(100, 400), rng.randint(100, 400)), reverse=True)
    )
    chosen, rejected = (long, short) if writer.happens(0.625) else (short, long)
    if writer.happens(SHARES["short"]):
        rejected = writer.text(rng.randint(1, 19))
    if writer.happens(SHARES["space"]):
        chosen = f"\n{chosen}  "
    rejected = (
        "..."
        if writer.happens(SHARES["dots"])
        else chosen
        if writer.happens(SHARES["identical"])
        else rejected
    )
    best, other = ("A", "B") if writer.happens(0.76) else ("B", "A")
    criteria = {
        name: rng.choice((best, best, "AB"))
        for name in ("correctness", "relevance", "clarity", "completeness")
    }
    return {
        best: chosen,
        other: rejected,
        "overall": best,
        "criteria": {"overall": best, **criteria, "other": ""},
    }


def argilla(writer: Writer) -> Iterator[dict[str, Any]]:
    for _ in range(2_418):
        rating = float("nan") if writer.happens(0.02) else float(writer.rng.randint(5, 10))
        yield {
            "metadata": None,
            "instruction": writer.text(writer.rng.randint(10, 60)),
            "chosen_response": writer.text(writer.rng.randint(80, 300)),
            "chosen_rating": rating,
            "rejected_response": writer.text(writer.rng.randint(80, 300)),
            "rejected_rating": 4.0,
        }


def mathqa(writer: Writer) -> dict[str, Any]:
    options = [str(writer.rng.randint(1, 999) * 5 + place) for place in range(5)]
    return {
        "Problem": writer.text(35),
        "Rationale": writer.text(40),
        "correct": writer.rng.choice("abcde"),
        "options": " , ".join(
            f"{letter} ) {option}" for letter, option in zip("abcde", options, strict=True)
        ),
        "annotated_formula": "add(n0, n1)",
        "linear_formula": "add(n0,n1)|",
        "category": "general",
    }


def aqua(writer: Writer) -> dict[str, Any]:
    options = [
        f"{letter}){writer.rng.randint(1, 999) * 5 + place}" for place, letter in enumerate("ABCDE")
    ]
    return {
        "question": writer.text(35),
        "options": options,
        "rationale": writer.text(50),
        "correct": writer.rng.choice("ABCDE"),
    }


def sciq(writer: Writer) -> dict[str, Any]:
    four = [f"{writer.text(2)} {place}" for place in range(4)]
    names = ("distractor3", "distractor1", "distractor2", "correct_answer")
    return {
        "question": writer.text(14),
        **dict(zip(names, four, strict=True)),
        "support": writer.text(80),
    }


def arc(writer: Writer) -> dict[str, Any]:
    labels = "1234" if writer.happens(0.03) else "ABCD"
    options = "\n".join(f"{label}. {writer.text(6)} {place}" for place, label in enumerate(labels))
    text = f"Question: {writer.text(22)}\n\nOptions:\n{options}\n\nAnswer:"
    return {"subject": None, "answer": writer.rng.choice(labels), "question": text}


def mmlu(writer: Writer) -> list[str]:
    return [
        writer.text(25),
        *(f"{writer.text(5)} {place}" for place in range(4)),
        writer.rng.choice("ABCD"),
    ]


def gsm8k(writer: Writer) -> dict[str, Any]:
    return {
        "question": writer.text(45),
        "answer": f"{writer.text(50)}\n#### {writer.rng.randint(1, 999)}",
    }


def theoremqa(writer: Writer) -> dict[str, Any]:
    return {
        "Question": writer.text(40),
        "Answer": writer.rng.randint(1, 99),
        "Answer_type": "integer",
        "Picture": None,
        "source": "",
        "id": "",
        "explanation": "",
        "theorem": "none",
        "subfield": "Algebra",
        "field": "Math",
    }


LINES: dict[str, tuple[Callable[[Writer], dict[str, Any]], int]] = {
    "mathqa/train.json": (mathqa, 29_837),
    "mathqa/test.json": (mathqa, 2_985),
    "aqua_rat/train.json": (aqua, 97_467),
    "aqua_rat/test.json": (aqua, 254),
    "sciq/train.json": (sciq, 11_679),
    "sciq/test.json": (sciq, 1_000),
    "arc_challenge/mcqa_ai2_arc_train.jsonl": (arc, 1_119),
    "arc_challenge/mcqa_ai2_arc_test.jsonl": (arc, 1_172),
    "gsm8k/test.jsonl": (gsm8k, 1_319),
    "theoremqa/theoremqa_test.json": (theoremqa, 800),
}
ARRAYS = (
    "mathqa/train.json",
    "mathqa/test.json",
    "sciq/train.json",
    "sciq/test.json",
    "theoremqa/theoremqa_test.json",
)


def write_stand_ins(folder: Path, limit: int, seed: int = 42) -> None:
    """Every file that recipes/gemma2b.yml reads; of all but EPFL's at most `limit` rows."""
    import pyarrow
    import pyarrow.parquet

    writer = Writer(seed)
    _write(folder / "epfl/preferences.json", json.dumps(epfl(writer), ensure_ascii=False))
    (folder / "argilla").mkdir(exist_ok=True)
    table = pyarrow.Table.from_pylist(list(argilla(writer)))
    pyarrow.parquet.write_table(table, folder / "argilla/distilabel-math-preference-dpo.parquet")
    for name, (make, count) in LINES.items():
        rows = [make(writer) for _ in range(min(count, limit))]
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        _write(folder / name, json.dumps(rows) if name in ARRAYS else lines)
    for part, count in (("dev", 5), ("val", 16), ("test", 160)):
        for subject in MMLU:
            path = folder / f"mmlu/{part}/{subject}_{part}.csv"
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("w", encoding="utf-8", newline="") as stream:
                csv.writer(stream).writerows(mmlu(writer) for _ in range(count))


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
