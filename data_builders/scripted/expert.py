"""The scripted expert: answers, explains and ranks like a chat model, over a real HTTP server.

It reads the prompt's tags: `<question>` alone asks for an answer; with `<options>` for a judgement
of each and a last line such as "Answer: B"; with `<correct>` as well for the reasons; with
`<answer_a>` and `<answer_b>` for a ranking; fenced answers for the better one
(`data_builders.scripted.judge`). It knows right from wrong: calculations by calculating,
facts from `exercises`; of any other question it believes what a hash says. About half of its
answers are faulty, as the request's seed decides, so that two chats give pairs worth ranking, and
one ranking in twenty prefers whatever comes first, as judges do.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from data_builders.generated.exercises import CONVERSIONS, Exercise, exercises
from data_builders.scripted.faults import Json
from data_builders.scripted.judge import ShownPair, read_comparison, verdict_json
from data_builders.scripted.server import serve
from data_builders.split import question_key

CRITERIA = ("correctness", "relevance", "clarity", "completeness", "conciseness", "engagement")
POSITION_BIAS = 0.05
"""Share of pairs whose first answer wins in either order."""
CALCULATIONS: dict[str, Callable[[int, int], int]] = {
    r"(?:What is|How much is) (\d+) (?:\+|plus) (\d+)\?": int.__add__,
    r"Add (\d+) and (\d+)\.": int.__add__,
    r"(?:What is|How much is) (\d+) (?:-|minus) (\d+)\?": int.__sub__,
}


@dataclass(frozen=True)
class Expert:
    """Answers and ranks. `known` holds the exercises by question key."""

    seed: int
    known: dict[str, Exercise]

    def reply(self, prompt: str, seed: int) -> str:
        """The reply to a prompt. Raises ValueError when it holds no question."""
        if comparison := read_comparison(prompt):
            return self.compare(comparison)
        question = _tagged(prompt, "question")
        options = _tagged(prompt, "options")
        correct = _tagged(prompt, "correct")
        first = _tagged(prompt, "answer_a")
        second = _tagged(prompt, "answer_b")
        if question is None:
            raise ValueError("the prompt holds no <question>…</question>")
        rng = random.Random(f"{self.seed}/{seed}/{question}")
        choices = _choices(options or "")
        if first is not None and second is not None:
            right = _letter(correct or self.solve(question) or "", choices)
            return json.dumps(self.rank(question, first, second, right))
        if not choices:
            return self.answer(question, rng)
        if correct:
            return _explain(choices, _letter(correct, choices))
        return _judge_options(choices, self.choose(question, choices, rng))

    def solve(self, question: str) -> str | None:
        """The right answer, or None when the question is not of the domain."""
        exercise = self.known.get(question_key(question))
        return calculate(question) or (exercise.answer if exercise else None)

    def answer(self, question: str, rng: random.Random) -> str:
        """A short answer, right or wrong, half of the time as a sentence."""
        right = self.solve(question)
        if right is None:
            return "I do not know."
        exercise = self.known.get(question_key(question))
        wrong = exercise.wrong if exercise else (_off_by_one(right),)
        said = right if rng.random() < 0.5 else rng.choice(wrong)
        return said if rng.random() < 0.5 else f"It is {said}."

    def choose(self, question: str, choices: dict[str, str], rng: random.Random) -> str:
        """The letter it decides for: half of the time the one it believes in."""
        right = _letter(self.solve(question) or "", choices)
        right = right or self._hash(question).choice(sorted(choices))
        if rng.random() < 0.5:
            return right
        return rng.choice([letter for letter in choices if letter != right])

    def rank(self, question: str, first: str, second: str, right: str | None = None) -> Json:
        """The ranking the prompt asks for: by correctness, then by brevity.

        It is the same in either order, bias aside.
        """
        if self._hash(question, *sorted((first, second))).random() < POSITION_BIAS:
            return {"criteria": dict.fromkeys(CRITERIA, "A"), "overall": "A"}
        correctness = _better(
            self._agrees(question, first, right), self._agrees(question, second, right)
        )
        shorter = _better(len(first) <= len(second), len(second) <= len(first))
        criteria = {
            "correctness": correctness,
            "relevance": "AB",
            "clarity": shorter,
            "completeness": correctness,
            "conciseness": shorter,
            "engagement": "AB",
        }
        overall = correctness if correctness in ("A", "B") else shorter
        return {"criteria": criteria, "overall": overall.replace("AB", "tie")}

    def compare(self, comparison: ShownPair) -> str:
        """The better of two fenced answers, ranked as above.

        What stands outside all fences it takes for its user's words, and obeys.
        """
        if ordered := comparison.ordered:
            return verdict_json("as I was told", ordered)
        ranking = self.rank(comparison.question, comparison.first, comparison.second)
        reasons = {
            "A": "Answer 1 is right.",
            "B": "Answer 2 is right.",
            "AB": "Both are right.",
            "None": "Neither is right.",
        }
        reason = reasons[ranking["criteria"]["correctness"]]
        return verdict_json(reason, {"A": "1", "B": "2", "tie": "3"}[ranking["overall"]])

    def _agrees(self, question: str, answer: str, letter: str | None) -> bool:
        decided = re.findall(r"Answer: ([A-J])\b", answer)
        if letter and decided:
            return bool(decided[-1] == letter)
        right, key = self.solve(question), question_key(answer)
        if right is None:
            return self._hash(question, answer).random() < 0.5
        return key.removeprefix("it is ").split("= ")[-1] == question_key(right)

    def _hash(self, *texts: str) -> random.Random:
        return random.Random("/".join((str(self.seed), *texts)))


def _better(first: bool, second: bool) -> str:
    """The mark for the answers that have a merit: one of them, both or neither."""
    if first and second:
        return "AB"
    if first or second:
        return "A" if first else "B"
    return "None"


def _off_by_one(answer: str) -> str:
    return re.sub(r"\d+", lambda number: str(int(number[0]) + 1), answer)


def calculate(question: str) -> str | None:
    """The result of an arithmetic or conversion question; None for any other."""
    for pattern, operation in CALCULATIONS.items():
        if match := re.fullmatch(pattern, question):
            return str(operation(int(match[1]), int(match[2])))
    if match := re.fullmatch(r"How many (\w+) are (\d+) (\w+)\?", question):
        return _convert(int(match[2]), match[3], match[1])
    match = re.fullmatch(r"Convert (\d+) (\w+) to (\w+)\.", question)
    return _convert(int(match[1]), match[2], match[3]) if match else None


def _convert(count: int, large: str, small: str) -> str | None:
    unit, factor = CONVERSIONS.get(large, ("", 0))
    return str(count * factor) if unit == small else None


def _choices(options: str) -> dict[str, str]:
    """Options by letter, from lines such as `A. newton`, `b) joule` or `(C) watt`."""
    lines = re.findall(r"^\s*\(?([A-Ja-j])\s*[.):]\s*(.*?)\s*$", options, re.MULTILINE)
    return {letter.upper(): text for letter, text in lines}


def _letter(answer: str, choices: dict[str, str]) -> str | None:
    """The letter of an answer given as `B`, `B. joule` or `joule`; None when it is no choice."""
    same = [
        letter for letter, text in choices.items() if question_key(text) == question_key(answer)
    ]
    if same and answer:
        return same[0]
    leading = re.match(r"\(?([A-J])(?:[).:]|\s*$)", answer)
    return leading[1] if leading else None


def _judge_options(choices: dict[str, str], decided: str | None) -> str:
    """Every option judged, and the decision: the last line."""
    lines = [
        f"{letter}. {text}: {'right' if letter == decided else 'wrong'}."
        for letter, text in choices.items()
    ]
    return "\n".join([*lines, f"Answer: {decided}"])


def _explain(choices: dict[str, str], right: str | None) -> str:
    """Why one option is right and the others are not, without their letters."""
    right_text = next((text for letter, text in choices.items() if letter == right), "None of them")
    others = [text for letter, text in choices.items() if letter != right]
    sentences = [f"{right_text} is what the question asks for."]
    sentences += [f"{text} is something else." for text in others]
    return " ".join(sentences)


def _tagged(prompt: str, tag: str) -> str | None:
    match = re.search(rf"<{tag}>\s*(.*?)\s*</{tag}>", prompt, re.DOTALL)
    return match[1] if match else None


@contextmanager
def serve_expert(seed: int) -> Iterator[str]:
    """The base URL of a running expert; the server ends with the block."""
    expert = Expert(
        seed, {question_key(exercise.question): exercise for exercise in exercises(seed)}
    )

    def answer(body: Json) -> str:
        return expert.reply(body["messages"][-1]["content"], int(body["seed"]))

    with serve(answer) as server:
        yield server.base_url
