"""Whether a chat's follow-up finds the passage of the question it follows.

Run `python -m bench.follow_ups FOLDER`. SciQ's questions, their supports as passages, found by
BM25 among the first two. After each question comes a follow-up by hand (FOLLOW_UPS), whose passage
is the question's own, or another question of SciQ, whose passage is its own, or `What is …?` on an
answer of SciQ, which must not be taken for a follow-up. `STEMMA_DATA`: see `bench.retrieval_arms`.
"""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.retrieval_arms import SEED, database, questions
from serve.passages import is_follow_up
from stemma.retrieval.search import Searcher, open_searcher
from stemma.rows import LETTERS
from stemma.table import markdown

QUESTIONS = 300
FIRST = 2
FOLLOW_UPS = (
    "Why is that?",
    "Can you explain it more simply?",
    "How is it measured?",
    "Who discovered it?",
    "What is it used for?",
    "Give an example.",
    "Why does it happen?",
    "What happens if it gets colder?",
    "And in plants?",
    "Is it dangerous?",
    "Tell me more.",
    "What causes this?",
    "How do they work?",
    "What are the consequences of that?",
    "Where does it occur?",
    "How many of them are there?",
    "What is the opposite?",
    "Which one is larger?",
    "Does this also hold for animals?",
    "What would happen without it?",
)
Rule = Callable[[str], bool]
RULES: dict[str, Rule] = {
    "the last question alone": lambda _: False,
    "both, always": lambda _: True,
    "both, if it is a follow-up": is_follow_up,
}


def found(searcher: Searcher, pairs: Sequence[tuple[str, str, str]], rule: Rule) -> float:
    """The share of (question before, question, id of its passage) whose passage is found."""
    queries = [f"{before} {asked}" if rule(asked) else asked for before, asked, _ in pairs]
    hits = searcher.search(queries, FIRST)
    own = (any(hit.passage.id == one[2] for hit in of) for of, one in zip(hits, pairs, strict=True))
    return sum(own) / len(pairs)


def main() -> None:
    rows, passages = questions(Path(os.environ["STEMMA_DATA"]))
    random.Random(SEED).shuffle(rows)
    rows = [row for row in rows if row.meta["passage"]][:QUESTIONS]
    own = [str(row.meta["passage"]) for row in rows]
    names = [f"What is {row.choices[LETTERS.index(row.answer)]}?" for row in rows]
    asked = [row.question for row in rows]
    follow = [
        (before, FOLLOW_UPS[place % len(FOLLOW_UPS)], own[place])
        for place, before in enumerate(asked)
    ]
    other = list(zip(asked, asked[1:] + asked[:1], own[1:] + own[:1], strict=True))
    lines = []
    with open_searcher(database(Path(sys.argv[1]), passages)) as searcher:
        for name, rule in RULES.items():
            taken = [sum(map(rule, one)) / len(one) for one in (asked, names)]
            shares = [found(searcher, pairs, rule) for pairs in (follow, other)]
            lines.append([name, *(f"{one:.3f}" for one in (*shares, *taken))])
    heads = ("searched with", "follow-up found", "new question found", "joined of these")
    print(markdown((*heads, "joined of `What is …?`"), lines))


if __name__ == "__main__":
    main()
