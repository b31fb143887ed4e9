"""The language that texts are written in."""

from __future__ import annotations

from collections.abc import Iterable

ENGLISH = "en"
SAMPLED_CHARACTERS = 20_000
CHARACTERS_A_TEXT = 200
FEWEST_BYTES = 12
"""Of a text in UTF-8: a number or a name is of no language; a Chinese word takes few signs."""
SURE = 0.9


def language_of(texts: Iterable[str]) -> str:
    """The ISO 639-1 code of the language that most is written in; `en` where that is not sure."""
    from langdetect import DetectorFactory, LangDetectException, detect_langs

    DetectorFactory.seed = 0  # its guesses are drawn
    sample = ""
    for text in texts:
        if len(text.encode(errors="replace")) >= FEWEST_BYTES:
            sample += f"{text[:CHARACTERS_A_TEXT]} "
        if len(sample) >= SAMPLED_CHARACTERS:
            break
    try:
        found = detect_langs(sample)
    except LangDetectException:
        return ENGLISH
    sure: dict[str, float] = {}
    for one in found:  # `zh-cn` and `zh-tw` are one
        code = one.lang.split("-")[0]
        sure[code] = sure.get(code, 0.0) + one.prob
    best, share = max(sure.items(), key=lambda item: item[1])
    return best if share >= SURE else ENGLISH
