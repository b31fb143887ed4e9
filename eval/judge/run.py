"""The judging of a finished evaluation: requests through the generator's client and ledger.

What was paid for is in the ledger before it is used: a killed judging never pays twice, and
judging the same replies in another run costs nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from eval.further import Further
from eval.job import Measured
from eval.judge.asking import Session
from eval.judge.bradley_terry import rate
from eval.judge.delimiting import prompt_problems
from eval.judge.figures import INDICATIVE_BELOW, figures
from eval.judge.pairs import Pair, make_pairs
from eval.judge.verdicts import Judge, PairVerdict, judged
from eval.judge.watch import TRIAL_PAIRS
from eval.task import Metric
from stemma.errors import Problem, StageFailed, UserError
from stemma.generator.ledger import LEDGER
from stemma.generator.prompts import Prompts
from stemma.jsonl import read_rows
from stemma.recipe.evaluation import Judging
from stemma.rows import Score, SftRow
from stemma.stages import Work, model_server

if TYPE_CHECKING:
    from stemma.generator.runner import JobRunner


def check_judges(work: Work) -> None:
    """Raises UserError for a judge that cannot work, before anything is measured: its prompt, its
    settings, its key."""
    problems: list[Problem] = []
    prompts = Prompts(work.recipe.path.parent)
    for judging in work.recipe.eval.judge:
        problems += prompt_problems(prompts, judging.prompt)
        try:
            _check_settings(judging)
        except UserError as error:
            problems += error.problems
    if problems:
        raise UserError(list(dict.fromkeys(problems)))


def _check_settings(judging: Judging) -> None:
    from stemma.generator.client import read_key  # loads the network client
    from stemma.generator.reply_source import check_settings

    check_settings(judging.generator)
    if judging.generator.server == "openai":
        read_key(judging.generator.api_key_env)


def judge_variants(work: Work, measured: Measured) -> Further:
    """Every judging of the recipe, on what the task `generation` wrote down by variant.

    Raises UserError (settings, budget) or StageFailed (a server that is gone, a useless judge);
    what was paid for is kept.
    """
    found = Further()
    section = work.recipe.eval
    if not section.judge:
        return found
    rows = read_rows(work.input("data", "sft/test"), SftRow)
    generated = {
        variant: tasks["generation"] for variant, tasks in measured.items() if "generation" in tasks
    }
    given: list[PairVerdict] = []
    for judging in section.judge:
        pairs = make_pairs(judging, rows, generated, work.recipe.seed)
        verdicts, totals = _judge(work, judging, pairs)
        _add(found, work, judging, verdicts, totals)
        given += verdicts
    _add_ratings(found, given, work.recipe.seed)
    return found


def _add_ratings(found: Further, given: Sequence[PairVerdict], seed: int) -> None:
    """One rating for each variant, where the judgings compare more than two."""
    judges = sorted({one.judge for one in given} - {""})
    if len({name for one in given for name in (one.policy, one.reference)}) < 3:
        return
    rated = rate(given, seed)
    found.scores.extend(
        Score(
            variant=one.variant,
            task="judge",
            metric="bradley_terry",
            value=one.value,
            n=one.n,
            low=one.low,
            high=one.high,
        )
        for one in rated
    )
    apart = "none: some variants were never compared with the others"
    found.facts["judge bradley_terry"] = {"judges": judges} if rated else apart


def _judge(
    work: Work, judging: Judging, pairs: Sequence[Pair]
) -> tuple[list[PairVerdict], dict[str, Any]]:
    """The verdicts in the pairs' order, and the totals of the requests."""
    asked = [pair for pair in pairs if not pair.is_identical]
    work.say(
        f"judge: {judging.policy} against {judging.reference} by {judging.generator.model}: "
        f"{len(pairs)} questions, {len(pairs) - len(asked)} with equal replies, "
        f"{2 * len(asked)} verdicts to have"
    )
    verdicts: list[PairVerdict] = []
    totals: dict[str, Any] = {}
    if asked:
        verdicts, totals = _ask(work, judging, asked)
    of_nobody = Judge("", "scripted" if _is_scripted(judging) else "model")
    by_id = {one.id: one for one in verdicts}
    whole = [by_id.get(pair.id) or judged(pair, judging, of_nobody, []) for pair in pairs]
    return whole, totals


