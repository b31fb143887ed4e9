"""The option that a free-text answer picks.

Rather silent than wrong: "… so the answer is (B)." picks B; "A line through B." and "The answer is
B or C." pick none. Where answers are announced, and which numbers are equal, is `stemma.answers`'
rule.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, lru_cache
from string import ascii_uppercase
from typing import NamedTuple

from stemma.answers.claims import (
    CLAIM,
    END,
    FEW,
    FILLER,
    SENTENCE_END,
    claims,
    is_taken_back,
    plain,
)
from stemma.answers.quantities import NUMBER, value

_SEVERAL_ANNOUNCED = re.compile(
    r"\b(?:correct|right|true) (?:answers|options|choices|statements) are\b", re.IGNORECASE
)
_BOXED = re.compile(r"\[ ?([A-Z]) ?\](?![\w(])")
"""[B]"""
_LIST = re.compile(r"\(?A[).:]\s.*?\s\(?B[).:]\s", re.DOTALL)
_CHOICE = re.compile(
    r"\bI(?:['’](?:d|ll)| would| will| shall)? (?:therefore |thus |hence )?"
    r"(?:choose|chose|pick|picked|select|selected|go (?:with|for)|opt for"
    r"|decide (?:for|on)|decided (?:for|on))"
    r"|\b(?:[Ii]t|[Tt]his|[Tt]hat) (?:must|has to) (?:therefore |thus )?be"
    r"|(?:^|\n|[.;])\s*(?:(?i:so|thus|hence|therefore),? )?(?i:(?:my|the|final|our) )*"
    r"(?i:decision|choice|selection|pick|verdict|conclusion)(?:\s*[:=]| is\b)"
)
"""Words that tell a choice, beside `answer`.

Behind them letters alone are read, for "it must be 12" is a step too.
"""
# "I choose A as the origin" and "it must be A - B" choose no option.
_CHOSEN = (
    r"(?=\s*(?:$|\n|[.;:!)](?!\w)|,(?! ?(?:\d|\w\b)))|,? (?:because|since|given|so|not|for|which)\b"
    r"|,? as (?:it|they|this|that|(?:my|the) (?:\w+ )?(?:answer|option|choice))\b)"
)


class _Patterns(NamedTuple):
    """The patterns by which answers name letters, of those up to one."""

    pick: re.Pattern[str]
    several: re.Pattern[str]
    called_correct: re.Pattern[str]
    lead: re.Pattern[str]
    last: re.Pattern[str]
    spaced: re.Pattern[str]
    other: re.Pattern[str]
    chosen: re.Pattern[str]


@cache
def _patterns(last: str) -> _Patterns:
    big, small = f"A-{last}", f"a-{last.lower()}"
    return _Patterns(
        re.compile(
            rf"(?:\(([{big}{small}])\)|([{big}])(?:\)|[.:](?=\s)|{END})"
            rf"|([{small}])(?=\s*(?:$|\n|\)|[.;](?!\w))))"
        ),
        re.compile(
            rf"\(?([{big}])\)?(?:,? (?:and|or) |, |/| ?& ?)"
            rf"(?:option )?\(?([{big}])\b\)?(?={END}|,| and| or)"
        ),
        re.compile(
            r"(?:^|[.,;:\n]|\b(?i:option|choice|answer|so|thus|hence|therefore|that)\b)\s*"
            rf"\(?\b([{big}]|(?<=option )[{small}])\b[).:]*\s+"
            r"is (?:therefore |thus )?(?:the )?(?:only )?"
            rf"(?:(?:correct|right|best)(?: (?:answer|option|choice|one))?|answer){END}"
        ),
        re.compile(rf"\s*(?:option |choice )?\(?([{big}])(?:([).:]+)(?!\S)|(?=\s*(?:\n|$)))"),
        re.compile(
            r"(?:^|\n|\b(?:hence|so|thus|therefore|option|choice|imo)\b\s*[,:]?)"
            rf"\s*\(?\b([{big}])\b[).]*\s*$",
            re.IGNORECASE,
        ),
        re.compile(rf"([{big}])\s+"),
        re.compile(rf"\b(?:and|or) (?:option )?\(?([{big}])[).:]"),
        re.compile(
            r"\s*(?:(?:option|choice|answer|letter) )?"
            rf"(?:\(([{big}{small}])\)|([{big}])\b){_CHOSEN}"
        ),
    )


def _patterns_for(options: Mapping[str, str]) -> _Patterns:
    return _patterns(last_letter(len(options)))


def last_letter(options: int) -> str:
    """The last letter that names one of so many options."""
    return max(FEW, ascii_uppercase[: min(options, len(ascii_uppercase))][-1:])


def stated_choice(answer: str, choices: Sequence[str]) -> str | None:
    """The letter of the one option that the answer picks, by its letter or its text; None: none, or
    several."""
    picked = stated_choices(answer, choices)
    return picked.pop() if len(picked) == 1 else None


def stated_choices(answer: str, choices: Sequence[str]) -> set[str]:
    """The letters of all options that the answer picks, in one place or in several."""
    text, options = (
        _BOXED.sub(r"(\1)", plain(answer)),
        {letter: as_option(text) for letter, text in zip(ascii_uppercase, choices, strict=False)},
    )
    if _SEVERAL_ANNOUNCED.search(text):
        return set(options)
    picked = {
        match[1].upper()
        for match in _patterns_for(options).called_correct.finditer(text)
        if not is_taken_back(text, match.start(1))
    }
    for claim in {*claims(text, last_letter(len(options))), *_told_choices(text, options)}:
        picked |= _pick(claim, options)
    picked |= _pick_alone(text, options)
    return picked if picked <= options.keys() else set()


def _told_choices(text: str, options: Mapping[str, str]) -> Iterator[str]:
    """Letters that follow "I choose", "it must be" or "Decision:"."""
    patterns = _patterns_for(options)
    for cue in _CHOICE.finditer(text):
        claim = text[cue.end() :][:CLAIM]
        if not is_taken_back(text, cue.start()) and any(
            letters.match(claim.lstrip()) for letters in (patterns.several, patterns.chosen)
        ):
            yield claim


def _pick(claim: str, options: Mapping[str, str]) -> set[str]:
    """The options that a claim names at its start, by letter or by text. A letter and another
    option's text are two."""
    body = FILLER.sub("", claim, count=1)
    if claim[: len(claim) - len(body)].endswith("\n") and _LIST.match(body):
        return set()
    texts = _same_text(body, options)
    patterns = _patterns_for(options)
    if several := patterns.several.match(body):
        return texts or set(several.groups())  # "A and C" may be an option of its own
    spaced = patterns.spaced.match(body)
    if spaced and spaced[1] in _same_text(body[spaced.end() :], options):
        return {spaced[1]}  # "D 8000"
    if one := patterns.pick.match(body):
        letter = (one[1] or one[2] or one[3]).upper()
        texts |= _same_text(body[one.end() :].lstrip(" .):"), options)
        others = patterns.other.findall(SENTENCE_END.split(body)[0])
        return {letter, *others} if letter in texts else {letter, *others, *texts}
    return texts


