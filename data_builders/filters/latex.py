r"""LaTeX whose backslash was eaten, and the backslash put back.

The damage comes from JSON or Python strings read with single backslashes: `\text` became TAB +
`ext`, `\neq` newline + `eq`, `\rvert` carriage return + `vert`, `\frac` form feed + `rac`, `\begin`
backspace + `egin`, `\vec` vertical tab + `ec`, `\alpha` bell + `lpha`. Where a command can be told
from ordinary text it is put back; what is left over is for `clean` to judge.

- Bell and backspace are no text at all: before a letter they are always an eaten backslash.
- Form feed divides pages and vertical tab breaks lines of slides: a command by its known name, or
  by what stands before it.
- TAB, newline and carriage return are ordinary text: by known names only. A name that is also a
  word (`an`, `o`, `u`), or could be one, counts only where mathematics stands around it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_END = r"(?![a-zA-Z])"
_BRACE = r"\s?\{"
_MATHS = r"(?<=[$({[}^_])"
"""A sign of mathematics right before the eaten backslash: `$` TAB `au$`."""
_AMID = r"(?<=[ $(\[{^_=+*/|&\\}-])"
"""What may stand before a command, and not before a page or line that begins."""
_SPACED = r"(?<=\S )"
"""A blank within a line: columns of a table are not parted by a blank and a TAB."""
_ONE_DOLLAR = r"(?<!\$\$)(?<=[$^_])"
"""A formula within a line: behind `$$`, newlines are real."""

_ARROWS = "rightarrow|rightleftharpoons|rightharpoonup|rightsquigarrow"
_FORM_FEED = (
    "rac|orall|lat|loor|rown|ootnote(?:size|mark|text)?|ont(?:size|family|series|shape)"
    "|allingdotseq"
)
_VERTICAL_TAB = (
    "ec|ert|erb|ee|eebar|dots|ar(?:epsilon|phi|theta|sigma|rho|pi|kappa|nothing|propto|Gamma|Delta)"
)
_TAB = (
    "imes|heta|herefore|ilde|riangle(?:left|right|down)?(?:eq|q)?|hickapprox|hicksim|hinspace"
    "|woheadrightarrow|extwidth|extstyle|iny"
)
_TEXT = "ext(?:bf|it|rm|tt|sf|sc|sl|up|md|normal|color)?"
_NEWLINE = (
    "eq(?![.:(])|abla|otin|ewline|onumber|olimits|ormalsize|[lg]eq(?:q|slant)?|su[bp]seteq"
    "|atural|earrow|warrow"
)
_RETURN = f"ight|{_ARROWS.replace('right', 'ight')}|ho|angle|ceil|floor|vert|Vert|brace|brack|group"

# How each sign's damage reads: (letter that was eaten, what stands around the sign `\N`).
_READINGS: list[tuple[str, str]] = [
    ("a", r"\N(?=[a-zA-Z])"),
    ("b", r"\N(?=[a-zA-Z])"),
    ("f", rf"\N(?=(?:{_FORM_FEED}){_END}|(?:box|ill){_BRACE})"),
    ("f", rf"{_AMID}\N(?=[a-z])"),
    ("v", rf"\N(?=(?:{_VERTICAL_TAB}){_END}|(?:space|phantom|skip|center|box)\*?{_BRACE})"),
    ("v", rf"{_AMID}\N(?=[a-zA-Z])"),
    (
        "t",
        rf"\N(?=(?:{_TAB}){_END}|{_TEXT}{_BRACE}|(?:frac|binom)(?:{_BRACE}|\d)|(?:ag\*?|itle)\{{)",
    ),
    ("t", rf"{_MATHS}\N(?=(?:anh?|au|op?){_END})"),
    ("t", r"\N(?=(?:anh?|au|op)[\\^_$}=]|anh?\(|o\\)"),
    ("t", rf"{_SPACED}\N(?=au{_END}|anh? (?:[\d\\(]|[a-zA-Z]{_END}))"),
    ("t", rf"{_SPACED}\N(?=o ?(?:[A-Z0-9\\({{\[+-]|[a-z]{_END}))"),
    ("n", rf"\N(?=(?:{_NEWLINE}){_END}|(?:ewcommand|icefrac|orm){_BRACE})"),
    ("n", r"\N(?=ot ?[=<>\\]|eg ?[\\({]|eg [B-HJ-Zb-z](?![\w'.-])|e ?(?:\\|0(?![\d.])))"),
    ("n", rf"(?<=\b[\w)\]}}] )\N(?=e (?:[\d\\(-]|[a-zA-Z]{_END}))"),
    ("n", rf"{_ONE_DOLLAR}\N(?=u(?:[$}}_^\\]| ?[=<>][^$\n]{{1,40}}\$))"),
    ("n", rf"(?<![a-zA-Z]h)(?<=h)\N(?=u{_END})"),
    ("r", rf"\N(?=(?:{_RETURN}){_END}|(?:ule|ef|m|aisebox|enewcommand){_BRACE})"),
    ("r", rf"(?:(?<=\{{)\N(?=m{_END})|{_SPACED}\N(?=times{_END}))"),
]
_SIGNS = dict(zip("abfvtnr", "\a\b\f\v\t\n\r", strict=True))
# (sign, damage, command). The sign stands in brackets, where \b is a backspace and no word
# boundary.
_DAMAGE = [
    (_SIGNS[eaten], re.compile(around.replace(r"\N", rf"[\{eaten}]")), rf"\\{eaten}")
    for eaten, around in _READINGS
]


# Within a formula no table and, but for displayed ones, no line is divided: a command's name alone
# is enough there.
_INLINE = re.compile(
    r"(?<![\\$])\$(?!\$)(?=\S)(?:(?!\n\s*\n)[^$]){1,300}?(?<=\S)\$(?![\d$])|\\\((?:(?!\n\s*\n).){1,300}?\\\)",
    re.DOTALL,
)
_DISPLAYED = re.compile(r"\$\$.{1,2000}?\$\$|\\\[.{1,2000}?\\\]", re.DOTALL)
_TAB_WORDS = rf"\t(?=(?:anh?|au|op?|h|r|t){_END})"
# A formula wraps before e^x and before u, too: "x \ne y" has an operand and a blank before it, or
# an operand alone.
_NE = r"\n(?=e(?![a-zA-Z^_,.)]))"
_NU = rf"(?:(?<=\S )|(?<=[({{^_]))\n(?=u{_END})"
_NEWLINE_WORDS = rf"\n(?=(?:eg|ot|mid|exists|parallel|cong|sim|prec|succ|less|gtr){_END})"
_IN_FORMULA = [
    (_INLINE, re.compile(_TAB_WORDS), r"\\t"),
    (
        _INLINE,
        re.compile(rf"(?:(?<=[\w)\]}}] )|(?<=[\w)\]}}])){_NE}|{_NU}|{_NEWLINE_WORDS}"),
        r"\\n",
    ),
    (_DISPLAYED, re.compile(_TAB_WORDS), r"\\t"),
    (_DISPLAYED, re.compile(rf"(?<=[\w)\]}}] )(?:{_NE}|{_NEWLINE_WORDS})"), r"\\n"),
]


def put_back(text: str) -> str:
    """The text with its eaten LaTeX backslashes."""
    for sign, damage, command in _DAMAGE:
        if sign in text:  # far cheaper than the pattern, and rarely so
            text = damage.sub(command, text)
    if ("\t" in text or "\n" in text) and ("$" in text or "\\" in text):
        for formula, damage, command in _IN_FORMULA:
            text = formula.sub(lambda found, d=damage, c=command: d.sub(c, found[0]), text)  # type: ignore[misc]
    return text


def is_damaged(texts: Iterable[str]) -> bool:
    """Whether `put_back` changes one of them."""
    return any(put_back(text) != text for text in texts)
