"""The text metrics' part of the eval stage: the tagger, the reference answers, all replies."""

from __future__ import annotations

from collections.abc import Mapping

from eval.further import Further
from eval.job import Measured, Records
from eval.text.scores import TextSetting, references, score_texts
from eval.text.tagger import load_tagger
from stemma.stages import Work

ENGLISH = "en"
REPLIES = "generation"
"""The task whose replies are looked at."""


def ready(work: Work) -> None:
    """Raises UserError for a tagger that is not installed, before hours of measuring."""
    if options := work.recipe.eval.text:
        load_tagger(options)


def text_metrics(work: Work, measured: Measured) -> Further:
    """The figures of every scored variant's replies; none where the recipe asks for none."""
    section = work.recipe.eval
    if section.text is None:
        return Further()
    language = work.run.manifest("data").facts.get("language") or ENGLISH
    if language != ENGLISH:
        work.say(f"text: no entity graph: nouns are found in English, the rows are in `{language}`")
    tagger = load_tagger(section.text)
    setting = TextSetting(tagger, section.text.k, work.recipe.seed, language == ENGLISH)
    replies = {
        variant: measured[variant][REPLIES]
        for variant in section.variants
        if REPLIES in measured[variant]
    }
    wanted = references(work.input("data", "sft/test"))
    found = [score_texts(alike, wanted, setting) for alike in on_the_same_rows(replies)]
    return Further(
        [score for one in found for score in one.scores],
        {name: rows for one in found for name, rows in one.samples.items()},
        found[0].facts if found else {},
    )


def on_the_same_rows(replies: Mapping[str, Records]) -> list[dict[str, Records]]:
    """The variants grouped by the rows they answered: an arm may leave rows out."""
    groups: dict[tuple[str, ...], dict[str, Records]] = {}
    for variant, rows in replies.items():
        groups.setdefault(tuple(str(row["id"]) for row in rows), {})[variant] = rows
    return list(groups.values())
