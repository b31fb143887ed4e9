from __future__ import annotations

import json
import random
import urllib.error
import urllib.request
from typing import Any

import pytest

from data_builders.exercises import Exercise, exercises
from data_builders.expert import Expert, calculate, serve_expert
from data_builders.sources.generated_pairs import render
from data_builders.split import question_key

KNOWN = Exercise("What is the SI unit of force?", "newton", ("joule", "watt", "volt"), "unit")
EXPERT = Expert(42, {question_key(KNOWN.question): KNOWN})


@pytest.mark.parametrize(
    ("question", "right"),
    [
        ("What is 12 + 7?", "19"),
        ("What is 20 - 7?", "13"),
        ("How many metres are 4 kilometres?", "4000"),
        ("How many metres are 4 minutes?", None),
        ("Add 12 and 7.", "19"),
        ("How much is 20 minus 7?", "13"),
        ("Convert 3 minutes to seconds.", "180"),
        ("What is love?", None),
    ],
)
def test_the_expert_calculates(question: str, right: str | None) -> None:
    assert calculate(question) == right


def test_it_solves_every_exercise_as_the_exercise_says() -> None:
    expert = Expert(42, {question_key(exercise.question): exercise for exercise in exercises(42)})
    assert all(expert.solve(exercise.question) == exercise.answer for exercise in exercises(42))
    by_calculation = [exercise for exercise in exercises(42) if calculate(exercise.question) is not None]
    assert len(by_calculation) == 3 * 13 * 13 + 2 * 13 * 14 // 2 + 2 * 3 * 20  # sums, differences, conversions


@pytest.mark.parametrize(
    ("first", "second", "correctness", "overall"),
    [
        ("19", "18", "A", "A"),
        ("20", "12 + 7 = 19", "B", "B"),
        ("12 + 7 = 19", "19.", "AB", "B"),
        ("18", "20", "None", "A"),
    ],
)
def test_ranking_is_by_correctness_then_brevity(first: str, second: str, correctness: str, overall: str) -> None:
    ranking = EXPERT.rank("What is 12 + 7?", first, second)
    assert ranking["criteria"]["correctness"] == correctness
    assert ranking["overall"] == overall


def test_about_half_of_its_answers_are_faulty_and_the_seed_decides() -> None:
    answers = [EXPERT.answer(KNOWN.question, random.Random(n)) for n in range(400)]
    assert 150 < answers.count("newton") < 250
    assert set(answers) == {"newton", "joule", "watt", "volt"}
    assert answers == [EXPERT.answer(KNOWN.question, random.Random(n)) for n in range(400)]
    assert EXPERT.answer("What is love?", random.Random(1)) == "I do not know."


def post(url: str, value: Any) -> tuple[int, Any]:
    request = urllib.request.Request(url, json.dumps(value).encode(), {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def test_the_server_speaks_chat_completions_and_ends_with_its_block() -> None:
    with serve_expert(42) as base_url:
        url = f"{base_url}/chat/completions"
        prompt = render("rank", question="What is 12 + 7?", answer_a="18", answer_b="19")
        status, answer = post(url, {"model": "m", "seed": 1, "messages": [{"role": "user", "content": prompt}]})
        assert status == 200
        assert answer["choices"][0]["finish_reason"] == "stop"
        assert json.loads(answer["choices"][0]["message"]["content"])["overall"] == "B"
        status, answer = post(url, {"model": "m", "seed": 1, "messages": [{"role": "user", "content": "hello"}]})
        assert (status, answer["error"]["message"]) == (400, "the prompt holds no <question>…</question>")
        assert post(url, {"model": "m"})[0] == 400
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(url, timeout=2)
