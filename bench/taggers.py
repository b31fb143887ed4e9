"""The light tagger against spaCy's: nouns of each sentence, and entity graphs of each text.

`python -m bench.taggers MODEL FILE.jsonl [KEY]`: the text of each line under KEY (`reply`), in an
environment with spaCy (`docs/text-metrics.md`). spaCy's nouns are taken as right, which they are
not always.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from time import process_time

import numpy as np

from eval.text.cleaning import prose
from eval.text.entity_graph import entity_graph, normalised
from eval.text.sentences import sentences
from eval.text.tagger import LightTagger, Tagger, load_tagger
from stemma.recipe.evaluation import TextMetrics

Tagged = list[list[frozenset[str]]]
"""By text and sentence, the nouns."""


def tag(tagger: Tagger, texts: Sequence[Sequence[str]]) -> Tagged:
    begin = process_time()
    found = [tagger.nouns(text) for text in texts]
    count = sum(map(len, texts))
    print(f"{tagger.name}: {1000 * (process_time() - begin) / count:.2f} ms of CPU a sentence")
    return found


def rank_correlation(one: Sequence[float], other: Sequence[float]) -> float:
    """Spearman's, with the mean rank for ties."""
    ranks = [_ranks(np.asarray(values)) for values in (one, other)]
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def _ranks(values: np.ndarray) -> np.ndarray:
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[places]


def compare(light: Tagged, theirs: Tagged) -> str:
    """Precision and recall over sentences, then means and rank correlations over texts."""
    pairs = [
        pair
        for ours, his in zip(light, theirs, strict=True)
        for pair in zip(ours, his, strict=True)
    ]
    both = sum(len(one & other) for one, other in pairs)
    precision = both / sum(len(one) for one, _ in pairs)
    recall = both / sum(len(other) for _, other in pairs)
    f1 = 2 * precision * recall / (precision + recall)
    lines = [f"precision {precision:.3f}, recall {recall:.3f}, F1 {f1:.3f}, n = {len(pairs)}"]
    long = [at for at, text in enumerate(light) if len(text) > 1]
    for name, value in {"raw": entity_graph, "normalised": normalised}.items():
        ours, his = ([value(texts[at]) or 0.0 for at in long] for texts in (light, theirs))
        means = f"light {np.mean(ours):.3f}, spaCy {np.mean(his):.3f}"
        ranks = f"rank correlation {rank_correlation(ours, his):.3f}, n = {len(long)}"
        lines.append(f"entity graph, {name}: {means}, {ranks}")
    return "\n".join(lines)


def main() -> None:
    model, path, *key = sys.argv[1:]
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    texts = [sentences(prose(json.loads(line)[(key or ["reply"])[0]])) for line in lines]
    spacy = load_tagger(TextMetrics(spacy_model=model))
    print(compare(tag(LightTagger(), texts), tag(spacy, texts)))


if __name__ == "__main__":
    main()
