"""The interface of a tagger: the nouns of sentences, and its name with version for the result."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from stemma.recipe.evaluation import TextMetrics


class Tagger(Protocol):
    """Finds nouns; two letters at least, so that the x of a formula joins no sentences."""

    name: str
    """Its name and version, and its model's."""

    def nouns(self, sentences: Sequence[str]) -> list[frozenset[str]]:
        """The different nouns of each sentence as lemmas in lower case."""


class LightTagger:
    """Word lists and endings, bundled."""

    def __init__(self) -> None:
        from eval.text import light_tagger

        self.name = light_tagger.NAME
        self._nouns = light_tagger.nouns

    def nouns(self, sentences: Sequence[str]) -> list[frozenset[str]]:
        return [self._nouns(sentence) for sentence in sentences]


def load_tagger(options: TextMetrics) -> Tagger:
    """The tagger that the recipe names. Raises UserError for one that is not installed."""
    if options.tagger == "light":
        return LightTagger()
    from eval.text.spacy_tagger import SpacyTagger

    return SpacyTagger(options.spacy_model)
