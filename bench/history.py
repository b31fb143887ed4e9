"""What the conversation before a question does to a model that was trained on single questions.

Run `python -m bench.history RECIPE [RUNS]`. The test questions with a known answer, in an order
drawn by the recipe's seed, are asked of the shipped file as chat asks them: each alone, and ten to
a conversation with the history kept. Of multiple-choice and preference rows none are asked.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Sequence
from pathlib import Path

from eval.statistics import wilson
from serve.chat import Chat
from serve.exam import known_rows
from serve.passages import open_passages
from serve.shipped import open_shipped
from stemma.answers import judge
from stemma.recipe.load import load
from stemma.rows import SftRow
from stemma.runs import Run
from stemma.table import markdown

QUESTIONS = 10
"""Of one conversation."""
PLACES = {"first": (0, 1), "second to fourth": (1, 4), "fifth to tenth": (4, QUESTIONS)}


def verdicts(chat: Chat, rows: Sequence[SftRow]) -> list[bool]:
    """Whether each question is answered rightly, ten to a conversation."""
    found = []
    for place, row in enumerate(rows):
        if place % QUESTIONS == 0:
            chat.clear()
        said = "".join(chat.answer(row.messages[-2].content))
        found.append(judge(said, str(row.meta["gold"])) == "right")
    return found


def main() -> None:
    recipe = load(sys.argv[1], [])
    run = Run(Path(sys.argv[2] if len(sys.argv) > 2 else "runs") / recipe.name)
    rows = [row for row in known_rows(run) if len(row.messages) == 2]
    random.Random(recipe.seed).shuffle(rows)
    rows = rows[: len(rows) // QUESTIONS * QUESTIONS]
    lines = []
    with open_shipped(recipe, run) as llama, open_passages(recipe, run, llama) as passages:
        for history in (False, True):
            right = verdicts(Chat(llama, passages, history=history), rows)
            for name, (first, last) in {"all": (0, QUESTIONS), **PLACES}.items():
                some = [one for at, one in enumerate(right) if first <= at % QUESTIONS < last]
                share = sum(some) / len(some)
                low, high = wilson(share, len(some))
                figures = f"{share:.3f} [{low:.3f}–{high:.3f}]"
                switch = "on" if history else "off"
                lines.append([switch, name, f"{sum(some)} / {len(some)}", figures])
    print("\n".join(markdown(["history", "place in the conversation", "right", "share"], lines)))


if __name__ == "__main__":
    main()
