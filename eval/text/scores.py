"""Text metrics of every variant's replies: scores, samples and facts for the manifest.

Overlap compares each reply with the row's own answer; rows without a gold answer count too. A mean
leaves out replies that have no value (no sentence, or fewer than k), and its n says how many
counted. What is tagged, split and scored by which version stands in the facts, with the same means
of the reference texts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eval.further import Further
from eval.job import Records
from eval.statistics import bootstrap_mean
from eval.task import Metric
from eval.text.cleaning import prose
from eval.text.entity_graph import entity_graph, normalised, of_first
from eval.text.overlap import TextOverlap, overlaps, signatures
from eval.text.repetition import distinct_2, repeated_sentences
from eval.text.sentences import SPLITTER, sentences, words
from eval.text.tagger import Tagger
from stemma.comparisons import BASELINE
from stemma.jsonl import read_rows
from stemma.rows import SftRow

TASK = "text"
"""The scores' task, and the name of the samples file."""
MEANS = (
    "words",
    "sentences",
    "entity_graph",
    "entity_graph_normalised",
    "entity_graph_first_k",
    "distinct_2",
    "repeated_sentences",
)
"""Figures of a text by itself."""


@dataclass(frozen=True)
class TextSetting:
    """The surroundings of the text metrics."""

    tagger: Tagger
    k: int
    seed: int
    is_english: bool = True
    """Nouns are found in English only: of other languages there is no entity graph."""


def references(path: Path) -> dict[str, str]:
    """The answer of each row of a test file, by the row's id."""
    return {row.id: row.messages[-1].content for row in read_rows(path, SftRow)}


def score_texts(
    replies: Mapping[str, Records], wanted: Mapping[str, str], setting: TextSetting
) -> Further:
    """The scores of every variant's replies (its samples of `generation`), all on the same rows."""
    ids = [row["id"] for row in next(iter(replies.values()))]
    texts = {
        variant: {row["id"]: row["reply"] for row in rows} for variant, rows in replies.items()
    }
    systems = {variant: [by_id[name] for name in ids] for variant, by_id in texts.items()}
    answers = [wanted[name] for name in ids]
    overlap = overlaps(systems, answers, setting.seed)
    scores, samples = [], {}
    for variant, said in systems.items():
        found = [describe(text, setting) for text in said]
        chrf = overlap[variant]["chrf"].of_rows
        samples[f"samples/{variant}/{TASK}"] = [
            {"id": name, "chrf": near} | values
            for name, near, values in zip(ids, chrf, found, strict=True)
        ]
        metrics = _overlap_metrics(variant, overlap, len(ids)) + means(found, ids, setting.seed)
        scores += [metric.score(variant, TASK) for metric in metrics]
    own = means([describe(text, setting) for text in answers], ids, setting.seed)
    return Further(scores, samples, {TASK: _facts(setting, own)})


def describe(text: str, setting: TextSetting) -> dict[str, Any]:
    """The figures of one text by itself (None: it has none), and the nouns of its sentences."""
    parts = sentences(prose(text))
    spoken = [words(part) for part in parts]
    nouns = setting.tagger.nouns(parts) if setting.is_english else []
    return {
        "words": sum(map(len, spoken)),
        "sentences": len(parts),
        "entity_graph": entity_graph(nouns),
        "entity_graph_normalised": normalised(nouns),
        "entity_graph_first_k": of_first(nouns, setting.k),
        "distinct_2": distinct_2([word for part in spoken for word in part]),
        "repeated_sentences": repeated_sentences(spoken),
        "nouns": [sorted(found) for found in nouns],
    }


def means(found: Sequence[Mapping[str, Any]], ids: Sequence[str], seed: int) -> list[Metric]:
    """The mean of each figure over the texts that have it, with its bootstrap interval."""
    metrics = []
    for name in MEANS:
        having = [
            (at, row[name]) for at, row in zip(ids, found, strict=True) if row[name] is not None
        ]
        if not having:
            continue
        groups, values = zip(*having, strict=True)
        interval = bootstrap_mean(values, groups, seed)
        metrics.append(Metric(name, sum(values) / len(values), len(values), *interval))
    return metrics


def _overlap_metrics(
    variant: str, overlap: Mapping[str, Mapping[str, TextOverlap]], n: int
) -> list[Metric]:
    metrics = []
    for name, found in overlap[variant].items():
        metrics.append(Metric(name, found.value, n, *found.interval()))
        if variant != BASELINE and BASELINE in overlap:
            changed = found.minus(overlap[BASELINE][name])
            metrics.append(Metric(f"{name}_minus_{BASELINE}", changed[0], n, *changed[1:]))
    return metrics


def _facts(setting: TextSetting, own: Sequence[Metric]) -> dict[str, Any]:
    return {
        "tagger": setting.tagger.name,
        "sentences": SPLITTER,
        "k": setting.k,
        **signatures(),
        "reference_texts": {metric.name: metric.value for metric in own},
    }
