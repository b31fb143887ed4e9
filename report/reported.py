"""The reference report's own table made anew: each of its figures beside this run's.

The report gives two figures a line, without n, interval or control. They are quoted as it prints
them; this run's stand beside them with all three. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass

from report.figures import bounds_of, text_of
from report.readable import MISSING
from report.run_data import RunData, Table
from stemma.rows import Score


@dataclass(frozen=True)
class ReportedMeasure:
    """One line of the report's table."""

    name: str
    printed: str
    """The report's two figures."""
    stands_for: str
    """What the two figures are, as far as is known here."""
    task: str | None
    """None: whichever task has the metric, since a judging is named by whom it compares with."""
    metric: str
    lacked: str
    """What a reader would need to believe it."""
    controls: tuple[tuple[str, str], ...]
    """What is shown beside our figure: words, and the metric of the same task."""


MEASURES = (
    ReportedMeasure(
        name="Reward accuracy",
        printed="0.94 / 0.64",
        stands_for="two shares of pairs whose chosen answer has the higher reward, quoted in its "
        "order; what sets the two apart is not known here",
        task="preference",
        metric="reward_accuracy",
        lacked="the baseline of always picking the longer answer; pairs whose question trains",
        controls=(
            ("always the longer answer", "longer_accuracy"),
            ("without the reference", "log_prob_accuracy"),
            ("ties", "ties"),
        ),
    ),
    ReportedMeasure(
        name="Reward margin",
        printed="1.8 / 0.66",
        stands_for="two mean differences between the rewards of chosen and rejected answers, "
        "quoted in its order; what sets the two apart is not known here",
        task="preference",
        metric="reward_margin",
        lacked="β, which scales it; the two rewards that it is the difference of",
        controls=(("chosen", "chosen_reward"), ("rejected", "rejected_reward")),
    ),
    ReportedMeasure(
        name="Win rate",
        printed="67.3 % / 32.7 %",
        stands_for="the wins of the two models compared, each divided by the pairs without a tie: "
        "together 100 %",
        task=None,
        metric="win_rate_one_order",
        lacked="the other order, which shows a judge that prefers a place; the share of wins that "
        "length alone explains; how many verdicts were no verdicts",
        controls=(
            ("both orders", "win_rate"),
            ("ties as half", "win_rate_half_ties"),
            ("at equal length", "win_rate_length_controlled"),
            ("the longer one wins", "longer_wins"),
            ("the first one wins", "first_wins"),
            ("consistent", "consistency"),
            ("invalid verdicts", "invalid_verdicts"),
            ("sign test p", "sign_test_p"),
        ),
    ),
    ReportedMeasure(
        name="Entity graph",
        printed="0.82 → 1.31",
        stands_for="the mean entity graph of replies, of the one model and, behind the arrow, of "
        "the other; which answers and which tagger is not known here",
        task="text",
        metric="entity_graph",
        lacked="the number of sentences: its maximum grows with them (harmonic number less one), "
        "and repeating a sentence raises it too",
        controls=(
            ("divided by its maximum", "entity_graph_normalised"),
            ("of the first sentences alone", "entity_graph_first_k"),
            ("sentences", "sentences"),
            ("repeated sentences", "repeated_sentences"),
        ),
    ),
)
HEADS = ("Measure", "Reference report", "Variant", "This run", "95% interval", "n", "Controls")


def reported(evidence: RunData) -> Table:
    """The report's lines, each with this run's figures of the variants that matter.

    These are the last preference stage, what training made, and what ships.
    """
    rows: list[list[object]] = []
    for measure in MEASURES:
        found = _rows(evidence, measure)
        rows += found or [[measure.name, measure.printed, MISSING, None, None, None, _how(measure)]]
    return Table(HEADS, rows)


def lacked() -> Table:
    """What each of the report's pairs of figures is, and what it was given without."""
    heads = ("Measure", "Reference report", "What the two figures are", "Given without")
    rows: list[list[object]] = [
        [one.name, one.printed, one.stands_for, one.lacked] for one in MEASURES
    ]
    return Table(heads, rows)


def _how(measure: ReportedMeasure) -> str:
    keys = {None: "`eval.judge`", "text": "`eval.text`"}
    return f"not measured: {keys.get(measure.task, f'task `{measure.task}` of `eval`')}"


def variants_that_matter(evidence: RunData) -> list[str]:
    recipe = evidence.recipe
    preference = [stage for stage in recipe.training_stages() if "rl" in recipe.axolotl(stage)]
    names = ["base", *preference[-1:], "merged", recipe.export.ship]
    return [name for name in dict.fromkeys(names) if name in recipe.eval.variants]


def _rows(evidence: RunData, measure: ReportedMeasure) -> list[list[object]]:
    rows: list[list[object]] = []
    for score in _scores(evidence, measure):
        named = score.variant if measure.task else f"{score.variant} ({score.task})"
        figures = [text_of(score), bounds_of(score) or None, score.n]
        controls = _controls(evidence, measure, score)
        rows.append([measure.name, measure.printed, named, *figures, controls])
    return rows


def _scores(evidence: RunData, measure: ReportedMeasure) -> list[Score]:
    """Our figures of a line; rewards of the reference itself are no figures."""
    if measure.task is None:
        return [score for score in evidence.scores if score.metric == measure.metric]
    names = variants_that_matter(evidence)
    if measure.task == "preference":
        names = [name for name in names if name != evidence.recipe.eval.reference]
    found = [evidence.score(name, measure.task, measure.metric) for name in names]
    return [score for score in found if score]


def _controls(evidence: RunData, measure: ReportedMeasure, score: Score) -> str:
    said = [f"β = {evidence.recipe.eval.beta:g}"] if measure.metric == "reward_margin" else []
    for words, metric in measure.controls:
        found = evidence.score(score.variant, score.task, metric)
        if found:
            # A text of one sentence has no normalised graph: some controls stand on fewer rows.
            n = "" if found.n == score.n else f" n = {found.n:,}"
            said.append(f"{words} {control(found)}{n}")
    return "; ".join(said)


def control(score: Score) -> str:
    """A control's figure with its interval, in a few words."""
    return f"{text_of(score)} {bounds_of(score)}".strip()
