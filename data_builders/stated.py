"""What a free-text answer commits to: the option it picks, and whether it states the gold answer.

Rather silent than wrong: "… so the answer is (B)." picks B; "A line through B." and "The answer is B or C." pick none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from functools import lru_cache

from data_builders.split import question_key
from stemma.rows import LETTERS

_I = re.IGNORECASE
# An answer is announced by a cue, perhaps some words, and a link: "the answer to your question is …", "Answer: …".
_CUE = re.compile(r"\b(?:answers?(?!\s+(?:choices|options)\b)|ans|(?:correct|right|best) (?:option|choice|one))\b", _I)
_LINK = re.compile(r"\b(?:is|are|was|be)\b|[:=→–—]|-(?![\d.])", _I)
_REACH, _CLAIM = 80, 600
"""Characters from a cue to its last link, and of what is read behind it."""
_TALKED_ABOUT = re.compile(
    r"\s*\(?[A-Ja-j]\)?[.:]?\s+(?:is|are|was|can|could|may|must|would|does|says|gives|seems|looks)\b"
)
_SEVERAL_ANNOUNCED = re.compile(r"\b(?:correct|right|true) (?:answers|options|choices|statements) are\b", _I)
_TAKEN_BACK = re.compile(r"\b(?:if|whether|suppose|assuming|unless|not|cannot|\w+n['’]t|wrong|incorrect|why)\b", _I)
_SENTENCE_END = re.compile(r"(?<=[^\s\d])[.?!](?=\s)|[.?!](?=\s+[A-Z])|\n")
_FILLER = re.compile(
    r"(?:[\s:=\"'“≈~,]|\b(?:therefore|thus|hence|clearly|indeed|simply|then|most|likely|equal|to|approximately|about|the|"
    r"(?-i:an?)(?=\s[^\W\d_]{2})|option|choice|letter|answer)\b)*",
    _I,
)
# Where a claim is complete: "B." and "B because …" pick an option, "B vitamins" and "A line" do not.
_END = r"(?=\s*(?:$|\n|[.;:!?)\]\"'”](?!\w)|,(?!\s?\d)|,?\s(?:because|since|as|which|given|so|not|while)\b|\s[(–—-]))"
_LETTER = rf"(?:\(([A-Ja-j])\)|([A-J])(?:\)|[.:](?=\s)|{_END})|([a-j])(?=\s*(?:$|\n|\)|[.;](?!\w))))"
_PICK = re.compile(_LETTER)
_SEVERAL = re.compile(rf"\(?([A-J])\)?(?:,? (?:and|or) |, |/| ?& ?)(?:option )?\(?([A-J])\b\)?(?={_END}|,| and| or)")
_CALLED_CORRECT = re.compile(
    r"(?:^|[.,;:\n]|\b(?i:option|choice|answer|so|thus|hence|therefore|that)\b)\s*"
    r"\(?\b([A-J]|(?<=option )[a-j])\b[).:]*\s+is (?:therefore |thus )?(?:the )?(?:only )?"
    rf"(?:(?:correct|right|best)(?: (?:answer|option|choice|one))?|answer){_END}"
)
_LIST = re.compile(r"\(?A[).:]\s.*?\s\(?B[).:]\s", re.DOTALL)
_LEAD = re.compile(r"\s*(?:option |choice )?\(?([A-J])(?:([).:]+)(?!\S)|(?=\s*(?:\n|$)))")
_LAST = re.compile(r"(?:^|\n|\b(?:hence|so|thus|therefore|option|choice|imo)\b\s*[,:]?)\s*\(?\b([A-J])\b[).]*\s*$", _I)
_MARKS = re.compile(r"[*`$#{}]")
_NUMBER = re.compile(
    r"(?<![\w.)])-?(?:\d{1,3}(?:,\d{3}){1,9}(?!\d)|\d{1,30}|(?=\.\d))(?:\.\d{1,30})?(?:\s?/\s?[1-9]\d{0,29})?(?![.,]?\d)"
)


def stated_choice(answer: str, choices: Sequence[str]) -> str | None:
    """The letter of the one option that the answer picks, by its letter or its text; None: none, or several."""
    picked = stated_choices(answer, choices)
    return picked.pop() if len(picked) == 1 else None


def stated_choices(answer: str, choices: Sequence[str]) -> set[str]:
    """The letters of all options that the answer picks, in one place or in several."""
    text, options = _plain(answer), {letter: _normal(text) for letter, text in zip(LETTERS, choices, strict=False)}
    if _SEVERAL_ANNOUNCED.search(text):
        return set(options)
    picked = {match[1].upper() for match in _CALLED_CORRECT.finditer(text) if not _is_taken_back(text, match.start(1))}
    for claim in set(_claims(text)):
        picked |= _pick(claim, options)
    picked |= _pick_alone(text, options)
    return picked if picked <= options.keys() else set()


def states_gold(answer: str, gold: str) -> bool | None:
    """Whether the answer's final statement is the short gold answer; None: it states nothing that can be compared."""
    text, wanted = _plain(answer), _value(gold)
    return _states_text(text, gold) if wanted is None else _states_number(text, wanted)