def _ask(
    work: Work, judging: Judging, pairs: Sequence[Pair]
) -> tuple[list[PairVerdict], dict[str, Any]]:
    from stemma.generator.runner import open_runner  # loads the network client

    settings = judging.generator
    seed = work.recipe.seed
    session = Session(judging, Prompts(work.recipe.path.parent), seed)
    jobs = session.jobs(pairs)
    ledger = work.run.root.parent / LEDGER
    with (
        model_server(settings, seed) as server,
        open_runner(settings, server, ledger, seed, work.say) as runner,
    ):
        try:
            # A few first: a useless judge is then found before the others are paid for.
            verdicts = [*runner(jobs[:TRIAL_PAIRS]), *runner(jobs[TRIAL_PAIRS:])]
        except StageFailed as error:
            raise StageFailed(f"eval: {error}; {_paid(judging, runner)}") from None
        return verdicts, runner.totals()


def _paid(judging: Judging, runner: JobRunner) -> str:
    """What was paid for until a judging stopped, in words."""
    totals = runner.totals()
    dollars = f"{totals['cost_usd']:.4f} USD"
    if judging.generator.prices is None:
        dollars = "an unknown price" if not _is_scripted(judging) else "0 USD"
    requests = f"{totals['requests']} requests of {judging.policy} against {judging.reference}"
    return f"{requests} were answered, for {dollars}; they are kept"


def _is_scripted(judging: Judging) -> bool:
    return judging.generator.server == "scripted-expert"


def _add(
    found: Further,
    work: Work,
    judging: Judging,
    verdicts: Sequence[PairVerdict],
    totals: Mapping[str, Any],
) -> None:
    """Add one judging's samples, scores and facts."""
    name = f"samples/{judging.policy}/{judging.task}"
    found.samples[name] = [one.model_dump(mode="json") for one in verdicts]
    metrics = [*figures(verdicts, work.recipe.seed), *_cost(judging, totals)]
    found.scores.extend(metric.score(judging.policy, judging.task) for metric in metrics)
    facts = facts_of(judging, verdicts, totals)
    found.facts[f"{judging.policy} {judging.task}"] = facts
    work.say(f"judge: {told(judging, metrics)}")


def _cost(judging: Judging, totals: Mapping[str, Any]) -> list[Metric]:
    """The judging's dollars, whenever they were paid; none where no price is known."""
    if not totals or not totals["requests"]:
        return []
    if judging.generator.prices is None and not _is_scripted(judging):
        return []
    return [Metric("cost_usd", totals["cost_usd"], totals["requests"])]


def facts_of(
    judging: Judging, verdicts: Sequence[PairVerdict], totals: Mapping[str, Any]
) -> dict[str, Any]:
    """What is no score: who judged, how pairs ended, why verdicts are invalid, what was asked."""
    problems = [order.problem for one in verdicts for order in one.orders if order.problem]
    valid = sum(one.outcome != "invalid" for one in verdicts)
    is_few = valid < INDICATIVE_BELOW
    return {
        "policy": judging.policy,
        "reference": judging.reference,
        "judges": sorted({one.judge for one in verdicts} - {""}),
        "kind": verdicts[0].kind,
        "questions_wanted": judging.questions,
        "pairs": len(verdicts),
        "outcomes": dict(sorted(Counter(one.outcome for one in verdicts).items())),
        "identical": sum(one.identical for one in verdicts),
        "invalid": dict(sorted(Counter(problems).items())),
        "gold_decides": sum(one.gold_side is not None for one in verdicts),
        "length_controlled": f"indicative: {valid} pairs, fewer than {INDICATIVE_BELOW}"
        if is_few
        else f"{valid} pairs",
        "requests": dict(totals),
    }


def told(judging: Judging, metrics: Sequence[Metric]) -> str:
    """One line for the user: the win rate, or that there is none."""
    who = f"{judging.policy} against {judging.reference}"
    rate = next((metric for metric in metrics if metric.name == "win_rate"), None)
    if rate is None or rate.low is None or rate.high is None:
        return f"{who}: no pair was decided the same way in both orders{_empty(metrics)}"
    bounds = f"[{rate.low:.3f} to {rate.high:.3f}]"
    return f"{who}: win rate {rate.value:.3f} {bounds}, n = {rate.n}{_empty(metrics)}"


def _empty(metrics: Sequence[Metric]) -> str:
    """The judge's empty replies, in words; nothing where there are none."""
    count = next((one for one in metrics if one.name == "empty_replies"), None)
    if count is None or not count.value:
        return ""
    return f"; {count.value:.0f} of the judge's {count.n} replies are empty"
