"""Retrieval's part of the eval stage: rows in their arms before measuring, figures behind it.

Behind it: arms compared in pairs, the search alone, citation faithfulness by deletion, and the risk
of answering at each threshold of the search's score.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from eval.abstention import Answers, curve
from eval.abstention import metrics as risk_metrics
from eval.arms import arm_scores, compared_arms, shared_rows
from eval.cells import MEASURED, cell_of, jobs_of, variant_of
from eval.contexts import FOLDER, Retrieval, RowContext, RowsInContext, Used, rows_in_context
from eval.deletion import deletions, falls, passages_without, rows_to_compare
from eval.deletion import metrics as deletion_metrics
from eval.further import Further
from eval.job import Job, Measured, Records
from eval.measuring import Measuring
from eval.questions_asked import bare_stem_of, user_turn
from eval.rows_to_score import RowsToScore, read_task
from eval.sealed import is_whole, sealing
from eval.searched import DEPTH, TASK, Ranks, per_query, ranked, search_key, search_scores
from eval.task import Metric, TaskScores
from eval.tasks import TASKS
from stemma.digests import digest_json
from stemma.errors import Problem, UserError
from stemma.jsonl import read_dicts, write_jsonl
from stemma.recipe.eval_arms import Arm, answers_in_arms, has_arms, split_arm, with_arm
from stemma.recipe.eval_tasks import PreferenceTask
from stemma.retrieval.passages import Hit, Passage
from stemma.stages import Work

REPLIES = "generation"
ANSWERED = ("mcq", "generation")
"""Tasks whose answers are right or wrong by themselves."""


@dataclass(frozen=True)
class ArmRows:
    """The rows of every task in every arm that the recipe asks for."""

    retrieval: Retrieval | None = None
    """None: no variant is asked with passages."""
    found: dict[str, RowsInContext] = field(default_factory=dict)
    """By `Cell.rows`: `mcq+retrieved`, …"""
    closed: Mapping[str, RowsToScore] = field(default_factory=dict)
    """The same tasks' rows without passages."""

    @property
    def files(self) -> dict[str, Path]:
        return {name: one.path for name, one in self.found.items()}

    @property
    def rows(self) -> dict[str, RowsToScore]:
        """All rows to score, those without passages too."""
        return {**self.closed, **{name: one.rows for name, one in self.found.items()}}

    def counted(self) -> dict[str, Any]:
        """Rows that each task scores in each arm, and leaves out, for the manifest."""
        return {
            name: {"scored": len(one.rows.rows), "skipped": one.left_out}
            for name, one in self.found.items()
        }


def arm_rows(work: Work, rows: Mapping[str, RowsToScore], retrieval: Retrieval | None) -> ArmRows:
    """Put passages before the questions of every arm, or read what was put before.

    Raises UserError where an arm has no row to score in any task.
    """
    section = work.recipe.eval
    if retrieval is None or not has_arms(section.variants):
        return ArmRows(closed=rows)
    measured = work.run.root.parent / MEASURED
    found: dict[str, RowsInContext] = {}
    problems = []
    for arm in dict.fromkeys(arm for name in section.variants if (arm := split_arm(name)[1])):
        tasks = [one.task for one in section.tasks if answers_in_arms(one.task, arm)]
        made = {task: rows_in_context(retrieval, task, arm, rows[task], measured) for task in tasks}
        found |= {with_arm(task, arm): one for task, one in made.items() if one}
        if not any(made.values()):
            problems.append(_no_row(arm))
    if problems:
        raise UserError(problems)
    return ArmRows(retrieval, found, rows)


def _no_row(arm: Arm) -> Problem:
    expected = '`meta["passage"]` (an id of the database) or `meta["support"]` in some test rows'
    found = f"no test row names a passage of its own, so no question can be asked as `+{arm}`"
    hint = f"leave the arm `{arm}` out, or raise a task's `limit`; rows that an earlier version "
    hint += "built hold no support: `make data FORCE=1`"
    return Problem("eval.variants", found, expected, hint)


