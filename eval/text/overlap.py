"""Overlap with reference texts: corpus BLEU and chrF++, by the one file that knows `sacrebleu`.

Both are 0 to 100. Intervals and differences come from one bootstrap over rows (Koehn, "Statistical
Significance Tests for Machine Translation Evaluation", 2004): systems are resampled alike, so that
differences are paired. Memory is one row of counts a text and system; time is RESAMPLES sums over
them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from eval.statistics import percentiles

RESAMPLES = 1000
BLOCK = 500
"""Rows counted at once."""

Scores = NDArray[np.float64]
"""A metric on each resample."""
Counts = NDArray[np.float64]
"""Rows × what the metric counts: matching and all n-grams, lengths."""


@dataclass(frozen=True)
class TextOverlap:
    """A corpus score, the same on each resample, and that of each text alone."""

    value: float
    of_rows: list[float]
    """For chrF++; BLEU of a single sentence says little."""
    resampled: Scores

    def interval(self) -> tuple[float, float]:
        """The 95 % percentile interval."""
        return percentiles(self.resampled)

    def minus(self, other: TextOverlap) -> tuple[float, float, float]:
        """(difference, low, high) to another system on the same rows and resamples."""
        return (self.value - other.value, *percentiles(self.resampled - other.resampled))


def overlaps(
    systems: Mapping[str, Sequence[str]], references: Sequence[str], seed: int
) -> dict[str, dict[str, TextOverlap]]:
    """BLEU and chrF++ of each system's texts, which stand row by row beside the references."""
    wanted = list(map(_one_line, references))
    metrics = {"bleu": _bleu(), "chrf": _chrf()}
    return {
        system: {
            name: _overlap(metric, list(map(_one_line, texts)), wanted, seed)
            for name, metric in metrics.items()
        }
        for system, texts in systems.items()
    }


def signatures() -> dict[str, str]:
    """What sacrebleu asks papers to print with each figure: version, tokenizer, smoothing."""
    return {
        name: str(metric.get_signature())
        for name, metric in (("bleu", _bleu()), ("chrf", _chrf()))
        if metric.corpus_score(["a"], [["a"]])  # signatures are known once something was scored
    }


def _bleu() -> Any:
    return BLEU(force=True)  # no warning about texts that look tokenized


def _chrf() -> Any:
    return CHRF(word_order=2)  # the two plus signs


def _one_line(text: str) -> str:
    """The text as a line of a file, which is what the command line of sacrebleu reads."""
    return " ".join(text.split())


def _overlap(metric: Any, texts: list[str], references: list[str], seed: int) -> TextOverlap:
    counts = _counts(metric, texts, references)
    draws = np.random.default_rng(seed)
    resampled = []
    for _ in range(RESAMPLES):
        times = np.bincount(draws.integers(len(counts), size=len(counts)), minlength=len(counts))
        resampled.append(_score(metric, times @ counts))
    of_rows = [_score(metric, row) for row in counts]
    return TextOverlap(_score(metric, counts.sum(axis=0)), of_rows, np.array(resampled))


def _counts(metric: Any, texts: list[str], references: list[str]) -> Counts:
    """What the metric counts, row by row: the first step of its `corpus_score`.

    A block at a time, since it holds all n-grams of what it is given, 70 KB a row.
    """
    blocks = (slice(begin, begin + BLOCK) for begin in range(0, len(texts), BLOCK))
    rows = [metric._extract_corpus_statistics(texts[one], [references[one]]) for one in blocks]
    return np.concatenate([np.array(block, dtype=np.float64) for block in rows])


def _score(metric: Any, counts: Counts) -> float:
    """The second step: the score of a sum of counts."""
    return float(metric._compute_score_from_stats([int(count) for count in counts]).score)