def _plain(answer: str) -> str:
    """Without Markdown and LaTeX marks; a boxed or `####` result announced in words."""
    text = "\n".join(" ".join(line.split()) for line in answer.splitlines() if not line.isspace())
    text = text.replace("−", "-")
    if "\\" in text or "####" in text:  # most texts hold neither
        text = re.sub(r"\\boxed\b|^####(?= ?[-$]?[\d.,/]+$)", "\nAnswer: ", text, flags=re.MULTILINE)
        text = re.sub(r"\\d?frac\s*\{([^{}]*)\}\s*\{([^{}]*)\}", r"\1/\2", text)
        text = re.sub(r"\\(?:text\w*|math\w+|[()\[\],;!])", "", text)
    text = _MARKS.sub("", text)
    return re.sub(r"\( ?(\w) ?\)", r"(\1)", text).strip(" \n\"'“”")


def _claims(text: str) -> Iterator[str]:
    """What follows each announcement of an answer, read up to the end of the text."""
    for cue in _CUE.finditer(text):
        if _is_taken_back(text, cue.start()):
            continue
        if not _TALKED_ABOUT.match(text, cue.end()):
            yield text[cue.end() :][:_CLAIM]
        reach = _SENTENCE_END.split(text[cue.end() : cue.end() + _REACH], maxsplit=1)[0]
        for link in _LINK.finditer(reach):
            between = reach[: link.start()]
            if not _TAKEN_BACK.search(between) and not re.search(r"\b[A-J]\b", between):
                yield text[cue.end() + link.end() :][:_CLAIM]


def _is_taken_back(text: str, at: int) -> bool:
    """Whether the few words before deny it or make it a condition: "if the answer is B", "an incorrect answer is B"."""
    before = _SENTENCE_END.split(text[max(0, at - 60) : at])[-1]
    return bool(_TAKEN_BACK.search(" ".join(before.split()[-3:])))


def _pick(claim: str, options: Mapping[str, str]) -> set[str]:
    """The options that a claim names at its start, by letter or by text. A letter and another option's text are two."""
    body = _FILLER.sub("", claim, count=1)
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
        others = re.findall(r"\b(?:and|or) (?:option )?\(?([A-J])[).:]", _SENTENCE_END.split(body)[0])
        return {letter, *others} if letter in texts else {letter, *others, *texts}
    return texts


def _pick_alone(text: str, options: Mapping[str, str]) -> set[str]:
    """Options named without an announcement: "B. Because …" at the start, "hence C" at the end, or just the text."""
    picked = {last[1].upper()} if (last := _LAST.search(text)) else set()
    if "\n" not in text and len(text) <= _CLAIM:
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
    number, value = _NUMBER.match(line), _value(option)
    if value is not None and number and _value(number[0]) == value:
        return number.end() if re.match(_END, line[number.end() :]) else 0
    return len(option) if option and line.startswith(option) and re.match(_END, line[len(option) :]) else 0


@lru_cache(maxsize=4096)  # the options of a question come back with each of its answers
def _normal(text: str) -> str:
    """A text without what does not change it: case, spacing, thousands commas, currency, a leading article."""
    text = re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "", " ".join(_plain(text).casefold().split()))
    text = re.sub(r"\s*([/^=+*%<>-])\s*", r"\1", text)
    return re.sub(r"^(?:the|an?) |[.\s]+$", "", text)


def _value(text: str) -> Fraction | None:
    number = text.strip().rstrip(".").replace("−", "-").lstrip("$€£ ")
    if not _NUMBER.fullmatch(number):
        return None
    return Fraction(number.replace(",", "").replace(" ", ""))


def _states_number(text: str, wanted: Fraction) -> bool | None:
    claims = {*_claims(text), *re.findall(r"^A:(.*)$", text, re.MULTILINE)[-1:]}
    stated = {value for claim in claims for value in _leading_values(claim)} or _closing_values(text)
    return stated == {wanted} if len(stated) == 1 else None


def _leading_values(claim: str) -> Iterator[Fraction]:
    """The numbers a claim gives as its result: "18 dollars" 18, "2 or 3" both, "12 + 7 = …" none yet."""
    body = _FILLER.sub("", claim, count=1).lstrip("$€£ ")
    number = _NUMBER.match(body)
    rest = body[number.end() :] if number else ""
    if number and not re.match(r"\s?(?:[-+*/^=×·<>(]|x\b|\d)", rest):
        yield _exact(number[0])
        if other := re.match(r",? (?:or|and|to) (.*)", rest):
            yield from _leading_values(other[1])


def _closing_values(text: str) -> set[Fraction]:
    """What an unannounced result can be: the last sentence's numbers, or only what follows its last equals sign."""
    sentence = [part for part in _SENTENCE_END.split(text) if part.strip()][-1:]
    closing = "".join(sentence).split("=")[-1]
    return {_exact(number[0]) for number in _NUMBER.finditer(closing)}


def _exact(number: str) -> Fraction:
    return Fraction(number.replace(",", "").replace(" ", ""))


def _states_text(text: str, gold: str) -> bool | None:
    wanted = question_key(gold)
    if question_key(text) == wanted:
        return True
    claims = list(_claims(text))
    parts = [part for part in _SENTENCE_END.split(claims[-1].strip() if claims else text) if part.strip()]
    final = (parts[0] if claims else parts[-1]) if parts else ""
    if _holds(final, gold):
        return None if re.search(r"\b(?:or|not|never|either|neither)\b|n['’]t\b", final, _I) else True
    return None if _holds(text, gold) else False


def _holds(text: str, gold: str) -> bool:
    """Whether the gold answer stands in the text as whole words. Symbols ("I", "He") are words too: only at the end."""
    if len(gold) <= 2:
        return re.search(rf"(?<!\w){re.escape(gold)}\W*$", text) is not None
    return f" {question_key(gold)} " in f" {question_key(text)} "