def arm_figures(
    work: Work, measured: Measured, scored: Mapping[str, Mapping[str, TaskScores]], arms: ArmRows
) -> Further:
    """All figures of retrieval; none where no variant is asked with passages."""
    if arms.retrieval is None:
        return Further()
    compared = compared_arms(scored)
    searched = _searched(work, arms.retrieval, arms)
    deleted = _deleted(work, measured, arms)
    points, risk = _risks(work, scored, arms)
    samples: dict[str, Records] = {
        f"contexts/{name}": [context.model_dump() for context in one.contexts]
        for name, one in arms.found.items()
    }
    shared = shared_rows(scored, work.recipe.seed)
    samples |= {"arms": [one.model_dump() for one in compared]}
    samples |= {"arm_table": [one.model_dump() for one in shared]}
    samples |= {"retrieval_risk": searched.samples.pop("risk", []) + points}
    return Further(
        [*arm_scores(compared), *searched.scores, *deleted.scores, *risk],
        samples | searched.samples | deleted.samples,
        {"retrieval": searched.facts | _left_out(arms)},
    )


def _left_out(arms: ArmRows) -> dict[str, Any]:
    """Of each task and arm: rows, rows left out, rows asked without passages, mean tokens."""
    found = {}
    for name, one in arms.found.items():
        asked = [context for context in one.contexts if context.passages]
        tokens = sum(context.tokens for context in asked)
        found[name] = {
            "rows": len(one.contexts),
            "left out, no passage of their own": one.left_out,
            "asked without passages": len(one.contexts) - len(asked),
            "mean tokens of passages": round(tokens / len(asked), 1) if asked else 0,
        }
    return {"contexts": found}


def _searched(work: Work, retrieval: Retrieval, arms: ArmRows) -> Further:
    """The search alone, over the distinct questions whose own passage is known."""
    questions: dict[str, list[Passage]] = {}
    for task in dict.fromkeys(name.partition("+")[0] for name in arms.found):
        for row in arms.closed[task].rows:
            if gold := retrieval.gold.of(row):
                questions.setdefault(bare_stem_of(row), gold)
    facts = {"questions with a passage of their own": len(questions), "measured": {}}
    if not questions:
        return Further(facts=facts)
    queries = list(questions)
    golds = [[one.id for one in questions[query]] for query in queries]
    kept = _kept_ranks(work, retrieval, questions)
    values = {
        arm: per_query([record[arm]["ranks"] for record in kept], golds)
        for arm in retrieval.search_arms
    }
    seed = work.recipe.seed
    points, scores = [], search_scores(values, queries, seed)
    for arm in retrieval.search_arms:
        best = [record[arm]["best"] for record in kept]
        wrong = [value < 1 for value in values[arm]["recall_at_1"]]
        found = _by_score(best, wrong)
        points += _points(f"search: {arm}", TASK, found)
        scores += [one.score(arm, TASK) for one in _area(found, seed)]
    # No samples file stands behind a search's figures under a variant's name.
    scores = [score.model_copy(update={"samples": "searched.jsonl"}) for score in scores]
    return Further(scores, {"searched": kept, "risk": points}, facts)


def _kept_ranks(
    work: Work, retrieval: Retrieval, questions: Mapping[str, list[Passage]]
) -> Records:
    """What each arm of the search ranks for each question, searched once."""
    golds = {query: [one.id for one in gold] for query, gold in questions.items()}
    folder = work.run.root.parent / MEASURED / FOLDER / f"search-{search_key(retrieval, questions)}"
    if not is_whole(folder):
        records: Records = [{"query": query, "gold": gold} for query, gold in golds.items()]
        for arm in retrieval.search_arms:
            hits = retrieval.search(list(golds), DEPTH, arm)
            for record, found in zip(records, hits, strict=True):
                record[arm] = _shown(found, questions[record["query"]], retrieval)
        with sealing(folder) as part:
            write_jsonl(part / "searched.jsonl", records)
    return read_dicts(folder / "searched.jsonl")


def _shown(hits: Sequence[Hit], gold: list[Passage], retrieval: Retrieval) -> dict[str, Any]:
    ranks: Ranks = ranked(hits, gold, retrieval.gold)
    return {"ranks": ranks, "best": _relevance(hits[0]) if hits else None}


def _relevance(found: Hit | Used) -> float | None:
    """What a search's threshold is compared with: the cosine, or without vectors the score."""
    return found.score if found.cosine is None else found.cosine


def _by_score(best: Sequence[float | None], wrong: Sequence[bool]) -> Answers:
    """Answers by the score of their first passage; those without any come last."""
    known = [score for score in best if score is not None]
    least = min(known, default=0.0) - 1
    return Answers([least if score is None else score for score in best], wrong)


