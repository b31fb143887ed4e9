"""The verdict on a reply: one rule for evaluation, for pairs and for the shipped model. Pure.

    gold      reply                               verdict
    19        It is 19, for 12 + 7 = 19, not 20.  right
    newton    It is not newton but joule.         wrong
    3         x = 3 or 4                          undecided
    newton    B (where option B is newton)        right

What counts is the reply's final statement: what it announces ("The answer is …", `\\boxed{…}`,
`#### …`), otherwise its last finished sentence, or the one sentence with a number in it. A gold
answer that is a number or a quantity is compared by value and unit, any other by its words. Where
the question lists options and one of them is the gold answer, the option that the reply picks
decides, by its letter or its text
(`stemma.answers.options`). An undecided reply states nothing that can be compared, or more than one
thing; it is counted, and never right.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from string import ascii_uppercase
from typing import Literal

from stemma.answers.claims import finished, plain
from stemma.answers.options import as_option, last_letter, stated_choices
from stemma.answers.quantities import Quantity, compare, is_one, quantity, stated
from stemma.answers.texts import judge_text

Verdict = Literal["right", "wrong", "undecided"]
_UNSEEN = ("Cc", "Cf", "Zl", "Zp", "Zs")
"""Unicode's categories of characters that leave no mark: controls, joiners, blanks."""


def is_empty(reply: str) -> bool:
    """Whether a reply holds no character that can be seen."""
    return all(unicodedata.category(character) in _UNSEEN for character in reply)


def judge(reply: str, gold: str, choices: Sequence[str] = ()) -> Verdict:
    """The verdict on a reply, by the gold answer.

    `choices` are the options that the question lists, if it does.
    """
    text = plain(unicodedata.normalize("NFC", reply))
    gold = unicodedata.normalize("NFC", gold)
    if not text:
        return "undecided"
    if picked := stated_choices(text, choices) if _lists_once(choices, gold) else set():
        said = {as_option(choices[ascii_uppercase.index(letter)]) for letter in picked}
        if as_option(gold) not in said:
            return "wrong"  # whichever of them is meant
        return "undecided" if len(said) > 1 else "right"
    wanted = quantity(gold)
    last = last_letter(len(choices))
    found = (
        judge_text(text, gold, last) if wanted is None else _judge_quantity(finished(text), wanted)
    )
    return "undecided" if found is None else "right" if found else "wrong"


def states_gold(reply: str, gold: str) -> bool | None:
    """The verdict as pairs take it: None is undecided."""
    return {"right": True, "wrong": False}.get(judge(reply, gold))


def _lists_once(choices: Sequence[str], gold: str) -> bool:
    return list(map(as_option, choices)).count(as_option(gold)) == 1


def _judge_quantity(text: str, wanted: Quantity) -> bool | None:
    said, denied = stated(text)
    if not said:
        return False if any(compare(one, wanted) for one in denied) else None
    found = {compare(one, wanted) for one in said}
    if len(found) == 1 and (found == {True} or is_one(said)):
        return found.pop()
    return True if found == {True, None} and is_one(said) else None
