from __future__ import annotations

from pathlib import Path

import pytest

from rag.documents import Part
from rag.formats import html
from rag.formats.html import read_html
from rag.formats.plain import Unreadable

PAGE = """<!DOCTYPE html><html><head><title> Heat &amp; work </title><style>p {}</style></head>
<body><nav>Menu</nav><script>var x = "<p>no</p>";</script>
<div class="content"><h1>Heat<a class="headerlink" href="#heat">¶</a></h1>
<p>Heat is <b>energy</b> in&nbsp;transit<sub>1</sub>.<br>Next line.</p>
<h2>Units</h2><ul><li>joule<li>watt</ul>
<table><tr><th>unit</th><th>of</th></tr><tr><td>J</td><td>energy</td></tr></table>
<pre>x = 1
  y = 2
</pre><!-- no --><p hidden>hidden</p>
<h1>Work</h1>Loose text <i>too</i>
</div><footer>(c)</footer></body></html>"""


def read(tmp_path: Path, text: str | bytes) -> tuple[str, list[Part]]:
    path = tmp_path / "page.html"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_html(path)


def test_what_a_reader_reads_under_its_headings(tmp_path: Path) -> None:
    title, parts = read(tmp_path, PAGE)
    assert title == "Heat & work"
    assert parts == [
        Part("Heat\n\nHeat is energy in transit1.\nNext line.", "Heat"),
        Part("Units\n\njoule\n\nwatt\n\nunit | of\n\nJ | energy\n\nx = 1\n  y = 2", "Heat › Units"),
        Part("Work\n\nLoose text too", "Work"),
    ]


def test_a_page_that_names_its_main_part_is_read_there(tmp_path: Path) -> None:
    page = "<p>menu</p><main><p>text</p></main>"
    assert read(tmp_path, page)[1] == [Part("text")]
    two = "<article><p>a</p></article><article><p>b</p></article>"
    assert read(tmp_path, two)[1] == [Part("a\n\nb")]


def test_other_encodings_are_read_as_they_say(tmp_path: Path) -> None:
    page = '<meta charset="iso-8859-1"><p>Wärme'.encode("latin-1")
    assert read(tmp_path, page)[1] == [Part("Wärme")]


@pytest.mark.parametrize("page", ["", "<html></html>", "<script>only()</script>"])
def test_without_text_there_are_no_parts(tmp_path: Path, page: str) -> None:
    assert read(tmp_path, page)[1] == []


def test_broken_and_deeply_nested_pages_are_read(tmp_path: Path) -> None:
    [part] = read(tmp_path, "<p>a<div>b</span> c <1 & 2")[1]
    assert part.text.split() == ["a", "b", "c", "<1", "&", "2"]
    deep = "<div>" * 50_000 + "text" + "</div>" * 50_000
    assert len(read(tmp_path, deep)[1]) <= 1
    read(tmp_path, b"\x00\xff\xfe<p>\x00\xc3")


def test_a_page_too_large_to_hold_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(html, "LARGEST", 2**20)
    with pytest.raises(Unreadable, match="larger than 1 MiB"):
        read(tmp_path, "x" * (2**20 + 1))


@pytest.mark.parametrize(
    ("page", "text"),
    [
        # A page that is one form, as ASP.NET writes it.
        ("<form><p>All of it. <label>Name</label><input value=x></p></form>", "All of it."),
        # A frame that a script fills.
        ("<main></main><div><p>Beside it.</p></div>", "Beside it."),
        ("<p>10<sup>23</sup> m<sup>-2</sup> on the 1<sup>st</sup>", "10^23 m^-2 on the 1st"),
        ("<p>said<sup>[4]</sup> H<sub>2</sub>O</p>", "said[4] H2O"),
        ('<p class="content-anchor">Read.</p><p style="display: none">Not read.</p>', "Read."),
        ("<p>E is <math><mi>m</mi><mo>·</mo><mi>c</mi></math>.</p>", "E is m · c."),
    ],
)
def test_text_is_not_lost_and_means_what_it_meant(tmp_path: Path, page: str, text: str) -> None:
    assert [part.text for part in read(tmp_path, page)[1]] == [text]


def test_a_headings_own_class_is_no_link_sign(tmp_path: Path) -> None:
    page = '<h2 class="anchor sticky">Heat<a class="hash-link" href="#h">#</a></h2><p>Text.</p>'
    assert read(tmp_path, page)[1] == [Part("Heat\n\nText.", "Heat")]


@pytest.mark.parametrize(
    "formula",
    [
        # As Wikipedia and KaTeX write it: one of two forms is hidden.
        '<span><span style="display: none;"><math alttext="{\\displaystyle E=mc^{2}}"><semantics>'
        '<mi>E</mi><annotation encoding="application/x-tex">{\\displaystyle E=mc^{2}}</annotation>'
        "</semantics></math></span><img src='https://e.org/x.svg'></span>",
        '<span class="katex"><span class="katex-mathml"><math><semantics><mi>E</mi><annotation '
        'encoding="application/x-tex">E=mc^{2}</annotation></semantics></math></span>'
        '<span class="katex-html" aria-hidden="true">E=mc2</span></span>',
        '<math alttext="E=mc^{2}"><mi>E</mi></math>',
    ],
)
def test_a_formula_is_its_tex(tmp_path: Path, formula: str) -> None:
    assert read(tmp_path, f"<p>So {formula}.</p>")[1] == [Part("So E=mc^{2}.")]