def _points(variant: str, task: str, found: Answers) -> Records:
    return [
        {"variant": variant, "task": task, "coverage": coverage, "risk": risk}
        for coverage, risk in curve(found)
    ]


def _area(found: Answers, seed: int) -> Iterator[Metric]:
    """The risk's area by the search's score, under names of their own."""
    for one in risk_metrics(found, None, seed):
        yield replace(one, name=f"{one.name}_by_score")


def _risks(
    work: Work, scored: Mapping[str, Mapping[str, TaskScores]], arms: ArmRows
) -> tuple[Records, list[Any]]:
    """How often each variant errs where it answers only above a score of the search: what the
    threshold below which nothing is retrieved trades."""
    points, scores = [], []
    for variant, tasks in scored.items():
        if split_arm(variant)[1] != "retrieved":
            continue
        for task in ANSWERED:
            right = tasks[task].right.get("accuracy") if task in tasks else None
            if not right:
                continue
            contexts = [one for one in _contexts(arms, task) if one.id in right]
            best = [_relevance(one.passages[0]) if one.passages else None for one in contexts]
            found = _by_score(best, [not right[one.id] for one in contexts])
            points += _points(variant, task, found)
            scores += [one.score(variant, task) for one in _area(found, work.recipe.seed)]
    return points, scores


def _contexts(arms: ArmRows, task: str) -> list[RowContext]:
    return arms.found[with_arm(task, "retrieved")].contexts


def _deleted(work: Work, measured: Measured, arms: ArmRows) -> Further:
    """Citation faithfulness of every variant that wrote replies with what was retrieved."""
    scores, samples = [], {}
    names = [name for name in work.recipe.eval.local if split_arm(name)[1] == "retrieved"]
    for name in names:
        if REPLIES not in measured[name]:
            continue
        rows = _falls(work, name, measured[name][REPLIES], arms)
        if rows:
            found = deletion_metrics(rows, work.recipe.seed)
            scores += [one.score(name, REPLIES) for one in found]
            samples[f"deletion/{name}"] = rows
    return Further(scores, samples)


def _falls(work: Work, name: str, replies: Records, arms: ArmRows) -> Records:
    assert arms.retrieval is not None
    contexts = {one.id: one for one in _contexts(arms, REPLIES)}
    found = deletions(replies, list(contexts.values()), work.recipe.seed)
    if not found:
        return []
    rows = {row.id: row for row in arms.closed[REPLIES].rows}
    putter = arms.retrieval.putter

    def without(row: str, number: int | None) -> str:
        kept = passages_without(contexts[row].passages, number)
        return putter.put(user_turn(rows[row]), list(map(_hit, kept))).text

    said = {sample["id"]: str(sample["reply"]) for sample in replies}
    compared = list(rows_to_compare(found, rows, said, without))
    measured = work.run.root.parent / MEASURED
    digest = digest_json([row.model_dump() for row in compared])[:32]
    path = measured / FOLDER / f"deletion-{digest}" / "rows.jsonl"
    if not is_whole(path.parent):
        with sealing(path.parent) as part:
            write_jsonl(part / path.name, compared)
    return falls(found, _measured(work, name, path))


def _measured(work: Work, name: str, path: Path) -> Records:
    """The log-probabilities of pairs in a file, by one variant."""
    variant = variant_of(work, name)
    options = PreferenceTask(task="preference")
    cell = cell_of(variant, options, work.run.root.parent / MEASURED, path)
    cell = cell.model_copy(update={"arm": "retrieved"})
    job = Job(variant=variant.model_copy(update={"name": f"{name}.deletion"}), cells=[cell])
    rows = {cell.rows: read_task(TASKS[cell.task], cell.task, path, None)}
    # What `force` forgets may be the pairs' samples in the same place, which were just measured.
    places = {cell.folder for job in jobs_of(work) for cell in job.cells}
    anew = replace(work, force=work.force and cell.folder not in places)
    measured = Measuring(anew, rows, work.folder / "jobs").measure([job])
    return measured[job.variant.name][cell.task]


def _hit(used: Used) -> Hit:
    passage = Passage(used.id, used.title, used.text, used.source, used.place)
    return Hit(passage, used.score or 0.0, used.bm25, used.cosine)
