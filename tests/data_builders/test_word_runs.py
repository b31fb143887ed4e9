from __future__ import annotations

import random

import pytest

from data_builders.word_runs import RunIndex, Shared, says_something, shared


@pytest.mark.parametrize(
    ("question", "text", "found"),
    [
        ("q r s t u w", "x r s t u y", Shared(4, 4)),
        ("q r s t u w", "q r s x s t u w", Shared(6, 4)),  # q r s and s t u w
        ("q r s q r s", "q r s", Shared(6, 3)),
        ("q r s q r s", "q r s q r s", Shared(6, 6)),
        ("q r", "q r s", Shared(0, 0)),
        ("q r s", "", Shared(0, 0)),
    ],
)
def test_shared_counts_words_in_runs(question: str, text: str, found: Shared) -> None:
    assert shared(question.split(), text.split(), 3) == found
    assert measured([question.split()], [text.split()], 3).get((0, 0), Shared(0, 0)) == found


def test_the_frame_of_exams_does_not_count() -> None:
    frame = ["which", "of", "the", "following", "is", "most", "likely", "to"]
    assert not says_something(frame)
    assert says_something([*frame[:6], "melt", "ice"])
    assert shared(frame, frame, 8) == Shared(0, 0)
    assert measured([frame], [frame], 8) == {}


def measured(questions: list[list[str]], texts: list[list[str]], run: int) -> dict[tuple[int, int], Shared]:
    return {(text, question): found for text, question, found in RunIndex(questions, run).propose(texts)}


def test_the_index_proposes_what_the_plain_definition_finds() -> None:
    chance = random.Random(1)
    questions, texts = (
        [[chance.choice("abqrs") for _ in range(chance.randrange(12))] for _ in range(many)] for many in (40, 60)
    )
    plain = {
        (t, q): found
        for t, text in enumerate(texts)
        for q, question in enumerate(questions)
        if (found := shared(question, text, 3)).covered
    }
    index = measured(questions, texts, 3)
    assert len(plain) > 200
    assert index.keys() == plain.keys()
    assert {pair: found.covered for pair, found in index.items()} == {p: found.covered for p, found in plain.items()}
    # By hash a run is counted in the question alone, so it may look longer than it is, never shorter.
    assert all(index[pair].longest >= plain[pair].longest for pair in plain)


def test_nothing_is_found_in_nothing() -> None:
    assert measured([], [], 8) == {}
    assert measured([], [["q"] * 9], 8) == {}
    assert measured([["q"] * 9], [], 8) == {}
