"""spaCy's English model as the tagger: the one file that knows `spacy`."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

from stemma.errors import Problem, UserError

WHERE = "eval.text.tagger"
_PARTS = ("NOUN", "PROPN")
_BATCH = 256
"""Sentences tagged at once: spaCy holds the vectors of one batch."""


class SpacyTagger:
    """A loaded pipeline that tags and lemmatises; parsing and named entities are left out."""

    def __init__(self, model: str) -> None:
        """Load it. Raises UserError when spaCy or the model is not installed, or tags nothing."""
        try:
            spacy = importlib.import_module("spacy")
        except ImportError as error:
            hint = "pip install -e '.[spacy]', or `tagger: light`, which needs nothing"
            found = f"spaCy cannot be imported: {error}"
            raise UserError(Problem(WHERE, found, "the package spacy", hint)) from error
        try:
            self._pipeline: Any = spacy.load(model, exclude=["parser", "ner", "senter"])
        except OSError as error:
            hint = f"python -m spacy download {model} (a release file, not on the package index)"
            found = f"spaCy has no model `{model}`"
            raise UserError(Problem(WHERE, found, "an installed model", hint)) from error
        missing = {"tagger", "lemmatizer"} - set(self._pipeline.pipe_names)
        if missing:
            found = f"model `{model}` has no {' and no '.join(sorted(missing))}"
            raise UserError(Problem(WHERE, found, "a model that tags and lemmatises"))
        meta = self._pipeline.meta
        self.name = f"spacy {spacy.__version__}, {meta['lang']}_{meta['name']} {meta['version']}"

    def nouns(self, sentences: Sequence[str]) -> list[frozenset[str]]:
        """The different nouns of each sentence as lemmas in lower case, proper nouns included."""
        return [
            frozenset(
                token.lemma_.casefold()
                for token in tagged
                if token.pos_ in _PARTS and sum(map(str.isalpha, token.text)) > 1
            )
            for tagged in self._pipeline.pipe(sentences, batch_size=_BATCH)
        ]
