"""The light tagger: English nouns by word lists, endings and the words before. Pure.

It needs no model and no download. What no list and no ending knows counts as a noun, which most
unknown words are. How far it agrees with spaCy's tagger is measured in `bench/README.md`; it tags
nothing in other scripts than the Latin one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from importlib.metadata import version
from itertools import pairwise

import simplemma

from eval.text.english_words import (
    ADJECTIVES,
    DETERMINERS,
    MODALS,
    NOUNS,
    NOUNS_AND_VERBS,
    OTHERS,
    PREPOSITIONS,
    PRONOUNS,
    SUBJECTS,
    VERBS,
)

RULES = 1
"""Version of lists and rules: raised when they find other nouns."""
NAME = f"light {RULES} (simplemma {version('simplemma')})"

_TOKEN = re.compile(r"[^\W_]+(?:['’.-][^\W_]+)*|[^\w\s]")
_LATIN = re.compile(r"[A-Za-zÀ-ÖØ-öø-ɏ'’-]{2,}")
_FUNCTION_WORDS = DETERMINERS | PRONOUNS | PREPOSITIONS | OTHERS | MODALS
_BEFORE_NOUN = DETERMINERS | PREPOSITIONS | ADJECTIVES
_ADJECTIVE_ENDING = re.compile(r"\w{2}\w*(?:ous|ful|less|able|ible|ic|al|ish|ive|ary|ory|like)")
_PARTICIPLE = re.compile(r"\w{2,}(?:ing|ed|ied)")


def nouns(sentence: str) -> frozenset[str]:
    """The different nouns of a sentence as lemmas in lower case, proper nouns included."""
    return frozenset(_lemma(word) for word in _tagged(_TOKEN.findall(sentence)))


def _tagged(tokens: Sequence[str]) -> Iterator[str]:
    """The tokens that are nouns."""
    before = ""
    for token, behind in pairwise([*tokens, ""]):
        word = token.casefold().replace("’", "'").removesuffix("'s")
        if _LATIN.fullmatch(word) and _is_noun(word, before, behind.casefold()):
            yield word
        before = word


def _is_noun(word: str, before: str, behind: str) -> bool:
    if word in NOUNS:
        return True
    if word in _FUNCTION_WORDS:
        return False
    participle = _PARTICIPLE.fullmatch(word)
    lemma = _lemma(word)
    if lemma in NOUNS_AND_VERBS and not participle:
        return _is_noun_here(word, before, behind)
    if word in ADJECTIVES or word in VERBS or word.endswith("ly"):
        return False
    if participle and lemma not in NOUNS:
        return word.endswith("ing") and before in DETERMINERS and behind in PREPOSITIONS
    if lemma in VERBS or lemma in ADJECTIVES:
        return False
    return lemma in NOUNS or not _ADJECTIVE_ENDING.fullmatch(lemma)


def _is_noun_here(word: str, before: str, behind: str) -> bool:
    """Whether an ambiguous word is a noun between its neighbours."""
    if before in MODALS or before in SUBJECTS:
        return False
    ends = not behind[:1].isalpha() or behind in _FUNCTION_WORDS
    if word in ADJECTIVES and not ends:
        return False
    return before in _BEFORE_NOUN or behind not in DETERMINERS | PRONOUNS


@lru_cache(maxsize=65536)
def _lemma(word: str) -> str:
    if word in NOUNS:
        return word  # "data", "species"
    if word.endswith("sses"):
        return word.removesuffix("es")  # "masses", of which simplemma makes "masse"
    return simplemma.lemmatize(word, "en").casefold()
