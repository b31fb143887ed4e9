from __future__ import annotations

import re

import pytest

from data_builders.filters.clean import finish, repair
from data_builders.filters.latex import is_damaged, put_back
from data_builders.flow import Draft
from stemma.rows import PreferenceRow

EATEN = {"\\a": "\a", "\\b": "\b", "\\f": "\f", "\\n": "\n", "\\r": "\r", "\\t": "\t", "\\v": "\v"}


def eat(text: str) -> str:
    """What JSON or Python make of LaTeX that stands in a string with single backslashes."""
    return re.sub(r"\\[abfnrtv]", lambda found: EATEN[found[0]], text)


@pytest.mark.parametrize(
    "whole",
    [
        # bell and backspace: no text holds one, so any name
        r"\alpha",
        r"\arg\max_x f",
        r"\argmax_x f",
        r"\arccos x",
        r"n \atop k",
        r"a \approx b",
        r"\begin{matrix}",
        r"\bv",
        r"\boldsymbol{x}",
        r"\boxed{4}",
        r"a \bmod b",
        r"\bR^n",
        # form feed and vertical tab: by name, or inside a line
        r"\frac{1}{2}",
        r"\forall x",
        r"\floor x",
        r"\fontsize{12}{14}",
        r"\footnotesize x",
        r"a + \foo b",
        r"\verb|x|",
        r"\vec{v}",
        r"\vspace{1em}",
        r"\vspace*{1em}",
        r"|x \vert y|",
        r"\varepsilon",
        r"p \vdash q",
        # TAB
        r"5 \text{ cm}",
        r"\textbf{a}",
        r"x \textup{if}",
        r"E = mc^2 \tag{1}",
        r"\tag*{1}",
        r"a \times b",
        r"$\theta$",
        r"\tilde{x}",
        r"\triangleleft",
        r"\tfrac12",
        r"\tbinom{n}{k}",
        r"$\tau$ and 2^\top",
        r"(\tan x)",
        r"\[\tan A",
        r"\tan\theta",
        r"\mathrm{d}\tau",
        r"let \tau=P(T)",
        r"f: R \to R",
        r"x \to 9}",
        r"x\to\infty",
        # newline
        r"x \neq 0",
        r"\nabla f",
        r"x \notin A",
        r"p \land \neg q",
        r"\neg\exists x",
        r"\neg(p)",
        r"x \not= y",
        r"\not\in",
        r"x \ne 0",
        r"E = h\nu",
        r"$\nu$",
        r"$\nu = 5$",
        r"a \nleqslant b",
        r"\newcommand{\x}",
        # inside a formula: by the name alone
        r"$x \tau y$",
        r"$f(x)=\tan x$",
        r"$x \to y$",
        r"$x \ne y$",
        r"x \ne y",
        r"P(A) \ne P(B)",
        r"$c = \lambda \nu$",
        r"$a \nmid b$",
        r"\(a \ne b\)",
        r"$$a \tau b$$",
        r"$$a \ne b$$",
        r"let \tan 30 be",
        r"x \nleq y",
        r"$x\not\in A$",
        # carriage return
        r"(\right)",
        r"\lvert x-1 \rvert",
        r"\lVert x \rVert",
        r"\rangle",
        r"\rceil",
        r"\rho",
        r"A \rightarrow B",
        r"A \rightleftharpoons B",
        r"\{ x \rbrace",
        r"{\rm kg}",
        r"\rm{kg}",
        r"N \rtimes H",
    ],
)
def test_eaten_backslashes_are_put_back(whole: str) -> None:
    damaged = eat(whole)
    assert damaged != whole
    assert put_back(damaged) == whole
    assert put_back(whole) == whole
    assert is_damaged([damaged])
    assert not is_damaged([whole])


@pytest.mark.parametrize(
    "text",
    [
        # a real TAB: code, lists, tables
        "def f():\n\treturn 1",
        "if x:\n\ttext = 1",
        "first\n\textra tab-indented",
        "x\textract",
        "name\tag\tsize",
        "a\tan apple\to eat",
        "x\tto R",
        "x:\n\to\titem",
        "width\tau\tpc",
        "1\to(n)",
        "\titles",
        # a real newline
        "see\neq. (3)",
        "a\nequal b",
        "1.\n\ntotal",
        "a\nnot b",
        "a\nnot = b",
        "see\neg. this",
        "or\neg a car",
        "$$\nu = 3",
        "cost $x$\nu is",
        "line\ne 5 more",
        "5 h\nunder",
        "{\nu = 3;",
        "one\nexists",
        "a\norm b",
        "$x +\ne^{x}$",
        "$x\ne^{x}$",
        "$a +\nu$",
        "$5\tan hour\t$6",
        "$$x =\n\ta$$",
        "the mele \ne 3 pere",
        "$a$ or\ne $b$",
        # an old line end
        "a\ru",
        "one\rvertical",
        "one\rmore",
        "a\rright b",
        # a page, a line of a slide
        "page one.\n\fforce of",
        "slide\vsecond",
        "slide\vspace race",
        "page\fChapter 2",
    ],
)
def test_ordinary_text_stays(text: str) -> None:
    assert put_back(text) == text
    assert not is_damaged([text])


def test_several_in_one_text() -> None:
    text = (
        r"Let $\vec{v} \neq \beta$, then $\frac{1}{2}\tau \rightarrow \alpha$ for $\lvert x "
        r"\rvert \to 0$."
    )
    assert put_back(eat(text)) == text


def test_line_ends_are_made_alike_only_behind_the_repair() -> None:
    assert repair("\\lvert x-1 \rvert\r\nb\rc") == "\\lvert x-1 \\rvert\nb\nc"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("ring \a!", "control character in content"),
        ("page\fChapter 2", "control character in content"),
        ("slide\vsecond", "control character in content"),
        ("NaNO3 \x02+ AgCl", "control character in content"),
        (eat(r"\arg\max_x \bv \fontsize{12} \vspace{1em}"), None),
    ],
)
def test_what_is_left_over_refuses_the_row(answer: str, reason: str | None) -> None:
    row = finish(
        "dpo", "s", Draft("row 1", "p?", {"prompt": "p?", "chosen": answer, "rejected": "no"})
    )
    assert row == reason or (reason is None and isinstance(row, PreferenceRow))
