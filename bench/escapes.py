"""A measurement of which edits hide an evaluation question from decontamination.

A training row asks each question once more, edited.

    .venv/bin/python -m bench.escapes --data FOLDER [--questions 300] [--seed 0]

FOLDER holds files in the course's format (`question` with its options, JSON lines; searched below
it). Each edit is made of every question drawn that it can change; the row holds the edited question
and an answer, and all the drawn questions are looked for in it. Prints a table in Markdown for
docs/data.md: questions edited, and of them missed.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sys
from collections.abc import Callable
from pathlib import Path

from data_builders.filters.decontaminate import EvalQuestion, TrainingTexts, Watch
from data_builders.split import as_set, bare, choices_of, question_key
from stemma.recipe.data import Decontaminate
from stemma.rows import LETTERS

Edit = Callable[[str, random.Random], str]
UNITS = (
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
)
SYNONYMS = {
    "which": "what",
    "following": "listed",
    "is": "happens to be",
    "best": "most aptly",
    "describes": "explains",
    "determine": "work out",
    "find": "compute",
    "calculate": "compute",
    "shows": "demonstrates",
    "because": "since",
    "most likely": "probably",
    "used": "employed",
    "large": "big",
    "many": "a lot of",
    "suppose": "assume",
    "statement": "claim",
    "number": "count",
    "example": "instance",
    "correct": "right",
    "would": "will",
}


def soft_hyphen(text: str, chance: random.Random) -> str:
    return _inside_words(text, "\u00ad", chance)


def zero_width_space(text: str, chance: random.Random) -> str:
    return _inside_words(text, "\u200b", chance)


def _inside_words(text: str, sign: str, chance: random.Random) -> str:
    """In the middle of every third long word."""
    return re.sub(
        r"\b([^\W\d_]{2,})([^\W\d_]{2,})\b",
        lambda w: w[1] + sign * (chance.random() < 1 / 3) + w[2],
        text,
    )


def numbers_as_words(text: str, _chance: random.Random) -> str:
    """Whole numbers up to sixteen that stand alone."""
    return re.sub(r"(?<![\w.,])\d{1,2}(?![\w.,]*\d)(?!\w)", lambda n: _spelled(n[0]), text)


def _spelled(number: str) -> str:
    return UNITS[int(number)] if 1 < int(number) < len(UNITS) else number


def transposed_letters(text: str, chance: random.Random) -> str:
    """Two neighbouring letters within one word of five or more."""
    words = [w for w in re.finditer(r"\b[^\W\d_]{5,}\b", text) if w[0][1:-1] != w[0][1:-1][::-1]]
    if not words:
        return text
    word = chance.choice(words)
    places = [at for at in range(word.start() + 1, word.end() - 2) if text[at] != text[at + 1]]
    at = chance.choice(places)
    return text[:at] + text[at + 1] + text[at] + text[at + 2 :]


def prefix_sentence(text: str, _chance: random.Random) -> str:
    return f"Please think step by step before you answer what I ask. {text}"


def first_three_words_cut(text: str, _chance: random.Random) -> str:
    return " ".join(text.split(" ")[3:])


def light_paraphrase(text: str, _chance: random.Random) -> str:
    """The synonyms above, each word once."""
    for word, other in SYNONYMS.items():
        text = re.sub(rf"\b{word}\b", other, text, count=1, flags=re.IGNORECASE)
    return text


def in_html(text: str, chance: random.Random) -> str:
    """A paragraph with entities between words and one of them in bold."""
    words = text.replace("&", "&amp;").replace("<", "&lt;").split(" ")
    at = chance.randrange(len(words))
    words[at] = f"<b>{words[at]}</b>"
    return (
        "<p>"
        + "".join(word + chance.choice([" ", "&nbsp;"]) for word in words[:-1])
        + words[-1]
        + "</p>"
    )


def from_a_page(text: str, _chance: random.Random) -> str:
    """Ligatures, and every long word behind 40 characters of a line divided at its end."""
    lines = [""]
    for word in text.replace("fi", "\ufb01").replace("fl", "\ufb02").split(" "):
        divided = len(lines[-1]) > 40 and len(word) > 6 and word.isalpha()
        lines[-1] += (word[: len(word) // 2] + "-") if divided else word + " "
        if divided:
            lines.append(word[len(word) // 2 :] + " ")
    return "\n".join(lines).strip()


def other_characters(text: str, _chance: random.Random) -> str:
    """Digits of full width, and single letters as mathematical italics."""
    wide = re.sub(r"[0-9]", lambda digit: chr(0xFF10 + int(digit[0])), text)
    return re.sub(r"\b[b-gi-z]\b", lambda letter: chr(0x1D44E + ord(letter[0]) - ord("a")), wide)


def in_dollars(text: str, _chance: random.Random) -> str:
    """Numbers as formulas of TeX."""
    return re.sub(r"(?<![\w.,$])(\d+(?:\.\d+)?)(?![\w.,$])", r"$\1$", text)


def decimal_commas(text: str, _chance: random.Random) -> str:
    return re.sub(r"(?<![\w.,])(\d+)\.(\d+)(?![\w.,]*\d)", r"\1,\2", text)


def thousands_blank(text: str, _chance: random.Random) -> str:
    """Put a plain blank between groups of three digits, from 1,000 (or 1000) on.

    Years may be among them.
    """
    grouped = re.sub(
        r"(?<![\w.,])\d{1,3}(?:,\d{3})+(?![\w,]|\.\d)", lambda n: n[0].replace(",", " "), text
    )
    return re.sub(
        r"(?<![\w.,])\d{4,9}(?![\w,]|\.\d)", lambda n: f"{int(n[0]):,}".replace(",", " "), grouped
    )


def cyrillic_words(text: str, _chance: random.Random) -> str:
    """Words all of whose letters have a Cyrillic likeness, in those letters ("a", "oxy", "CO").

    Words of both alphabets are read as Latin.
    """
    alike = dict(zip("aceopxyABCEHKMOPTX", "асеорхуАВСЕНКМОРТХ", strict=True))
    word = rf"\b[{''.join(alike)}]+\b"
    return re.sub(word, lambda w: "".join(alike[letter] for letter in w[0]), text)


def numbered(text: str, _chance: random.Random) -> str:
    return f"Q17. {text}"


def with_a_request(text: str, _chance: random.Random) -> str:
    return f"{text} Explain your reasoning."


EDITS: dict[str, Edit] = {
    "soft hyphens within words": soft_hyphen,
    "zero-width spaces within words": zero_width_space,
    "numbers (2 to 16) as words": numbers_as_words,
    "two letters transposed": transposed_letters,
    "a sentence before it": prefix_sentence,
    "`Q17.` before it": numbered,
    "a sentence behind it": with_a_request,
    "as HTML (`&nbsp;`, `<b>`)": in_html,
    "as on a page (hyphens, ligatures)": from_a_page,
    "full-width digits, 𝑥 for x": other_characters,
    "numbers as `$5$`": in_dollars,
    "decimal commas (`3,5` for 3.5)": decimal_commas,
    "thousands with a plain blank": thousands_blank,
    "words wholly in Cyrillic letters": cyrillic_words,
    "first three words cut": first_three_words_cut,
    "light paraphrase (20 synonyms)": light_paraphrase,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--questions", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    questions = draw(given.data, given.questions, given.seed)
    watch = Watch(questions, Decontaminate())
    print(f"{len(questions)} questions, seed {given.seed}, Python {sys.version.split()[0]}\n")
    print("| edit | questions | missed |\n|---|---|---|")
    for name, rows in edited(questions, given.seed).items():
        found = {overlap.row_id for overlap in watch.overlaps(rows)}
        print(f"| {name} | {len(rows)} | {sum(row.row_id not in found for row in rows)} |")


def draw(folder: Path, many: int, seed: int) -> list[EvalQuestion]:
    """Different questions with options, from all files below."""
    found: dict[str, EvalQuestion] = {}
    for path in sorted(folder.rglob("*.jsonl")):
        for line in path.open(encoding="utf-8"):
            asked = json.loads(line).get("question", "")
            if choices := choices_of(asked):
                stem = bare(asked).split("\n\nOptions:")[0].strip()
                found.setdefault(
                    question_key(stem), EvalQuestion("bench", f"q{len(found)}", stem, choices)
                )
    return random.Random(seed).sample(list(found.values()), k=min(many, len(found)))


def edited(questions: list[EvalQuestion], seed: int) -> dict[str, list[TrainingTexts]]:
    """Rows by edit, each of a question that the edit changes."""
    chance = random.Random(seed)
    made: dict[str, list[TrainingTexts]] = {
        "none": [_row(question, question.stem) for question in questions]
    }
    for name, edit in EDITS.items():
        changed = ((question, edit(question.stem, chance)) for question in questions)
        made[name] = [
            _row(question, stem) for question, stem in changed if stem not in (question.stem, "")
        ]
    made["quoted in the answer"] = [
        TrainingTexts(
            q.id, "sft", "explain", frozenset(), ("Explain.", f"You ask: {q.stem} Let us see.")
        )
        for q in questions
    ]
    for name, head in {
        "options under `Choices:`": "\n\nChoices:\n",
        "options in the line, `(A) … (B) …`": " ",
    }.items():
        made[name] = [
            _row(question, question.stem, head + _listed(question)) for question in questions
        ]
    return made


def _listed(question: EvalQuestion) -> str:
    return " ".join(
        f"({letter}) {choice}" for letter, choice in zip(LETTERS, question.choices, strict=False)
    )


def _row(question: EvalQuestion, stem: str, options: str = "") -> TrainingTexts:
    """As the data stage makes it of a question and its answer."""
    asked = stem + options
    return TrainingTexts(
        question.id, "sft", question_key(asked), as_set(choices_of(asked)), (asked, "I see.")
    )


if __name__ == "__main__":
    main()
