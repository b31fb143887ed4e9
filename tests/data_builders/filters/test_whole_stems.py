"""Questions that stand in a text as whole sentences, looked for in long texts."""

from __future__ import annotations

from data_builders.filters.whole_stems import LONGEST, WholeStems, _runs

STEM = "Which gas do plants take in?"


def words_of(text: str) -> list[str]:
    return text.lower().strip("?. \n").split()


def test_a_question_among_many_short_lines_is_found() -> None:
    stems = WholeStems([STEM.lower().strip("?")], lambda text: " ".join(words_of(text)), words_of)
    lines = "\n".join(["a", "b", "which"] * 1_000)
    assert stems.held_in(lines, 3) == []
    assert stems.held_in(f"{lines}\n{STEM}\n{lines}", 3) == [0]


def test_of_many_short_pieces_only_those_that_open_a_stem_are_followed_and_not_far() -> None:
    class Watched(list[tuple[int, int, list[str]]]):
        handed_on = 0

        def __getitem__(self, at):  # type: ignore[no-untyped-def]
            found = super().__getitem__(at)
            self.handed_on += len(found)
            return found

    pieces = Watched([(at, at + 1, ["which" if at % 4 == 0 else "a"]) for at in range(400)])
    runs = list(_runs(pieces, {"which"}))
    assert len(runs) == 93 * LONGEST + sum(range(4, 29, 4))  # the last seven: 28, 24, ... 4
    assert pieces.handed_on == len(runs)
