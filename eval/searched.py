"""The search alone: whether a question's own passage is found, and at which rank, by each arm.

Recall@k, MRR@10 and nDCG@10 by ir-measures (trec_eval's definitions), over the questions whose own
passage is known. A passage that holds a question's whole support, or lies in it, counts as its
passage once, at the first rank. Arms are compared on the same questions by a randomised test of
paired differences (Smucker, Allan and Carterette, CIKM 2007, 623-632), with Holm's correction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np

from eval.contexts import Retrieval
from eval.gold import GoldPassages
from eval.statistics import bootstrap_mean, holm
from stemma.digests import digest_json
from stemma.retrieval.passages import Hit, Passage
from stemma.rows import Score

TASK = "retrieval"
"""The scores' task; their variant is the arm of the search."""
DEPTH = 10
MEASURES = {
    "recall_at_1": ("R", 1),
    "recall_at_5": ("R", 5),
    "recall_at_10": ("R", 10),
    "mrr_at_10": ("RR", 10),
    "ndcg_at_10": ("nDCG", 10),
}
"""By our names, ir-measures's and the rank they look down to."""
SHUFFLES = 10_000
AT_ONCE = 500
"""Sign changes drawn together: 40 MB for 10,000 questions."""

Ranks = list[str]
"""Ids of the passages that a search found, best first."""
PerQuery = dict[str, list[float]]
"""By measure: its value for each question, in one order."""


def ranked(hits: Sequence[Hit], gold: list[Passage], judge: GoldPassages) -> Ranks:
    """The ids of the hits; one of the question's own passages bears the gold passage's id, once."""
    found: Ranks = []
    for hit in hits:
        own = [one.id for one in gold if judge.is_own(hit.passage, [one])]
        name = own[0] if own else hit.passage.id
        if name not in found:
            found.append(name)
    return found


def search_key(retrieval: Retrieval, questions: Mapping[str, list[Passage]]) -> str:
    """The name of what was searched, by all that decides it: questions with their own passages,
    the database, and whether contaminated passages are found."""
    golds = {query: [[one.id, one.text] for one in gold] for query, gold in questions.items()}
    read = {name: retrieval.decides.get(name) for name in ("database", "with_contaminated")}
    decides = {"questions": golds, "arms": retrieval.search_arms, "depth": DEPTH}
    return digest_json(decides | read)[:32]


def per_query(ranks: Sequence[Ranks], gold: Sequence[Sequence[str]]) -> PerQuery:
    """Each measure of each question. `gold`: ids of each question's own passages, at least one."""
    import ir_measures  # loads trec_eval

    names = [str(place) for place in range(len(ranks))]
    qrels = {name: dict.fromkeys(own, 1) for name, own in zip(names, gold, strict=True)}
    run = {
        # By rank alone: trec_eval orders equal scores by their ids.
        name: {passage: float(-rank) for rank, passage in enumerate(found)} or {"": 0.0}
        for name, found in zip(names, ranks, strict=True)
    }
    measures = {
        getattr(ir_measures, theirs) @ rank: ours for ours, (theirs, rank) in MEASURES.items()
    }
    values: dict[str, dict[str, float]] = {ours: {} for ours in MEASURES}
    for found in ir_measures.iter_calc(list(measures), qrels, run):
        values[measures[found.measure]][found.query_id] = float(found.value)
    return {ours: [values[ours][name] for name in names] for ours in MEASURES}


def search_scores(found: Mapping[str, PerQuery], queries: Sequence[str], seed: int) -> list[Score]:
    """Each arm's measures with bootstrap intervals, and the arms' paired differences.

    `queries`: the questions, in the order of the values.
    """
    rows = []
    n = len(queries)
    for arm, measures in found.items():
        for name, values in measures.items():
            low, high = bootstrap_mean(values, queries, seed)
            rows.append(_score(arm, name, float(np.mean(values)), n, (low, high)))
    for name in MEASURES:
        rows += _differences(found, name, queries, seed)
    return rows


def _differences(
    found: Mapping[str, PerQuery], name: str, queries: Sequence[str], seed: int
) -> list[Score]:
    pairs = list(combinations(found, 2))
    n = len(queries)
    changes = [np.subtract(found[b][name], found[a][name]) for a, b in pairs]
    p_values = [randomisation_p(change, seed) for change in changes]
    rows = []
    for (a, b), change, p, corrected in zip(pairs, changes, p_values, holm(p_values), strict=True):
        metric = f"{name}_minus_{a}"
        interval = bootstrap_mean(change.tolist(), queries, seed)
        rows.append(_score(b, metric, float(change.mean()), n, interval))
        rows.append(_score(b, f"{metric}_p", p, n))
        rows.append(_score(b, f"{metric}_p_holm", corrected, n))
    return rows


def randomisation_p(changes: Sequence[float] | np.ndarray, seed: int) -> float:
    """Two-sided p-value of no difference in the mean, from SHUFFLES random changes of sign."""
    values = np.asarray(changes, dtype=np.float64)
    values = values[values != 0]
    if not len(values):
        return 1.0
    rng = np.random.default_rng(seed)
    at_least = abs(values.sum()) - 1e-9
    further = 0
    for _ in range(SHUFFLES // AT_ONCE):
        signs = rng.integers(0, 2, size=(AT_ONCE, len(values)), dtype=np.int8) * 2 - 1
        further += int((np.abs(signs @ values) >= at_least).sum())
    # The sums found count as one of the draws: p is never 0.
    return (further + 1) / (SHUFFLES + 1)


def _score(
    arm: str, metric: str, value: float, n: int, interval: tuple[float, float] | None = None
) -> Score:
    low, high = interval or (None, None)
    return Score(variant=arm, task=TASK, metric=metric, value=value, n=n, low=low, high=high)
