from __future__ import annotations

import time

import pytest

from data_builders.filters.as_read import as_read


def read(text: str) -> str:
    return " ".join(as_read(text).split())


@pytest.mark.parametrize(
    ("written", "seen"),
    [
        ("<p>Is x&sup2; &le; 4&nbsp;?</p>", "Is x^2 ≤ 4 ?"),
        ("Is $x^{2} \\leq 4$ ?", "Is x^2 ≤ 4 ?"),
        ("Is 𝑥² ≤ ４ ?", "Is x^2 ≤ 4 ?"),
        ("&amp;lt;", "<"),
        ("<div class='q'><ul><li>one</li><li>two</li></ul></div>", "one two"),
        ("Which?<br>A) ice<br/>B) stone", "Which? A) ice B) stone"),
        ("H<sub>2</sub>O, 10<sup>-3</sup>, the 2<sup>nd</sup>", "H2O, 10^-3, the 2nd"),
        ("<math><mi>x</mi><mo>=</mo><mn>2</mn></math>", "x=2"),
        ("$\\frac{1}{2}$ and \\dfrac12", "1/2 and 1/2"),
        ("\\(\\alpha\\), \\Delta\\mathrm{H}, \\lambda", "α , ΔH, λ"),
        ("90^\\circ or 90º, f^{\\prime}", "90° or 90°, f′"),
        ("½, 1½, Fe²⁺, 10⁻³", "1/2, 1 1/2, Fe^2+, 10^−3"),
        ("1{,}000 1\\,000 1\u202f000", "1000 1000 1000"),
        ("the ﬁrst func-\ntion, pla\u00ad\nnts", "the first function, plants"),
        ("f\u043eur-dimensi\u043enal, \u043c\u0438\u0440", "four-dimensional, \u043c\u0438\u0440"),
        ("a **not** b, *this*, `ls`", "a not b, this, ls"),
        ("x != 3, x <= .5", "x ≠ 3, x ≤ 0.5"),
        ("\\fr\u200bac{1}{2}", "1/2"),
    ],
)
def test_the_same_is_read_however_it_is_written(written: str, seen: str) -> None:
    assert read(written) == seen
    assert read(seen) == seen


@pytest.mark.parametrize(
    "text",
    [
        "x < y and z > w",
        "What does <br> do?",
        "vector<int> v; List<String>",
        "a<b>c",
        "AT&T; R&D",
        "a &b; c",
        "$5 and $6",
        "echo $x $y",
        "2**3**2",
        "f(*args, **kw)",
        "x^{n+1}",
        "\\frac{x+1}{2}",
        "A = {1}",
        "well - known",
        "a \\\\[2pt] b",
        "C:\\users",
        "x.5 and 3.14",
        "e^x",
    ],
)
def test_what_means_something_stays(text: str) -> None:
    assert read(text) == text


@pytest.mark.parametrize(
    "part", ["<p>", "<b><i>", "**", "$a", "\\text{", "&amp;", "{,}", "\\frac", "-\n", "<a x="]
)
def test_what_is_never_closed_costs_no_more_than_its_length(part: str) -> None:
    def seconds(many: int) -> float:
        started = time.process_time()
        as_read(part * many + "é")
        return time.process_time() - started

    seconds(100)
    assert seconds(4_000) < 0.5 + 8 * seconds(1_000)
