"""Claims of a reply: its plain text, its sentences, and the text behind each announced answer.

"So **the answer is** 19, because …" claims "19, because …"; "if the answer is 19 …" claims nothing.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import cache

_I = re.IGNORECASE
# An answer is announced by a cue, perhaps some words, and a link:
# "the answer to your question is …", "Answer: …".
_CUE = re.compile(
    r"\b(?:answers?(?!\s+(?:choices|options)\b)|ans"
    r"|(?:correct|right|best) (?:option|choice|one))\b",
    _I,
)
_LINK = re.compile(r"\b(?:is|are|was|be)\b|[:=→–—]|-(?![\d.])", _I)
_REACH = 80
CLAIM = 600
"""Characters from a cue to its last link, and of what is read behind it."""
_SAID_OF_IT = r"\)?[.:]?\s+(?:is|are|was|can|could|may|must|would|does|says|gives|seems|looks)\b"
FEW = "J"
"""The last letter that names an option where there are no more of them: K to Z are names of
quantities there."""
_TAKEN_BACK = re.compile(
    r"\b(?:if|whether|could|might|may|maybe|perhaps|possibly|suppose|assuming|unless|not|cannot|\w+n['’]t"
    r"|wrong|incorrect|why)\b",
    _I,
)
SENTENCE_END = re.compile(r"(?<=[^\s\d])[.?!](?=\s)|[.?!](?=\s+[A-Z])|\n")
FILLER = re.compile(
    r"(?:[\s:=\"'“≈~,]|\b(?:therefore|thus|hence|clearly|indeed|simply|then|most|likely|equal|to|approximately|about|the|"
    r"(?-i:an?)(?=\s[^\W\d_]{2})|option|choice|letter|answer)\b)*",
    _I,
)
# A claim is complete here: "B." and "B because …" pick an option, "B vitamins" does not.
END = (
    r"(?=\s*(?:$|\n|[.;:!?)\]\"'”](?!\w)|,(?!\s?\d)"
    r"|,?\s(?:because|since|as|which|given|so|not|while)\b|\s[(–—-]))"
)
_MARKS = re.compile(r"[*`$#{}]")
_THIN_GROUPS = re.compile(r"(?<=\d)[\u00a0\u2009\u202f](?=\d{3}(?!\d))|(?<=\d) (?=000(?!\d))")
_UPPER = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺", "0123456789-+", "\u200b\u2060\ufeff")
_LOWERED = str.maketrans("₀₁₂₃₄₅₆₇₈₉₋₊", "0123456789-+")
_GREEK = {
    "alpha": "α",
    "beta": "β",
    "gamma": "γ",
    "delta": "δ",
    "epsilon": "ε",
    "varepsilon": "ε",
    "eta": "η",
    "theta": "θ",
    "kappa": "κ",
    "lambda": "λ",
    "mu": "µ",
    "nu": "ν",
    "rho": "ρ",
    "sigma": "σ",
    "tau": "τ",
    "phi": "φ",
    "varphi": "φ",
    "chi": "χ",
    "psi": "ψ",
    "omega": "ω",
    "pi": "π",
    "Gamma": "Γ",
    "Delta": "Δ",
    "Theta": "Θ",
    "Lambda": "Λ",
    "Sigma": "Σ",
    "Phi": "Φ",
    "Psi": "Ψ",
    "Omega": "Ω",
    "Pi": "Π",
}
_SIGN_NAMES = {
    "times": "×",
    "cdot": "×",
    "pm": "±",
    "le": "≤",
    "leq": "≤",
    "leqslant": "≤",
    "ge": "≥",
    "geq": "≥",
    "geqslant": "≥",
    "lt": "<",
    "gt": ">",
    "ne": "≠",
    "neq": "≠",
    "approx": "≈",
    "infty": "∞",
    "to": "→",
    "rightarrow": "→",
    "in": "∈",
    "cup": "∪",
    "cap": "∩",
    "degree": "°",
    "quad": " ",
    "qquad": " ",
}
_NAMED = _GREEK | _SIGN_NAMES
_LATEX = (
    (r"(?<=\d)(?:\{,\}|\\[,;!])(?=\d{3}(?!\d))", ""),
    (r"\\(?:[,;: ]|quad|qquad)|~", " "),
    (r"\^\s*\{?\s*\\circ(?![a-zA-Z])\s*\}?", "°"),
    (r"\\(?:text\w*|math\w+|operatorname|mbox)\s*\{([^{}]*)\}", r"\1"),
    (r"\\(?:text\w*|math\w+|left|right|[()\[\]!])", ""),
    (r"\\([%$&#])", r"\1"),
)
_FRACTION = re.compile(r"(-?)(\d*)\s?\\[dt]?frac\s*(?:\{([^{}]*)\}\s*\{([^{}]*)\}|(\d)\s*(\d))")
_ROOT = re.compile(r"(?:\\sqrt|\bsqrt|√)\s*(?:\{([^{}]*)\}|\(([^()]*)\))|\\sqrt\s*(?=\w)")
_BOXED = re.compile(r"(?:([-−])\s*)?\\boxed\b|^####(?= ?[-$]?[\d.,/]+$)", re.MULTILINE)
_RAISED = re.compile("(?<=[0-9a-zA-Zµμ°)])[⁻⁺]?[⁰¹²³⁴⁵⁶⁷⁸⁹]+")
_POWER_OF_TEN = re.compile(
    r"(?<=\d)\s?[x×·⋅*]\s?10\s?(?:\^|\*\*)\s?(?:\{\s?([-+]?\d{1,3})\s?\}|\(\s?([-+]?\d{1,3})\s?\)|([-+]?\d{1,3}))"
)
_MIXED = re.compile(r"(?<![\w./^])(\d{1,6}) (\d{1,4})/(\d{1,4})(?![\w/^]|\.\d)")
_MAGNITUDES = {"thousand": 3, "million": 6, "billion": 9, "trillion": 12}
_WRITTEN = (
    (r"(?<![^\W\d_])[–‒](?=[\d.])", "-"),  # an en dash is a minus, or stands in a range
    (r"(?<![\d)%] )(?<!\b\w )\b(?:minus|negative) (?=[\d.])", "-"),
    (r"(?:\bdeg(?:rees?)?\s?|°\s?)(?:Celsius|celsius|C)\b|℃", "°C"),
    (r"(?:\bdeg(?:rees?)?\s?|°\s?)(?:Fahrenheit|fahrenheit|F)\b|℉", "°F"),
    (r"\bper cent\b", "percent"),
    (r"(?<![\w\])])\[ ?([A-Z]) ?\](?![\w(\[])", r"(\1)"),  # an option, as "Answer: [B]"
    (r"(?:(?<=\d) )?\bpi\b", "π"),
    (r"<=(?!>)", "≤"),
    (r"(?<!=)>=", "≥"),
    (r"!=", "≠"),
    (r"(?<=[\w)])\*\*(?=-?\d)", "^"),
    (r"(?<=\w)\$?_\{?(\d+)\}?\$?", r"\1"),  # H_2O
    (r"\^\s?\{?([-+])\}?(?!\d)", r"\1"),  # Na^+
)


def plain(answer: str) -> str:
    """The text without Markdown and LaTeX marks, numbers and signs written in one way.

    Powers of ten are written as 3e8, mixed fractions as one fraction; a boxed or `####` result is
    announced in words.
    """
    text = _THIN_GROUPS.sub("", answer)
    text = "\n".join(" ".join(line.split()) for line in text.splitlines() if not line.isspace())
    text = re.sub(r"<answer>", "\nAnswer: ", text, flags=_I)
    text = text.replace("</answer>", "\n").replace("−", "-")
    if "\\" in text or "####" in text:  # most texts hold neither
        text = _without_latex(_BOXED.sub(lambda found: f"\nAnswer: {found[1] or ''}", text))
    text = text.translate(_LOWERED)
    text = _RAISED.sub(lambda found: "^" + found[0].translate(_UPPER), text).translate(_UPPER)
    text = re.sub(r"(\d?)([¼-¾⅐-⅞])", _vulgar, text)
    text = _ROOT.sub(lambda found: "√" + _grouped(found[1] or found[2] or ""), text)
    for pattern, written in _WRITTEN:
        text = re.sub(pattern, written, text)
    text = _POWER_OF_TEN.sub(lambda found: "e" + (found[1] or found[2] or found[3]), text)
    text = re.sub(
        rf"(?<=\d) ({'|'.join(_MAGNITUDES)})\b(?!-)",
        lambda found: f"e{_MAGNITUDES[found[1]]}",
        text,
    )
    text = _MIXED.sub(_improper, text)
    text = re.sub(r"(?<=[\w)])( ?)\*\1(?=[\w(])", r"\1×\1", text)  # a product, not Markdown
    text = re.sub(r"(?<=\d) ?× ?(?=[^\W\d_]\b|[π√])", "", text)
    text = _MARKS.sub("", text)
    return re.sub(r"\( ?(\w) ?\)", r"(\1)", text).strip(" \n\"'“”")


def _without_latex(text: str) -> str:
    for pattern, written in _LATEX:
        text = re.sub(pattern, written, text, flags=re.MULTILINE)
    text = re.sub(r"\\([a-zA-Z]+)", lambda found: _NAMED.get(found[1], found[0]), text)
    return re.sub(" {2,}", " ", _FRACTION.sub(_fraction, text))


def _fraction(found: re.Match[str]) -> str:
    r"""`2\frac{1}{2}` as 2 1/2, `\frac{a+b}{c}` as (a+b)/c."""
    sign, whole, above, below, *digits = found.groups()
    above, below = (above, below) if above is not None else digits
    return f"{sign}{whole}{' ' if whole else ''}{_grouped(above)}/{_grouped(below)}"


def _grouped(part: str) -> str:
    part = part.strip()
    bare = not part or re.fullmatch(r"-?[\d.,]+|\w|√\w+", part)
    return part if bare else f"({part})"


def _vulgar(found: re.Match[str]) -> str:
    written = unicodedata.normalize("NFKC", found[2]).replace("\u2044", "/")
    return f"{found[1]} {written}" if found[1] else written


def _improper(found: re.Match[str]) -> str:
    whole, above, below = map(int, found.groups())
    return f"{whole * below + above}/{below}" if 0 < above < below else found[0]


def claims(text: str, last: str = FEW) -> Iterator[str]:
    """The text behind each announcement of an answer.

    Letters up to `last` name options: "answer B is wrong" announces none.
    """
    talked_about, letter = _naming(last)
    for cue in _CUE.finditer(text):
        if is_taken_back(text, cue.start()):
            continue
        if not talked_about.match(text, cue.end()):
            yield text[cue.end() :][:CLAIM]
        reach = SENTENCE_END.split(text[cue.end() : cue.end() + _REACH], maxsplit=1)[0]
        for link in _LINK.finditer(reach):
            between = reach[: link.start()]
            if not _TAKEN_BACK.search(between) and not letter.search(between):
                yield text[cue.end() + link.end() :][:CLAIM]


@cache
def _naming(last: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """An option that something is said of, and the letter of one."""
    return (
        re.compile(rf"\s*\(?[A-{last}a-{last.lower()}]{_SAID_OF_IT}"),
        re.compile(rf"\b[A-{last}]\b"),
    )


def is_taken_back(text: str, at: int) -> bool:
    """Whether the few words before deny it or make it a condition: "if the answer is B", "no wrong
    answer is B"."""
    before = SENTENCE_END.split(text[max(0, at - 60) : at])[-1]
    return bool(_TAKEN_BACK.search(" ".join(before.split()[-3:])))


_NEVER_LAST = re.compile(
    r"\b(?:the|an?|of|to|and|or|for|with|from|by|which|where|because|if|than|this|other|its|their"
    r"|(is|are|was|were|be|equals))$",
    _I,
)


WORKS_ON = re.compile(
    r"\s*(?:\W|\d+\.)*(?:to|now|then|next|first|we|let|finally|however|but|so|thus|hence|therefore)\b",
    _I,
)
"""The beginning of a sentence that works on towards a result, and explains none that was given."""


def finished(text: str) -> str:
    """The text without a last sentence that was cut off before it said a number: "It is 6. In other
    words, the"."""
    begin = max((end.end() for end in SENTENCE_END.finditer(text)), default=0)
    cut = _NEVER_LAST.search(text, begin) if begin else None
    if not cut:
        return text
    says_again = bool(cut[1])  # "So the answer is"
    keeps = WORKS_ON.match(text, begin) or re.search(r"\d", text[begin:])
    return text[:begin].rstrip() if says_again or not keeps else text


def sentences(text: str) -> list[str]:
    return [part for part in SENTENCE_END.split(text) if part.strip()]