def _pick_alone(text: str, options: Mapping[str, str]) -> set[str]:
    """Options named without an announcement: "B. Because …" at the start, "hence C" at the end, or
    just the text."""
    patterns = _patterns_for(options)
    picked = {last[1].upper()} if (last := patterns.last.search(text)) else set()
    if several := patterns.several.fullmatch(text.rstrip(" .")):
        picked |= set(several.groups())
    if "\n" not in text and len(text) <= CLAIM:
        alone = as_option(text)
        picked |= {letter for letter, option in options.items() if option == alone}
    if lead := patterns.lead.match(text):
        rest = text[lead.end() :]
        said = _same_text(rest.strip(), options) or _subject(rest, options)
        is_list = _LIST.match(text)
        is_name = re.match(r" [a-z]", rest) and not said  # "E. coli is …"
        if not lead[2] or not (is_list or is_name):
            # "A. newton", where that is B, says two.
            picked |= {lead[1]} if lead[1] in said else {lead[1], *said}
    return picked


def _subject(rest: str, options: Mapping[str, str]) -> set[str]:
    """The option that a sentence is about: "C. Mercury is a planet" speaks of Mercury."""
    about = re.match(r"\s*(.{1,80}?) (?:is|are|was|were)\b", rest)
    subject = as_option(about[1]) if about else ""
    return {letter for letter, option in options.items() if option == subject}


def _same_text(body: str, options: Mapping[str, str]) -> set[str]:
    """Letters of the options that the body starts with, said completely: of the longest one.

    Where options repeat there are several.
    """
    line = as_option(body.split("\n")[0])
    said = {letter: _said(line, option) for letter, option in options.items()}
    longest = max(said.values(), default=0)
    return {letter for letter, length in said.items() if length == longest > 0}


def _said(line: str, option: str) -> int:
    """Characters of the line that say this option at its start; 0: it does not.

    Numbers are compared as numbers.
    """
    number, wanted = NUMBER.match(line), value(option)
    if wanted is not None and number and value(number[0]) == wanted:
        return number.end() if re.match(END, line[number.end() :]) else 0
    says = option and line.startswith(option) and re.match(END, line[len(option) :])
    return len(option) if says else 0


@lru_cache(maxsize=4096)  # the options of a question come back with each of its answers
def as_option(text: str) -> str:
    """A text without what does not change it: case, spacing, thousands commas, currency, a leading
    article."""
    text = re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "", " ".join(plain(text).casefold().split()))
    text = re.sub(r"\s*([/^=+*%<>-])\s*", r"\1", text)
    return re.sub(r"^(?:the|an?) |[.\s]+$", "", text)
