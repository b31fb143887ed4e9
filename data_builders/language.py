"""The language that texts are written in."""

from __future__ import annotations

from collections.abc import Iterable

ENGLISH = "en"
SAMPLED_CHARACTERS = 20_000
CHARACTERS_A_TEXT = 200
FEWEST_CHARACTERS = 12
"""Of a text: a number or a name is of no language."""
SURE = 0.9


def language_of(texts: Iterable[str]) -> str:
    """The ISO 639-1 code of the language that most is written in; `en` where that is not sure."""
    from langdetect import DetectorFactory, LangDetectException, detect_langs

    DetectorFactory.seed = 0  # its guesses are drawn
    sample = ""
    for text in texts:
        if len(text) >= FEWEST_CHARACTERS:
            sample += f"{text[:CHARACTERS_A_TEXT]} "
        if len(sample) >= SAMPLED_CHARACTERS:
            break
    try:
        best = detect_langs(sample)[0]
    except LangDetectException:
        return ENGLISH
    found: str = best.lang.split("-")[0]
    return found if best.prob >= SURE else ENGLISH
