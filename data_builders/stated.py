"""Which option a free-text answer picks.

Rather silent than wrong: "… so the answer is (B)." picks B; "A line through B." and "The answer is B or C." pick none.
Where answers are announced, and which numbers are equal, is `stemma.answers`' rule.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

from stemma.answers.claims import CLAIM, END, FILLER, SENTENCE_END, claims, is_taken_back, plain
from stemma.answers.quantities import NUMBER, value
from stemma.rows import LETTERS

_SEVERAL_ANNOUNCED = re.compile(r"\b(?:correct|right|true) (?:answers|options|choices|statements) are\b", re.IGNORECASE)
_LETTER = rf"(?:\(([A-Ja-j])\)|([A-J])(?:\)|[.:](?=\s)|{END})|([a-j])(?=\s*(?:$|\n|\)|[.;](?!\w))))"
_PICK = re.compile(_LETTER)
_SEVERAL = re.compile(rf"\(?([A-J])\)?(?:,? (?:and|or) |, |/| ?& ?)(?:option )?\(?([A-J])\b\)?(?={END}|,| and| or)")
_CALLED_CORRECT = re.compile(
    r"(?:^|[.,;:\n]|\b(?i:option|choice|answer|so|thus|hence|therefore|that)\b)\s*"
    r"\(?\b([A-J]|(?<=option )[a-j])\b[).:]*\s+is (?:therefore |thus )?(?:the )?(?:only )?"
    rf"(?:(?:correct|right|best)(?: (?:answer|option|choice|one))?|answer){END}"
)
_LIST = re.compile(r"\(?A[).:]\s.*?\s\(?B[).:]\s", re.DOTALL)
_LEAD = re.compile(r"\s*(?:option |choice )?\(?([A-J])(?:([).:]+)(?!\S)|(?=\s*(?:\n|$)))")
_LAST = re.compile(
    r"(?:^|\n|\b(?:hence|so|thus|therefore|option|choice|imo)\b\s*[,:]?)\s*\(?\b([A-J])\b[).]*\s*$", re.IGNORECASE
)


def stated_choice(answer: str, choices: Sequence[str]) -> str | None:
    """The letter of the one option that the answer picks, by its letter or its text; None: none, or several."""
    picked = stated_choices(answer, choices)
    return picked.pop() if len(picked) == 1 else None


def stated_choices(answer: str, choices: Sequence[str]) -> set[str]:
    """The letters of all options that the answer picks, in one place or in several."""
    text, options = plain(answer), {letter: _normal(text) for letter, text in zip(LETTERS, choices, strict=False)}
    if _SEVERAL_ANNOUNCED.search(text):
        return set(options)
    picked = {match[1].upper() for match in _CALLED_CORRECT.finditer(text) if not is_taken_back(text, match.start(1))}
    for claim in set(claims(text)):
        picked |= _pick(claim, options)
    picked |= _pick_alone(text, options)
    return picked if picked <= options.keys() else set()


def _pick(claim: str, options: Mapping[str, str]) -> set[str]:
    """The options that a claim names at its start, by letter or by text. A letter and another option's text are two."""
    body = FILLER.sub("", claim, count=1)
    if claim[: len(claim) - len(body)].endswith("\n") and _LIST.match(body):
        return set()
    texts = _same_text(body, options)
    if several := _SEVERAL.match(body):
        return texts or set(several.groups())  # "A and C" may be an option of its own
    if (spaced := re.match(r"([A-J])\s+", body)) and spaced[1] in _same_text(body[spaced.end() :], options):
        return {spaced[1]}  # "D 8000"
    if one := _PICK.match(body):
        letter = (one[1] or one[2] or one[3]).upper()
        texts |= _same_text(body[one.end() :].lstrip(" .):"), options)
        others = re.findall(r"\b(?:and|or) (?:option )?\(?([A-J])[).:]", SENTENCE_END.split(body)[0])
        return {letter, *others} if letter in texts else {letter, *others, *texts}
    return texts


def _pick_alone(text: str, options: Mapping[str, str]) -> set[str]:
    """Options named without an announcement: "B. Because …" at the start, "hence C" at the end, or just the text."""
    picked = {last[1].upper()} if (last := _LAST.search(text)) else set()
    if "\n" not in text and len(text) <= CLAIM:
        alone = _normal(text)
        picked |= {letter for letter, option in options.items() if option == alone}
    if lead := _LEAD.match(text):
        rest = text[lead.end() :]
        is_list = _LIST.match(text)
        is_name = re.match(r" [a-z]", rest) and lead[1] not in _same_text(rest.strip(), options)  # "E. coli is …"
        if not lead[2] or not (is_list or is_name):
            picked.add(lead[1])
    return picked


def _same_text(body: str, options: Mapping[str, str]) -> set[str]:
    """Which options the body starts with, said completely: the longest one's letter (letters, where options repeat)."""
    line = _normal(body.split("\n")[0])
    said = {letter: _said(line, option) for letter, option in options.items()}
    longest = max(said.values(), default=0)
    return {letter for letter, length in said.items() if length == longest > 0}


def _said(line: str, option: str) -> int:
    """How many characters of the line say this option at its start; 0: it does not. Numbers are compared as numbers."""
    number, wanted = NUMBER.match(line), value(option)
    if wanted is not None and number and value(number[0]) == wanted:
        return number.end() if re.match(END, line[number.end() :]) else 0
    return len(option) if option and line.startswith(option) and re.match(END, line[len(option) :]) else 0


@lru_cache(maxsize=4096)  # the options of a question come back with each of its answers
def _normal(text: str) -> str:
    """A text without what does not change it: case, spacing, thousands commas, currency, a leading article."""
    text = re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "", " ".join(plain(text).casefold().split()))
    text = re.sub(r"\s*([/^=+*%<>-])\s*", r"\1", text)
    return re.sub(r"^(?:the|an?) |[.\s]+$", "", text)
