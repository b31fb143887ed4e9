"""The language of the texts in some files."""

from __future__ import annotations

from collections.abc import Sequence

from data_builders.new_recipe.look import Seen

SAMPLED_CHARACTERS = 20_000
ENGLISH = "en"


def find_language(files: Sequence[Seen]) -> str:
    """The ISO 639-1 code of the language that most is written in; `en` where there are no words."""
    from langdetect import DetectorFactory, LangDetectException, detect

    DetectorFactory.seed = 0  # its guesses are drawn
    texts: list[str] = []
    for seen in files:
        cells = (value for row in seen.rows for value in row.values() if isinstance(value, str))
        texts += [cell for cell in cells if len(cell.split()) > 3]
    try:
        found: str = detect(" ".join(texts)[:SAMPLED_CHARACTERS])
    except LangDetectException:
        return ENGLISH
    return found.split("-")[0]
