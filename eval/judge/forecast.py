"""The requests and dollars of a recipe's judgings before anything is measured. Sends nothing.

Replies are not known yet: each is taken to be as long as `generation` lets it be, and no two alike,
so what is found is the most there can be. A question is the test row's where the data is built.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from eval.judge.asking import Session
from eval.judge.pairs import Pair, draw, question_of
from stemma.generator.estimate import dry_run
from stemma.generator.ledger import LEDGER
from stemma.generator.prompts import Prompts
from stemma.generator.requests import CHARACTERS_PER_TOKEN
from stemma.jsonl import read_rows
from stemma.recipe.eval_tasks import GenerationTask
from stemma.recipe.evaluation import Judging
from stemma.recipe.models import Recipe
from stemma.rows import SftRow
from stemma.runs import Run
from stemma.stages import server_identity

QUESTION_CHARACTERS = 600
"""Length of a question that is not known yet: longer than most of an exam paper."""


def forecast(recipe: Recipe, run: Run) -> list[dict[str, Any]]:
    """For each judging what a dry run counts (requests, tokens, dollars), as the generator's."""
    options = next((one for one in recipe.eval.tasks if isinstance(one, GenerationTask)), None)
    if options is None:
        return []
    characters = options.max_new_tokens * CHARACTERS_PER_TOKEN
    known = _questions(run, options.limit)
    return [
        _count(recipe, run.root.parent, judging, _pairs(known, judging, recipe.seed, characters))
        for judging in recipe.eval.judge
    ]


def _questions(run: Run, limit: int | None) -> dict[str, str] | None:
    """The questions that `generation` will ask, by id; None where the data is not built."""
    if run.read_manifest("data") is None:
        return None
    rows = read_rows(run.output("data", "sft/test"), SftRow)[:limit]
    return {row.id: question_of(row) for row in rows}


def _pairs(
    known: dict[str, str] | None, judging: Judging, seed: int, characters: int
) -> list[Pair]:
    """As many pairs as will be judged, of replies that are as long as they may be."""
    if known is None:
        known = {str(i): f"{i} ".ljust(QUESTION_CHARACTERS, "?") for i in range(judging.questions)}
    reference, policy = ("r" * characters, "p" * characters)
    return [
        Pair(name, known[name], reference, policy) for name in draw(known, judging.questions, seed)
    ]


def _count(recipe: Recipe, runs: Path, judging: Judging, pairs: list[Pair]) -> dict[str, Any]:
    settings = judging.generator
    identity = server_identity(settings, recipe.seed)
    counting = dry_run(settings, runs / LEDGER, identity)
    counting(Session(judging, Prompts(recipe.path.parent), recipe.seed).jobs(pairs))
    return counting.totals()
