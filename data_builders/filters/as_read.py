r"""A text as its reader sees it, however it was typed, copied or exported, so that questions can be
compared:

    <p>Is x&sup2; &le; 4&nbsp;?</p>    Is $x^{2} \leq 4$ ?    Is 𝑥² ≤ 4 ?    are all "Is x^2 ≤ 4 ?"

Undone are HTML, TeX where a character says the same, Unicode's other forms of a letter (ligatures,
full width, mathematical italics), Cyrillic letters inside Latin words, hyphenation at a line's end,
and what is drawn as nothing.
"""

from __future__ import annotations

import html
import re
import unicodedata

# Characters that are drawn as nothing: soft hyphen, zero-width ones, marks of direction, byte order
# mark, fillers, variation selectors, musical format signs, tags.
UNSEEN = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u2800\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
_ODD = re.compile(r"[&<\\$*`]|-\r?\n|[<>!]=|\{,\}|(?<![\w.)\]])\.\d")
"""In ASCII: what may stand for something else."""

_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,30});")
_BLOCKS = "p|div|li|ul|ol|tr|td|th|table|h[1-6]|blockquote|pre"
_INLINE = (
    r"b|i|em|strong|u|sub|sup|span|font|small|code|a|label"
    r"|m(?:ath|row|i|n|o|text|style|sup|sub|frac|sqrt)"
)
_ATTRIBUTES = r"(?:\s+[\w:-]+(?:\s*=\s*(?:\"[^\"]*\"|'[^']*'|[^\s<>\"']{1,500}))?){0,20}\s*"
_PAIR = re.compile(
    rf"<({_BLOCKS}|{_INLINE}){_ATTRIBUTES}>((?:[^<]|<(?!/?\1\b))*?)</\1\s*>", re.IGNORECASE
)
# A tag that is talked about stands alone between blanks or quotes: "What does <br> do?"
_BREAK = re.compile(
    r"(?:(?<=[\w.?!:;,)])|^\s*)<(?:br|p|hr)\s*/?>|<(?:br|p|hr)\s*/?>(?=\s*$)",
    re.IGNORECASE | re.MULTILINE,
)
_NESTED = 20
"""Tags within tags that are followed."""
_IS_BLOCK = re.compile(_BLOCKS, re.IGNORECASE)

_HYPHENATED = re.compile("(?<=[^\\W\\d_]{2})[-\u2010\u00ad]\r?\n[ \t]*(?=[a-z])")
_GROUPED = re.compile(r"(?<=\d)(?:[\u00a0\u2009\u202f]|\\[,;!]|\{,\})(?=\d{3}(?!\d))")

_HALF = re.compile(r"(?<![\w.)\]])\.(?=\d)")

_STRESSED = re.compile(r"(?<![\w*)])(\*\*|\*)(?=[^\W_])([^*\n]+?)(?<=[\w.?!:)])\1(?![\w*(])")
_FORMULA = re.compile(
    r"\$\$(.+?)\$\$|(?<![\\$\w])\$(?=\S)([^$\n]*?[^\s$\\])\$(?![\d\w$])", re.DOTALL
)
_END = r"(?![a-zA-Z])"
_DRESSED = re.compile(r"\\(?:text\w*|math[a-z]+|operatorname\*?|mbox|boldsymbol)\s*\{([^{}]*)\}")
_DRESS = re.compile(
    r"(?<!\\)\\(?:[()\[\],;:! ]"
    rf"|(?:left|right|[bB]ig+[lr]?|displaystyle|textstyle|limits|q?quad|text\w*|math[a-z]+){_END})"
)
_FRACTION = re.compile(r"\\[dt]?frac\s*(?:\{\s*(\w+)\s*\}|(\d))\s*(?:\{\s*(\w+)\s*\}|(\d))")
_RAISED_SIGN = re.compile(rf"\^\s*(?:\{{\s*(\\circ|\\prime)\s*\}}|(\\circ|\\prime){_END})")
_BRACED = re.compile(r"(?<=[\^_])\{\s*([-+−]?(?:\w+|\d+\.\d+)|\d*[-+−])\s*\}")
_COMMAND = re.compile(r"\\([a-zA-Z]+|[%&#_{}])")
_NAMED = """
times=× cdot=· div=÷ pm=± le=≤ leq=≤ ge=≥ geq=≥ ne=≠ neq=≠ approx=≈ infty=∞ to=→
rightarrow=→ leftarrow=←
Rightarrow=⇒ leftrightarrow=↔ Leftrightarrow=⇔ iff=⇔ implies=⇒ in=∈ notin=∉ cup=∪ cap=∩ subset=⊂
subseteq=⊆
forall=∀ exists=∃ sum=∑ prod=∏ int=∫ partial=∂ nabla=∇ sqrt=√ circ=∘ degree=° ldots=...
cdots=... dots=...
land=∧ lor=∨ neg=¬ lnot=¬ wedge=∧ vee=∨ oplus=⊕ emptyset=∅ equiv=≡ sim=∼ propto=∝ angle=∠ perp=⊥
lfloor=⌊ rfloor=⌋ lceil=⌈ rceil=⌉ langle=⟨ rangle=⟩ mid=| vert=| setminus=∖ prime=′
"""
_SYMBOLS = dict(one.split("=") for one in _NAMED.split()) | {sign: sign for sign in "%&#_{}"}
_ASCII_SIGNS = (("!=", "≠"), ("<=", "≤"), (">=", "≥"))

