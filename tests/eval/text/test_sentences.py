from time import process_time

import pytest

from eval.text.sentences import SPLITTER, sentences, words


@pytest.mark.parametrize(
    ("prose", "found"),
    [
        ("", []),
        (" . \n--\n!", []),
        ("One. Two! Three?", ["One.", "Two!", "Three?"]),
        ("1. Heat it. 2. Cool it.", ["1. Heat it.", "2. Cool it."]),
        ("It needs approx. 3.5 N here. Good.", ["It needs approx. 3.5 N here.", "Good."]),
        ("Smith et al. agree, e.g. in Fig. 3.", ["Smith et al. agree, e.g. in Fig. 3."]),
        ("A line\nanother line", ["A line", "another line"]),
        ("x is 5\n\nSo it ends", ["x is 5", "So it ends"]),
        ("القوة هي الكتلة. نص آخر.", ["القوة هي الكتلة.", "نص آخر."]),
        ("Сила равна массе. Вот.", ["Сила равна массе.", "Вот."]),
    ],
)
def test_sentences(prose: str, found: list[str]) -> None:
    assert sentences(prose) == found


def test_words_are_folded_and_numbers_kept_whole() -> None:
    found = words("The cell's Force: 3.5 N, ice-cold (Straße)!")
    assert found == ["the", "cell's", "force", "3.5", "n", "ice-cold", "strasse"]


@pytest.mark.parametrize("sign", ["!", "![", ".["])
def test_a_reply_of_signs_without_end_is_split_in_time(sign: str) -> None:
    begin = process_time()
    assert sentences("It falls. Why" + sign * 100_000)[:1] == ["It falls."]
    assert process_time() - begin < 2  # 4 to 16 seconds, were all of them read


def test_the_splitter_says_its_version() -> None:
    assert SPLITTER.startswith("nupunkt 0.")
