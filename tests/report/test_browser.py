"""The page in a real browser: by file, without a network, on a phone, on paper."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from pypdf import PdfReader

from report.compare import compare
from report.outcomes import Flips
from report.run import gather, run
from stemma.jsonl import write_jsonl
from stemma.stages import Work
from tests.browser import Watched, launched, opened
from tests.factories.run_to_report import make_recipe, make_work
from tests.factories.samples_to_report import JUDGED_PAIR, add_samples, finish_again

OVERFLOW = """() => [...document.querySelectorAll("body *")].filter((element) =>
    !element.closest(".scroll") && element.getBoundingClientRect().right > innerWidth + 1
).map((element) => element.tagName + "." + element.className)"""
INJECTED = """<script>document.title = 'owned'</script><style>body { display: none }</style>
<img src="data:," onerror="document.title = 'owned'"><p style="color: red" onclick="x()">x</p>"""
A4_WIDTH = 710
"""CSS pixels of A4 upright, less margins of 11 mm."""
RUNS_OFF = """() => [...document.querySelectorAll("table, figure, .tree, pre")].filter((one) =>
    one.checkVisibility() && one.getBoundingClientRect().right > innerWidth + 1
).map((one) => one.className)"""


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Work:
    made = make_work(tmp_path_factory.mktemp("runs"))
    add_samples(made)
    name = "samples/dpo/judge-base"
    write_jsonl(made.run.folder("eval") / f"{name}.jsonl", [JUDGED_PAIR])
    finish_again(made.run, "eval", {name: f"{name}.jsonl"})
    run(made)
    return made


@pytest.fixture(scope="module")
def url(work: Work) -> str:
    return (work.folder / "index.html").as_uri()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with launched() as found:
        yield found


@pytest.fixture(scope="module")
def desk(browser: Any, url: str) -> Iterator[Watched]:
    with opened(browser, url) as watched:
        yield watched


@pytest.fixture(scope="module")
def flips(work: Work) -> list[Flips]:
    book = gather(work).samples
    assert book is not None
    return book.flips


def shown(page: Any) -> int:
    """The number of questions that the page says match."""
    found = re.match(r"(\d+) of the (\d+)", page.locator("#found").inner_text())
    assert found
    return int(found[1])


def choose(page: Any, **filters: str) -> int:
    page.get_by_role("button", name="Show all").click()
    # The page counts anew behind the form's reset: by a timer, which this one follows.
    page.evaluate("() => new Promise(done => setTimeout(done))")
    for name, words in filters.items():
        if name == "text":
            page.locator("#by-text").fill(words)
        else:
            page.locator(f"#by-{name}").select_option(label=words)
    return shown(page)


def test_nothing_is_asked_of_a_network_and_nothing_fails(url: str, desk: Watched) -> None:
    assert desk.requests == [url]
    assert desk.complaints == []


def test_texts_of_models_stay_texts(desk: Watched) -> None:
    page = desk.page
    assert page.title() == "toy · Stemma report"
    assert page.locator("#entries img, #entries b, #entries i, #entries script").count() == 0
    assert choose(page, text="</script>") > 0
    assert "</script><script>" in page.locator("#entries").inner_text()
    assert choose(page, text="override") > 0
    assert "⟨U+202E⟩override" in page.locator("#entries").inner_text()
    assert choose(page, text="␀␇␛[31m") > 0
    assert choose(page, text="18,000 more characters") > 0
    said = page.locator(".answer .text", has_text="שלום")
    style = "element => [element.dir, getComputedStyle(element).unicodeBidi]"
    assert choose(page, text="שלום") > 0
    assert said.first.evaluate(style) == ["auto", "isolate"]


def test_filters_leave_what_they_say(desk: Watched, work: Work) -> None:
    page = desk.page
    assert choose(page) == 73
    assert choose(page, task="mcq") == 24
    assert choose(page, task="mcq", group="algebra") == 12
    rows = [
        json.loads(line)
        for line in (work.run.folder("eval") / "samples" / "base" / "mcq.jsonl")
        .read_text(encoding="utf-8")
        .split("\n")
        if line
    ]
    wrong = sum(not row["right"] for row in rows)
    assert choose(page, task="mcq", variant="base", outcome="wrong") == wrong
    assert choose(page, task="mcq", variant="base", outcome="right") == 24 - wrong
    assert choose(page, text="no such words") == 0


def test_flips_are_counted_and_their_questions_open(desk: Watched, flips: list[Flips]) -> None:
    page = desk.page
    for one in flips:
        for outcome, count in (("lost", one.lost), ("gained", one.gained)):
            place = f"[data-task='{one.task}'][data-variant='{one.variant}']"
            button = page.locator(f"button.flip{place}[data-outcome={outcome}]")
            if not count:
                assert button.count() == 0
                continue
            assert button.text_content() == str(count)
            if one.variant == "gguf-Q4_K_M":
                button.click()
                assert shown(page) == count
                assert page.locator("#by-variant option:checked").inner_text() == one.variant


def test_a_judged_pair_is_told_with_what_the_judge_said(desk: Watched) -> None:
    page = desk.page
    assert choose(page, task="judge-base · dpo", group="dpo won") == 1
    said = page.locator("#entries").inner_text()
    for words in ("2 + 3 = 5", "dpo (policy)", "base first", "dpo is better (verdict 2). Clearer."):
        assert words in said


def test_questions_come_a_page_at_a_time(desk: Watched) -> None:
    page = desk.page
    assert choose(page) == 73
    assert page.locator("#entries > li").count() == 10
    first = page.locator("#entries > li").first.inner_text()
    page.get_by_role("button", name="Next").click()
    assert page.locator("#place").inner_text() == "Page 2 of 8"
    assert page.evaluate("document.activeElement.id") == "found", "a keyboard goes on from here"
    assert page.locator("#entries > li").first.inner_text() != first


def test_a_keyboard_reaches_the_filters_and_they_have_names(desk: Watched) -> None:
    page = desk.page
    for name in ("Task", "Variant", "Outcome", "Subject or source"):
        control = page.get_by_role("combobox", name=name, exact=True)
        control.focus(timeout=5_000)
        assert control.evaluate("element => element === document.activeElement")
    page.get_by_role("searchbox", name="Text", exact=True).focus(timeout=5_000)
    page.keyboard.type("no such words")
    assert shown(page) == 0
    assert page.locator("#found").get_attribute("role") == "status"
    unnamed = (
        "() => [...document.querySelectorAll('svg:not([aria-hidden]):not([aria-label])')].length"
    )
    assert page.evaluate(unnamed) == 0


@pytest.mark.parametrize("width", [360, 390, 768, 1280])
def test_nothing_runs_off_and_nothing_is_scrolled_sideways(
    browser: Any, url: str, width: int
) -> None:
    with opened(browser, url, width=width, height=740) as screen:
        page = screen.page
        wide = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
        hidden = """() => [...document.querySelectorAll(".scroll")].filter((one) =>
            one.checkVisibility() && one.scrollWidth > one.clientWidth + 1
        ).map((one) => one.getAttribute("aria-label"))"""
        assert not page.evaluate(wide)
        assert page.evaluate(OVERFLOW) == []
        assert page.evaluate(hidden) == [], "tables that hide columns"
        page.get_by_role("button", name="Unfold all").click()
        assert choose(page, text="18,000 more characters") > 0
        assert not page.evaluate(wide)
        assert page.evaluate(OVERFLOW) == []
        if width <= 860:  # a card for each row
            assert page.evaluate(hidden) == []


def test_every_link_of_the_contents_leads_to_a_part_by_keyboard(desk: Watched, url: str) -> None:
    page = desk.page
    page.goto(url)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    links = page.locator("#contents a")
    parts = page.evaluate("[...document.querySelectorAll('section')].map((one) => one.id)")
    targets = links.evaluate_all("all => all.map((one) => one.getAttribute('href').slice(1))")
    assert sorted(targets) == sorted(parts)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.getAttribute('href')") == f"#{targets[0]}"
    page.keyboard.press("Enter")
    assert page.url.endswith(f"#{targets[0]}")


def test_links_to_files_lead_to_files(desk: Watched) -> None:
    anchors = desk.page.locator("#files a, #run a, #subjects a")
    for link in anchors.evaluate_all("all => all.map((one) => one.href)"):
        assert link.startswith("file://")
        path = Path(unquote(urlsplit(link).path))
        assert path.exists(), path


def test_paper_is_a_few_pages_of_a4_and_no_column_is_lost(
    browser: Any, url: str, tmp_path: Path
) -> None:
    with opened(browser, url, width=A4_WIDTH) as paper:
        page = paper.page
        page.emulate_media(media="print")
        assert page.evaluate(RUNS_OFF) == []
        shown = "() => [...document.querySelectorAll('table')].filter((one) => one.checkVisibility()).length"
        tables = page.evaluate(shown)
        for gone in ("#filters", "#samples", ".up"):
            assert not page.locator(gone).is_visible()
        page.pdf(path=tmp_path / "folded.pdf", prefer_css_page_size=True, tagged=True)
        page.emulate_media(media="screen")
        page.get_by_role("button", name="Unfold all").click()
        page.emulate_media(media="print")
        assert page.evaluate(RUNS_OFF) == []
        assert page.evaluate(shown) > tables, "what is unfolded is printed"
    found = (tmp_path / "folded.pdf").read_bytes()
    assert structure_elements(found, b"Table") == tables
    assert 4 <= len(PdfReader(tmp_path / "folded.pdf").pages) <= 12
    box = PdfReader(tmp_path / "folded.pdf").pages[0].mediabox
    assert (round(box.width), round(box.height)) == (595, 842), "A4 in points"


def structure_elements(pdf: bytes, kind: bytes) -> int:
    """How many elements of this kind a tagged PDF's structure has.

    Objects stand as plain text or in deflated streams.
    """
    texts = [pdf]
    for stream in re.findall(rb"stream\r?\n(.*?)\r?\nendstream", pdf, flags=re.DOTALL):
        try:
            texts.append(zlib.decompress(stream))
        except zlib.error:  # a picture or a font of another kind
            continue
    return sum(len(re.findall(rb"/S\s*/" + kind + rb"\b", text)) for text in texts)


def test_without_a_script_the_tables_are_there(browser: Any, work: Work, tmp_path: Path) -> None:
    text = (work.folder / "index.html").read_text(encoding="utf-8")
    plain = tmp_path / "plain.html"
    plain.write_text(re.sub(r"<script>.*</script>", "", text, flags=re.DOTALL), encoding="utf-8")
    with opened(browser, plain.as_uri()) as watched:
        assert watched.page.locator("#flips tbody tr").count() == 29
        assert not watched.page.locator("#filters").is_visible()


def test_a_comparison_breaks_no_policy_and_runs_nothing(
    browser: Any, work: Work, tmp_path: Path
) -> None:
    other = make_work(tmp_path, make_recipe(name="toy.2"))
    page = compare((work.recipe, work.run), (other.recipe, other.run))
    with opened(browser, page.as_uri()) as watched:
        assert watched.complaints == []
        colour = "getComputedStyle(document.querySelector('section')).borderTopStyle"
        assert watched.page.evaluate(colour) == "solid", "its own style is drawn"
    text = page.read_text(encoding="utf-8")
    page.write_text(text.replace("</body>", f"{INJECTED}</body>"), encoding="utf-8")
    with opened(browser, page.as_uri()) as watched:
        assert "owned" not in watched.page.title()
        assert len([said for said in watched.complaints if "Content Security" in said]) >= 3


def test_the_page_runs_no_script_but_its_own(browser: Any, work: Work, tmp_path: Path) -> None:
    text = (work.folder / "index.html").read_text(encoding="utf-8")
    added = "<script>document.title = 'added'</script><img src='https://127.0.0.1/x.png'></body>"
    other = tmp_path / "other.html"
    other.write_text(text.replace("</body>", added), encoding="utf-8")
    with opened(browser, other.as_uri()) as watched:
        assert watched.page.title() == "toy · Stemma report"
        refused = [said for said in watched.complaints if "Content Security Policy" in said]
        assert any("script" in said for said in refused)
        assert any("x.png" in said for said in refused)
