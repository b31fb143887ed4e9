from eval.text.repetition import distinct_2, repeated_sentences


def test_distinct_2_by_hand() -> None:
    assert distinct_2(["a", "b", "c"]) == 1
    assert distinct_2(["a", "b", "a", "b"]) == 2 / 3  # ab, ba, ab
    assert distinct_2(["a"] * 5) == 1 / 4
    assert distinct_2([]) is distinct_2(["a"]) is None


def test_repeated_sentences_by_hand() -> None:
    assert repeated_sentences([["a", "b"], ["c"]]) == 0
    assert repeated_sentences([["a"], ["b"], ["a"], ["a"]]) == 1 / 2
    assert repeated_sentences([["a"]] * 4) == 3 / 4
    assert repeated_sentences([]) is None
