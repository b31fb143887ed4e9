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

RESAMPLES = 1000

Scores = NDArray[np.float64]
"""A metric on each resample."""


@dataclass(frozen=True)
class Overlap:
    """A corpus score, the same on each resample, and that of each text alone."""

    value: float
    of_rows: list[float]
    """For chrF++; BLEU of a single sentence says little."""
    resampled: Scores

    def interval(self) -> tuple[float, float]:
        """The 95 % percentile interval."""
        return _percentiles(self.resampled)

    def minus(self, other: Overlap) -> tuple[float, float, float]:
        """(difference, low, high) to another system on the same rows and resamples."""
        return (self.value - other.value, *_percentiles(self.resampled - other.resampled))


def overlaps(
    systems: Mapping[str, Sequence[str]], references: Sequence[str], seed: int
) -> dict[str, dict[str, Overlap]]:
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


def _overlap(metric: Any, texts: list[str], references: list[str], seed: int) -> Overlap:
    # The two steps of its `corpus_score`: counts a row, and the score of their sum.
    counts = np.array(metric._extract_corpus_statistics(texts, [references]), dtype=np.float64)
    draws = np.random.default_rng(seed)
    resampled = []
    for _ in range(RESAMPLES):
        times = np.bincount(draws.integers(len(counts), size=len(counts)), minlength=len(counts))
        resampled.append(_score(metric, times @ counts))
    of_rows = [_score(metric, row) for row in counts]
    return Overlap(_score(metric, counts.sum(axis=0)), of_rows, np.array(resampled))


def _score(metric: Any, counts: NDArray[np.float64]) -> float:
    return float(metric._compute_score_from_stats([int(count) for count in counts]).score)


def _percentiles(values: Scores) -> tuple[float, float]:
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)