_RAISED = re.compile("[\u00b2\u00b3\u00b9\u2070\u2071\u2074-\u207f]+")
_PARTED = re.compile(r"(?<=\d)(?=[\u00bc-\u00be\u2150-\u215e])")  # 1½ is no 11/2
_SAME = str.maketrans("º˚´\u2044\u2010\u2011", "°°′/--")
_MIXED = re.compile(r"(?<!\w)\w*[a-zA-Z]\w*")
_LOOKALIKES = str.maketrans("аеорсухіјѕһԁԛԝАВЕКМНОРСТУХІЈЅ", "aeopcyxijshdqwABEKMHOPCTYXIJS")


def as_read(text: str) -> str:
    """The text without what changes nothing for its reader."""
    if text.isascii() and not _ODD.search(text):  # most texts
        return text
    text = UNSEEN.sub("", _HYPHENATED.sub("", text))
    if "&" in text:
        text = _ENTITY.sub(_unescaped, _ENTITY.sub(_unescaped, text))
    if "<" in text:
        text = _without_tags(text)
    text = _GROUPED.sub("", text)
    text = _STRESSED.sub(r"\2", text).replace("`", "")
    if "\\" in text or "$" in text or "{" in text:
        text = _without_tex(text)
    for written, sign in _ASCII_SIGNS:
        text = text.replace(written, sign)
    text = _HALF.sub("0.", text)
    return text if text.isascii() else _plain_characters(text)


def _unescaped(entity: re.Match[str]) -> str:
    return html.unescape(entity[0])


def _without_tags(text: str) -> str:
    """Without tags that lay the text out, from the innermost pair outwards."""
    for _ in range(_NESTED):
        bare = _PAIR.sub(_content, text)
        if bare == text:
            break
        text = bare
    return _BREAK.sub("\n", text)


def _content(pair: re.Match[str]) -> str:
    name = pair[1].lower()
    inside = pair[2]
    if name in ("sup", "msup") and re.match(r"\s*[-+−\d]", inside):
        return f"^{inside.strip()}"
    return f"\n{inside}\n" if _IS_BLOCK.fullmatch(name) else inside


def _without_tex(text: str) -> str:
    text = _FORMULA.sub(lambda found: f" {found[1] or found[2]} ", text)
    text = _RAISED_SIGN.sub(lambda found: "°" if "circ" in found[0] else "′", text)
    text = _DRESS.sub(" ", _DRESSED.sub(r"\1", _COMMAND.sub(_symbol, text)))
    text = _FRACTION.sub(lambda found: f"{found[1] or found[2]}/{found[3] or found[4]}", text)
    return _BRACED.sub(r"\1", text)


def _symbol(command: re.Match[str]) -> str:
    """The character of a command, where it has one: `\\leq`, `\\alpha`."""
    name = command[1]
    if name in _SYMBOLS:
        return f" {_SYMBOLS[name]} " if _SYMBOLS[name] not in "{}_" else _SYMBOLS[name]
    size = "CAPITAL" if name[0].isupper() else "SMALL"
    try:
        return unicodedata.lookup(
            f"GREEK {size} LETTER {'LAMDA' if name.lower() == 'lambda' else name}"
        )
    except KeyError:
        return command[0]


def _plain_characters(text: str) -> str:
    text = _PARTED.sub(" ", UNSEEN.sub("", text).translate(_SAME))
    text = _RAISED.sub(lambda run: "^" + run[0], text)
    text = unicodedata.normalize("NFKC", text).translate(_SAME)
    if any("\u0400" <= char <= "\u0530" for char in text):
        text = _MIXED.sub(lambda word: word[0].translate(_LOOKALIKES), text)
    return text
