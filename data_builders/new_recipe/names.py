"""What columns are called, in several languages, and what that says of them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence

NAMES: Mapping[str, tuple[str, ...]] = {
    name: tuple(words.split())
    for name, words in {
        "question": "question prompt problem query instruction stem item exercise frage aufgabe "
        "fragestellung pregunta domanda pergunta vraag fraga statement aussage",
        "answer": "correctanswer rightanswer correctoption rightoption correctchoice "
        "richtigeantwort korrekteantwort bonnereponse respuestacorrecta rispostacorretta "
        "answer solution correct key label response output completion reply target gold "
        "antwort losung loesung richtig musterlosung reponse respuesta solucion "
        "correcta risposta soluzione resposta antwoord svar right",
        "choices": "choices options alternatives candidates antworten antwortmoglichkeiten auswahl "
        "choix opciones opzioni opcoes",
        "chosen": "chosen better good preferred accepted best bessere besser gute gut meilleure "
        "mejor migliore",
        "rejected": "rejected worse bad dispreferred poor weak schlechtere schlechter schlechte "
        "schlecht mauvaise moinsbonne moinsbien lessgood pire peor peggiore",
        "explanation": "explanation rationale reasoning why comment erklarung begrundung "
        "explication explicacion spiegazione",
        "subject": "subject topic course category chapter unit fach thema kapitel matiere sujet "
        "asignatura tema materia",
        "right": "correct right richtige korrekte bonne correcta corretta",
        "wrong": "wrong incorrect false distractor falsche mauvaise incorrecta sbagliata",
    }.items()
}
"""Words in small letters without accents, blanks and signs: of a column's name, or in it."""
WHOLE: Mapping[str, tuple[str, ...]] = {
    "question": ("user", "human", "front", "term", "begriff", "vorderseite"),
    "answer": ("assistant", "bot", "back", "definition", "ruckseite", "truefalse"),
    "subject": ("tags",),
    "system": ("system", "systemprompt"),
}
"""Words that say so alone only: `Back` is an answer on a flash card, `Feedback` is none."""
_ABOUT = re.compile(
    r"(?i:[\W_](?:id|no|nr|number|nummer|time|points|link|image|status)|\wtyp|type)\W*$|[a-z]I[dD]$"
)
"""Ends of columns' names that hold something about a question or an answer, not its words."""
_OF_STUDENTS = ("student", "schuler", "eleve", "alumno", "studente")
"""Beginnings of columns that hold somebody's answers, right or not."""


def plain(name: str) -> str:
    """A column's name as `NAMES` has it."""
    letters = unicodedata.normalize("NFKD", name.casefold())
    return "".join(letter for letter in letters if letter.isalnum())


def named(columns: Sequence[str], meaning: str, but: Collection[str] = ()) -> str | None:
    """The column of that meaning: an exact name first, then one that begins or ends with it."""
    short = {name: plain(name) for name in columns if name not in but}
    short = {name: one for name, one in short.items() if not _is_aside(name)}
    words = NAMES.get(meaning, ())
    for known in (*words, *WHOLE.get(meaning, ())):
        for name, one in short.items():
            if one == known:
                return name
    for known in words:
        for name, one in short.items():
            if _says(name, one, known):
                return name
    return None


def rivals(columns: Sequence[str], meaning: str, found: str) -> list[str]:
    """The columns that say so by the same word as the one found, itself among them: `Best reply`
    and `Other reply`. One whose whole name says so has none."""
    words = NAMES[meaning]
    if plain(found) in (*words, *WHOLE.get(meaning, ())):
        return [found]
    word = next((word for word in words if _says(found, plain(found), word)), "")
    left = [name for name in columns if not _is_aside(name)]
    return [name for name in left if word and _says(name, plain(name), word)] or [found]


def _is_aside(name: str) -> bool:
    """Whether a column holds what a student said, or a number or kind of what its name says."""
    return plain(name).startswith(_OF_STUDENTS) or bool(_ABOUT.search(name))


def _says(name: str, short: str, word: str) -> bool:
    """Whether a name begins or ends with a word: with a short one only where a blank is behind."""
    if len(word) > 3:
        return short.startswith(word) or short.endswith(word)
    parts = [plain(part) for part in re.split(r"[\W_]+", name) if part]
    return len(parts) > 1 and word in (parts[0], parts[-1])


def saying(columns: Sequence[str], meaning: str) -> list[str]:
    """All columns whose names begin with a word of that meaning."""
    return [name for name in columns if plain(name).startswith(NAMES[meaning])]


def alike(name: str, columns: Sequence[str]) -> list[str]:
    """Columns whose names differ from this one by a last letter or number only, itself among them:
    `response_a`, `response_b`."""
    return [one for one in columns if _before_mark(one) == _before_mark(name)]


def _before_mark(name: str) -> str:
    short = name.casefold().strip()
    found = re.fullmatch(r"(.*[^\W\d_])[\W_]*(?:\d{1,2}|(?<=[\W_])[a-z])", short)
    return found[1] if found else short
