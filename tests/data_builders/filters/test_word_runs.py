from __future__ import annotations

import random

import pytest

from data_builders.filters.word_runs import NOTHING, Hits, RunIndex, Words
from tests.data_builders.plain_overlaps import Shared, boilerplate, says_something, shared

FRAME_OF_EXAMS = ["which", "of", "the", "following", "is", "most", "likely", "to"]


@pytest.mark.parametrize(
    ("question", "text", "found"),
    [
        ("q r s t u w", "x r s t u y", Shared(4, 4, 6)),
        ("q r s t u w", "q r s x s t u w", Shared(6, 4, 6)),  # q r s and s t u w
        ("q r s q r s", "q r s", Shared(6, 3, 6)),
        ("q r s q r s", "q r s q r s", Shared(6, 6, 6)),
        ("q r", "q r s", Shared(0, 0, 2)),
        ("q r s", "", Shared(0, 0, 3)),
    ],
)
def test_the_plain_definition_counts_words_in_runs(question: str, text: str, found: Shared) -> None:
    assert shared(question.split(), text.split(), 3) == found


def test_runs_are_numbered_and_have_their_questions() -> None:
    index = RunIndex([["q", "r", "s", "t"], [], ["q", "r", "s"]], run=3, ngram=4)
    windows = index.windows
    first, second = windows.at[0], windows.at[1]  # q r s, r s t
    assert windows.at.tolist() == [
        first,
        second,
        NOTHING,
        NOTHING,
        NOTHING,
        NOTHING,
        first,
        NOTHING,
        NOTHING,
        NOTHING,
    ]
    assert (windows.holders(first).tolist(), windows.holders(second).tolist()) == ([0, 2], [0])
    assert (windows.counts[first], windows.counts[second]) == (2, 1)
    assert index.ngrams.holders(0).tolist() == [0]
    assert list(index.hits([["x"], ["q", "r", "s", "t", "q", "r", "s"], ["r", "s", "t"]])) == [
        Hits(1, sorted([first, second]), [0]),
        Hits(2, [second], []),
    ]


def test_runs_of_the_very_same_questions_are_one_class() -> None:
    windows = RunIndex(
        [["q", "r", "s", "t", "u"], ["q", "r", "s", "t", "v"], ["v", "s", "t", "u"]], 3, 3
    ).windows
    q_r_s, r_s_t, s_t_u = windows.at[0:3]
    assert windows.classes[q_r_s] == windows.classes[r_s_t] != windows.classes[s_t_u]


def test_the_frame_of_exams_does_not_count() -> None:
    assert not says_something(FRAME_OF_EXAMS)
    assert says_something([*FRAME_OF_EXAMS[:6], "melt", "ice"])
    assert list(RunIndex([FRAME_OF_EXAMS], 8, 8).hits([FRAME_OF_EXAMS])) == []
    melt = [*FRAME_OF_EXAMS[:6], "melt", "ice"]
    assert list(RunIndex([melt], 8, 8).hits([melt])) == [Hits(0, [0], [0])]


BOX = ["mark", "box", "corresponding", "correct", "answer", "below", "please"]


def with_own_words(number: int) -> Words:
    return [*BOX, *(f"w{number}x{place}" for place in range(8))]


@pytest.mark.parametrize(("many", "says"), [(4, True), (5, False)])
def test_what_five_different_questions_have_says_nothing(many: int, says: bool) -> None:
    questions = [with_own_words(number) for number in range(many)]
    index = RunIndex(questions, 7, 7)
    assert bool(list(index.hits([BOX]))) == says == (tuple(BOX) not in boilerplate(questions, 7))
    assert index.own.tolist() == [*([says] * 7 + [True] * 8 + [True])] * many
    assert [hits.text for hits in index.hits(questions)] == list(range(many))  # by their own words


def test_instances_of_one_exercise_are_one_question() -> None:
    numbered = [[*BOX, "w1x0", str(number), *with_own_words(0)[9:]] for number in range(9)]
    assert list(RunIndex(numbered, 7, 7).hits([BOX]))
    assert not list(RunIndex([*numbered, *map(with_own_words, range(2, 6))], 7, 7).hits([BOX]))


def test_a_template_is_what_its_questions_ask() -> None:
    filled = [[*BOX, f"w{number}"] for number in range(9)]
    assert list(RunIndex(filled, 7, 7).hits([BOX]))
    assert not boilerplate(filled, 7)


def test_the_index_hits_what_the_words_have_in_common() -> None:
    chance = random.Random(1)
    questions, texts = (
        [[chance.choice("abqrs") for _ in range(chance.randrange(12))] for _ in range(many)]
        for many in (80, 120)
    )
    index = RunIndex(questions, 3, 4)
    found = {hits.text: hits for hits in index.hits(texts)}
    for text, words in enumerate(texts):
        windows = (
            [held(questions, index.windows.example[run], 3) for run in found[text].windows]
            if text in found
            else []
        )
        ngrams = (
            [held(questions, index.ngrams.example[run], 4) for run in found[text].ngrams]
            if text in found
            else []
        )
        assert sorted(windows) == sorted(telling(words, 3, 3) & of_any(questions, 3, 3))
        assert sorted(ngrams) == sorted(telling(words, 4, 3) & of_any(questions, 4, 3))
    assert sum(len(hits.ngrams) for hits in found.values()) > 20


def held(questions: list[list[str]], place: int, length: int) -> tuple[str, ...]:
    """The run that begins at a place of the questions' words, which have a border behind each
    question."""
    words = [word for question in questions for word in [*question, ""]]
    return tuple(words[place : place + length])


def telling(words: Words, length: int, run: int) -> set[tuple[str, ...]]:
    """The runs of a length all of whose windows say something."""
    runs = {tuple(words[start : start + length]) for start in range(len(words) - length + 1)}
    return {
        one
        for one in runs
        if all(says_something(one[at : at + run]) for at in range(length - run + 1))
    }


def of_any(questions: list[list[str]], length: int, run: int) -> set[tuple[str, ...]]:
    return set().union(*(telling(question, length, run) for question in questions))


def test_nothing_is_found_in_nothing() -> None:
    assert list(RunIndex([], 8, 13).hits([])) == []
    assert list(RunIndex([], 8, 13).hits([["q"] * 9])) == []
    assert list(RunIndex([["q"] * 9], 8, 13).hits([])) == []
    assert list(RunIndex([[]], 8, 13).hits([[]])) == []
