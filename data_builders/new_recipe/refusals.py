"""What is said of a table that may be meant otherwise: it is refused rather than guessed."""

from __future__ import annotations

from collections.abc import Sequence

from data_builders.new_recipe.look import Seen
from data_builders.new_recipe.names import named
from stemma.errors import Problem


def which_is_right(seen: Seen, choices: Sequence[str], answer: str | None) -> Problem:
    said = f", and `{answer}` (`{seen.values(answer)[0]}`, …) names none" if answer else ""
    found = f"choices under {', '.join(choices)}{said}"
    expected = "a column that says which one is right: its letter, its number from 1, or its text"
    hint = "give the file one column `answer` with the letter of the right choice"
    return Problem(str(seen.path), found, expected, hint)


def which_answer(seen: Seen, several: Sequence[str]) -> Problem:
    found = f"each of {', '.join(several)} may be the answer"
    expected = "one column `answer`, or a better and a worse one"
    hint = "rename them in the header line: `answer`; or `chosen` and `rejected`"
    return Problem(str(seen.path), found, expected, hint)


def no_choices(seen: Seen, answer: str) -> Problem:
    found = f"letters under {answer} (`{seen.values(answer)[0]}`, …), and no choices they name"
    column = named(seen.columns, "choices")
    hint = f"split {column} into columns A, B, C, D" if column else "write each right answer out"
    return Problem(str(seen.path), found, "a column for each choice: A, B, C, D", hint)
