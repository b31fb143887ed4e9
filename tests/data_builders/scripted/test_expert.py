from __future__ import annotations

import json
import random
import urllib.error
import urllib.request
from typing import Any

import pytest

from data_builders.generated.exercises import Exercise, exercises
from data_builders.scripted.expert import Expert, calculate, serve_expert
from data_builders.split import question_key
from stemma.generator.prompts import Prompts

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
    by_calculation = [
        exercise for exercise in exercises(42) if calculate(exercise.question) is not None
    ]
    assert (
        len(by_calculation) == 3 * 13 * 13 + 2 * 13 * 14 // 2 + 2 * 3 * 20
    )  # sums, differences, conversions


@pytest.mark.parametrize(
    ("first", "second", "correctness", "overall"),
    [
        ("19", "18", "A", "A"),
        ("20", "12 + 7 = 19", "B", "B"),
        ("12 + 7 = 19", "19.", "AB", "B"),
        ("18", "20", "None", "tie"),
    ],
)
def test_ranking_is_by_correctness_then_brevity(
    first: str, second: str, correctness: str, overall: str
) -> None:
    ranking = EXPERT.rank("What is 12 + 7?", first, second)
    assert ranking["criteria"]["correctness"] == correctness
    assert ranking["overall"] == overall


def test_about_half_of_its_answers_are_faulty_half_are_sentences_and_the_seed_decides() -> None:
    answers = [EXPERT.answer(KNOWN.question, random.Random(n)) for n in range(400)]
    assert 150 < sum("newton" in answer for answer in answers) < 250
    assert 150 < sum(answer.startswith("It is ") for answer in answers) < 250
    assert set(answers) == {
        said for unit in ("newton", "joule", "watt", "volt") for said in (unit, f"It is {unit}.")
    }
    assert answers == [EXPERT.answer(KNOWN.question, random.Random(n)) for n in range(400)]
    assert EXPERT.answer("What is love?", random.Random(1)) == "I do not know."


OPTIONS = "A. joule\nB. newton\nC. watt"


def tagged(**values: str) -> str:
    return "\n".join(f"<{name}>\n{value}\n</{name}>" for name, value in values.items())


def test_of_options_it_chooses_the_right_one_half_of_the_time() -> None:
    prompt = tagged(question=KNOWN.question, options=OPTIONS)
    replies = [EXPERT.reply(prompt, seed) for seed in range(400)]
    letters = [reply.rpartition("Answer: ")[2] for reply in replies]
    assert set(letters) == {"A", "B", "C"}
    assert 150 < letters.count("B") < 250
    assert (
        replies[letters.index("B")]
        == "A. joule: wrong.\nB. newton: right.\nC. watt: wrong.\nAnswer: B"
    )


def test_of_a_question_it_cannot_solve_it_believes_one_option() -> None:
    prompt = tagged(question="What is love?", options="a ) 1\nb ) 2\nc ) 3\nd ) 4\ne ) 5")
    letters = [EXPERT.reply(prompt, seed)[-1] for seed in range(400)]
    counts = sorted(letters.count(letter) for letter in "ABCDE")
    assert 150 < counts[-1] < 250
    assert counts[0] > 20


@pytest.mark.parametrize("correct", ["A", "A. joule", "(A) joule", "joule"])
def test_it_explains_the_option_it_is_told(correct: str) -> None:
    reply = EXPERT.reply(tagged(question=KNOWN.question, options=OPTIONS, correct=correct), 1)
    assert (
        reply
        == "joule is what the question asks for. newton is something else. watt is something else."
    )


def test_a_ranking_of_explanations_goes_by_their_letters() -> None:
    answers = {
        "answer_a": "Since I say so.\nAnswer: A",
        "answer_b": "Force is measured in newton.\nAnswer: B",
    }
    for told in ({"correct": "B"}, {}):
        prompt = tagged(question=KNOWN.question, options=OPTIONS, **told, **answers)
        assert json.loads(EXPERT.reply(prompt, 1))["overall"] == "B"
    prompt = tagged(question=KNOWN.question, options=OPTIONS, correct="A", **answers)
    assert json.loads(EXPERT.reply(prompt, 1)) == {
        "criteria": {
            "correctness": "A",
            "relevance": "AB",
            "clarity": "A",
            "completeness": "A",
            "conciseness": "A",
            "engagement": "AB",
        },
        "overall": "A",
    }


def test_both_orders_agree_but_for_one_ranking_in_twenty() -> None:
    swapped = {"A": "B", "B": "A", "tie": "tie"}
    pairs = [(f"What is love, number {n}?", f"answer {n}", f"another {n}") for n in range(1000)]
    orders = [
        (EXPERT.rank(question, a, b), EXPERT.rank(question, b, a)) for question, a, b in pairs
    ]
    disagreeing = [
        (one, other) for one, other in orders if one["overall"] != swapped[other["overall"]]
    ]
    assert 30 < len(disagreeing) < 70
    assert {(one["overall"], other["overall"]) for one, other in disagreeing} == {("A", "A")}
    assert {one["criteria"]["correctness"] for one, _ in orders} == {"A", "B", "AB", "None"}


def post(url: str, value: Any) -> tuple[int, Any]:
    request = urllib.request.Request(
        url, json.dumps(value).encode(), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def test_the_server_speaks_chat_completions_and_reads_the_real_prompts() -> None:
    with serve_expert(42) as base_url:

        def ask(name: str, **values: str) -> tuple[int, Any]:
            chat = [vars(message) for message in Prompts().render(name, **values)]
            return post(f"{base_url}/chat/completions", {"model": "m", "seed": 1, "messages": chat})

        known = {"question": KNOWN.question, "options": OPTIONS, "correct": "B. newton"}
        status, answer = ask(
            "rank", **known, answer_a="joule.\nAnswer: A", answer_b="newton.\nAnswer: B"
        )
        assert status == 200
        assert answer["choices"][0]["finish_reason"] == "stop"
        assert json.loads(answer["choices"][0]["message"]["content"])["overall"] == "B"
        text = ask("explain", **known)[1]["choices"][0]["message"]["content"]
        assert text.startswith("newton is what the question asks for.")
        known.pop("correct")
        assert "Answer: " in ask("mathqa", **known)[1]["choices"][0]["message"]["content"]
        assert (
            "Answer: "
            not in ask("answer", question=KNOWN.question)[1]["choices"][0]["message"]["content"]
        )


def test_a_prompt_without_a_question_is_refused() -> None:
    with serve_expert(42) as base_url:
        request = {"model": "m", "seed": 1, "messages": [{"role": "user", "content": "hello"}]}
        status, answer = post(f"{base_url}/chat/completions", request)
        assert (status, answer["error"]["message"]) == (
            400,
            "the prompt holds no <question>…</question>",
        )
        assert post(f"{base_url}/chat/completions", {"model": "m"})[0] == 400
