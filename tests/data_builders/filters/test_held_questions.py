"""Decontamination against its plain, quadratic definition, on rows of templates and on others."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable

import pytest

from data_builders.filters import held_questions
from data_builders.filters.decontaminate import EvalQuestion, TrainingTexts, overlaps, words_of
from data_builders.filters.held_questions import MOST, HeldQuestions
from data_builders.split import question_key
from stemma.recipe.data import Decontaminate
from tests.data_builders.plain_overlaps import plain_overlaps

Make = Callable[[random.Random], str]
WORDS = [f"{one}{other}" for one in "bdfg" for other in ("alo", "eri", "ito")]


def numbered(chance: random.Random) -> str:
    a = chance.randint(1, 5)
    b = chance.randint(1, 5)
    return (
        f"A car of mass {a} kg drives on a straight level road at {b} m/s when the driver "
        "sees a red light and "
        f"brakes evenly, so that it comes to rest after {a} s. What is the force?"
    )


def cut_by_numbers(chance: random.Random) -> str:
    """No thirteen equal words in a row: coverage decides."""
    a, b, c, d = (chance.randint(1, 3) for _ in range(4))
    return (
        f"Two balls of mass {a} roll down smooth inclined planes of equal length {b} until "
        "they reach flat ground "
        f"with speed {c} and then collide elastically near point {d}"
    )


def named(chance: random.Random) -> str:
    who = chance.choice(["Ada", "Bea", "Carl"])
    what = chance.choice(["iron", "zinc", "tin", "lead", "brass"])
    return (
        f"{who} heats a long rod of pure {what} over a burner and {who} drops it into a "
        "bath of cold water, "
        f"{what} being heavier. How does entropy change, asks {chance.choice(WORDS)}"
    )


def pieces(chance: random.Random) -> str:
    """Frequent sentences in any order with rare words between them."""
    sentences = [
        "the blue kettle boils gently above three steady flames",
        "small green turtles cross sandy beaches during moonlit nights",
        "old clocks tick slowly inside the quiet dusty library",
        "assume that heavy friction can always be neglected here",
    ]
    chosen = chance.sample(sentences, k=chance.randint(1, 3))
    return " ".join(f"{sentence} {' '.join(chance.choices(WORDS, k=4))}" for sentence in chosen)


def graded(chance: random.Random) -> str:
    """One frequent sentence with one's own words covers enough, and both sentences do; one sentence
    does not."""
    own = random.Random(chance.randrange(8)).choices(WORDS, k=9)
    first = "the blue kettle boils gently above three steady flames tonight"
    second = "old clocks tick slowly inside the quiet dusty library hall"
    return " ".join([first, *own, *chance.choice([[second], [second], []])])


def behind_boilerplate(chance: random.Random) -> str:
    """A sentence of exams before questions that are of one template or have most of their words for
    themselves."""
    own = " ".join(chance.choices(WORDS, k=chance.choice([8, 14, 20, 26])))
    asked = chance.choice([numbered(chance), graded(chance), own, own, own])
    return f"Mark the box corresponding to the correct answer without any penalty or doubt. {asked}"


def varied(chance: random.Random) -> str:
    return " ".join(chance.choices(WORDS[:3], k=20))


def again(chance: random.Random) -> str:
    """One of a few questions, so that some rows hold a part of one."""
    return " ".join(random.Random(chance.randrange(6)).choices(WORDS, k=20))


def mixed(chance: random.Random) -> str:
    return chance.choice(
        [numbered, cut_by_numbers, named, pieces, graded, behind_boilerplate, again, varied]
    )(chance)


def question(number: int, text: str, chance: random.Random) -> EvalQuestion:
    choices = tuple(chance.sample(WORDS, k=4)) if chance.random() < 0.3 else ()
    return EvalQuestion("test", f"q{number}", text, choices)


def row(number: int, asked: str, chance: random.Random) -> TrainingTexts:
    """A row that asks; some have a text around the question, or only a part of it."""
    words = asked.split()
    part = " ".join(words[: chance.randint(8, len(words))])
    answer = chance.choice([f"Well, {asked} Let us see: 1 2 3 4 5.", f"{part} or so 1 3", "yes"])
    return TrainingTexts(f"r{number}", "sft: s", question_key(asked), frozenset(), (asked, answer))


@pytest.mark.parametrize(
    "make",
    [numbered, cut_by_numbers, named, pieces, graded, behind_boilerplate, again, varied, mixed],
)
@pytest.mark.parametrize(
    "settings", [{}, {"ngram": 20, "coverage": 0.6}, {"ngram": 5}, {"ngram": 40, "coverage": 1}]
)
@pytest.mark.parametrize("frequent", [2, 16])
def test_it_tells_what_the_plain_definition_tells(
    make: Make, settings: dict[str, float], frequent: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(held_questions, "FREQUENT", frequent)
    monkeypatch.setattr(held_questions, "_LARGE", 2 * frequent)
    monkeypatch.setattr(held_questions, "_AT_ONCE", 2 * frequent)
    monkeypatch.setattr(held_questions, "_FIRST", frequent)
    chance = random.Random(f"{make.__name__} {frequent}")
    evaluation = [question(number, make(chance), chance) for number in range(60)]
    train = [row(number, make(chance), chance) for number in range(20)]
    rules = Decontaminate(**settings)
    assert list(overlaps(train, evaluation, rules)) == plain_overlaps(
        train, evaluation, rules, MOST
    )


def test_the_cases_above_are_told_by_every_rule() -> None:
    chance = random.Random(0)
    evaluation = [question(number, mixed(chance), chance) for number in range(300)]
    train = [row(number, mixed(chance), chance) for number in range(100)]
    found = list(overlaps(train, evaluation, Decontaminate()))
    rules = Counter(overlap.rule for overlap in found)
    assert min(rules["stem"], rules["n-gram"], rules["coverage"]) > 20
    per_row = Counter(overlap.row_id for overlap in found)
    assert max(per_row.values()) == MOST
    assert sum(many < MOST for many in per_row.values()) > 10


def test_a_row_tells_its_own_question_however_many_it_holds() -> None:
    chance = random.Random(0)
    evaluation = [question(number, named(chance), chance) for number in range(200)]
    own = evaluation[-1]
    asked = TrainingTexts("r0", "sft: s", question_key(own.stem), frozenset(), (own.stem,))
    found = list(overlaps([asked], evaluation, Decontaminate()))
    assert len(plain_overlaps([asked], evaluation, Decontaminate(), 1000)) > 90
    assert found == plain_overlaps([asked], evaluation, Decontaminate(), MOST)
    assert (len(found), found[-1].eval_id, found[-1].rule) == (MOST, own.id, "stem")


def test_numbers_that_are_equal_are_found_and_others_are_not() -> None:
    words = words_of(
        "A car of mass 5 kg drives on a straight level road at 7 m s when the light turns red"
    )
    held = HeldQuestions([words], [words], Decontaminate())
    assert dict(held.find([words, [w.replace("7", "8") for w in words], [*words, "8"]])) == {
        0: {0: "n-gram"},
        2: {0: "n-gram"},
    }


@pytest.mark.slow
@pytest.mark.parametrize("make", [numbered, named, pieces, behind_boilerplate, mixed])
def test_four_times_the_rows_are_far_from_sixteen_times_the_work(make: Make) -> None:
    """CPU time, rows and questions of one template: four to five times as long on a free machine,
    up to seven where others take the caches; a quadratic search would take sixteen times."""

    def seconds(many: int) -> float:
        chance = random.Random(0)
        evaluation = [question(number, make(chance), chance) for number in range(many)]
        train = [row(number, make(chance), chance) for number in range(4 * many)]
        started = time.process_time()
        assert len(list(overlaps(train, evaluation, Decontaminate()))) > many / 10
        return time.process_time() - started

    seconds(100)
    assert seconds(16_000) < 9 * seconds(4_000)
