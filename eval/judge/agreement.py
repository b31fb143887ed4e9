"""The agreement of two judges on the same pairs: Cohen's kappa (1960). Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from eval.judge.verdicts import PairVerdict
from stemma.digests import digest_json


@dataclass(frozen=True)
class JudgeAgreement:
    """Agreement on n pairs: its share, and what of it is more than chance."""

    n: int
    agreed: float
    kappa: float | None
    """None where chance alone agrees on all: both always say the same one thing."""


def key_of_pair(one: PairVerdict) -> str:
    """The pair by its texts, so that a verdict outlives the run it was given in."""
    return digest_json([one.question, one.answers["reference"], one.answers["policy"]])


def agreement(first: Sequence[PairVerdict], second: Sequence[PairVerdict]) -> JudgeAgreement | None:
    """Their agreement on the pairs that both judged; None where there is none.

    Who disagrees with himself over the two orders is taken to see a tie; invalid pairs are left
    out, and so are equal answers, which nobody was asked about.
    """
    there = {key_of_pair(one): category for one in second if (category := _category(one))}
    pairs = [
        (category, there[key_of_pair(one)])
        for one in first
        if (category := _category(one)) and key_of_pair(one) in there
    ]
    return kappa(pairs) if pairs else None


def _category(one: PairVerdict) -> str | None:
    if one.identical or one.outcome == "invalid":
        return None
    return "tie" if one.outcome == "disagreement" else one.outcome


def kappa(pairs: Sequence[tuple[str, str]]) -> JudgeAgreement:
    """Cohen's kappa of pairs of categories: (agreed - by chance) / (1 - by chance)."""
    n = len(pairs)
    agreed = sum(mine == theirs for mine, theirs in pairs) / n
    mine = Counter(one for one, _ in pairs)
    theirs = Counter(other for _, other in pairs)
    chance = sum(count * theirs[name] for name, count in mine.items()) / n**2
    return JudgeAgreement(n, agreed, None if chance == 1 else (agreed - chance) / (1 - chance))
