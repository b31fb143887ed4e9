"""The recipe's search and prompt, opened for the evaluation."""

from __future__ import annotations

from eval.contexts import Retrieval
from stemma.recipe.eval_arms import has_arms
from stemma.stages import Work


def open_retrieval(work: Work) -> Retrieval | None:
    """The database, its search and the context's prompt; None where no variant is asked with
    passages."""
    if not has_arms(work.recipe.eval.variants):
        return None
    raise NotImplementedError
