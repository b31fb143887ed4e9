"""Where a reply commits itself: its plain text, its sentences, and what follows each announcement of an answer.

"So **the answer is** 19, because …" claims "19, because …"; "if the answer is 19 …" claims nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_I = re.IGNORECASE
# An answer is announced by a cue, perhaps some words, and a link: "the answer to your question is …", "Answer: …".
_CUE = re.compile(r"\b(?:answers?(?!\s+(?:choices|options)\b)|ans|(?:correct|right|best) (?:option|choice|one))\b", _I)
_LINK = re.compile(r"\b(?:is|are|was|be)\b|[:=→–—]|-(?![\d.])", _I)
_REACH = 80
CLAIM = 600
"""Characters from a cue to its last link, and of what is read behind it."""
_TALKED_ABOUT = re.compile(
    r"\s*\(?[A-Ja-j]\)?[.:]?\s+(?:is|are|was|can|could|may|must|would|does|says|gives|seems|looks)\b"
)
_TAKEN_BACK = re.compile(r"\b(?:if|whether|suppose|assuming|unless|not|cannot|\w+n['’]t|wrong|incorrect|why)\b", _I)
SENTENCE_END = re.compile(r"(?<=[^\s\d])[.?!](?=\s)|[.?!](?=\s+[A-Z])|\n")
FILLER = re.compile(
    r"(?:[\s:=\"'“≈~,]|\b(?:therefore|thus|hence|clearly|indeed|simply|then|most|likely|equal|to|approximately|about|the|"
    r"(?-i:an?)(?=\s[^\W\d_]{2})|option|choice|letter|answer)\b)*",
    _I,
)
# Where a claim is complete: "B." and "B because …" pick an option, "B vitamins" and "A line" do not.
END = (
    r"(?=\s*(?:$|\n|[.;:!?)\]\"'”](?!\w)|,(?!\s?\d)"
    r"|,?\s(?:because|since|as|which|given|so|not|while)\b|\s[(–—-]))"
)
_MARKS = re.compile(r"[*`$#{}]")
_THIN_GROUPS = re.compile(r"(?<=\d)[\u00a0\u2009\u202f](?=\d{3}(?!\d))|(?<=\d) (?=000(?!\d))")
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺", "0123456789-+")
_LATEX = (
    (r"\\boxed\b|^####(?= ?[-$]?[\d.,/]+$)", "\nAnswer: "),
    (r"\\[dt]?frac\s*\{([^{}]*)\}\s*\{([^{}]*)\}", r"\1/\2"),
    (r"\\[dt]?frac\s*(\d)\s*(\d)", r"\1/\2"),
    (r"(?<=\d)(?:\{,\}|\\[,;!])(?=\d{3}(?!\d))", ""),
    (r"\\(?:times|cdot)(?![a-zA-Z])", "×"),
    (r"\\pm(?![a-zA-Z])", "±"),
    (r"\\(?:text\w*|math\w+|left|right|[()\[\],;!])", ""),
    (r"\\([%$])", r"\1"),
)  # fmt: skip
_RAISED = re.compile("(?<=[0-9a-zA-Zµμ°)])[⁻⁺]?[⁰¹²³⁴⁵⁶⁷⁸⁹]+")
_POWER_OF_TEN = re.compile(
    r"(?<=\d)\s?[x×·⋅*]\s?10\s?(?:\^|\*\*)\s?(?:\{\s?([-+]?\d{1,3})\s?\}|\(\s?([-+]?\d{1,3})\s?\)|([-+]?\d{1,3}))"
)


def plain(answer: str) -> str:
    """Without Markdown and LaTeX marks, powers of ten as 3e8; a boxed or `####` result announced in words."""
    text = _THIN_GROUPS.sub("", answer)
    text = "\n".join(" ".join(line.split()) for line in text.splitlines() if not line.isspace())
    text = text.replace("−", "-")
    if "\\" in text or "####" in text:  # most texts hold neither
        for pattern, written in _LATEX:
            text = re.sub(pattern, written, text, flags=re.MULTILINE)
    text = _RAISED.sub(lambda found: "^" + found[0].translate(_SUPERSCRIPTS), text)
    text = _POWER_OF_TEN.sub(lambda found: "e" + (found[1] or found[2] or found[3]), text)
    text = re.sub(r"(?<=[\w)])( ?)\*\1(?=[\w(])", r"\1×\1", text)  # a product, not Markdown
    text = _MARKS.sub("", text)
    return re.sub(r"\( ?(\w) ?\)", r"(\1)", text).strip(" \n\"'“”")


def claims(text: str) -> Iterator[str]:
    """What follows each announcement of an answer, read up to the end of the text."""
    for cue in _CUE.finditer(text):
        if is_taken_back(text, cue.start()):
            continue
        if not _TALKED_ABOUT.match(text, cue.end()):
            yield text[cue.end() :][:CLAIM]
        reach = SENTENCE_END.split(text[cue.end() : cue.end() + _REACH], maxsplit=1)[0]
        for link in _LINK.finditer(reach):
            between = reach[: link.start()]
            if not _TAKEN_BACK.search(between) and not re.search(r"\b[A-J]\b", between):
                yield text[cue.end() + link.end() :][:CLAIM]


def is_taken_back(text: str, at: int) -> bool:
    """Whether the few words before deny it or make it a condition: "if the answer is B", "no wrong answer is B"."""
    before = SENTENCE_END.split(text[max(0, at - 60) : at])[-1]
    return bool(_TAKEN_BACK.search(" ".join(before.split()[-3:])))


def sentences(text: str) -> list[str]:
    return [part for part in SENTENCE_END.split(text) if part.strip()]
