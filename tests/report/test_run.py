from __future__ import annotations

import re
from pathlib import Path

import pytest

from report.run import run
from stemma.errors import UserError
from stemma.stages import Work, execute
from tests.factories.manifests import change_manifest
from tests.factories.run_to_report import make_work


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Work:
    work = make_work(tmp_path_factory.mktemp("runs"))
    run(work)
    return work


def test_writes_pages_tables_and_cards(work: Work) -> None:
    outputs = run(work).outputs
    assert (outputs["html"], outputs["markdown"]) == ("index.html", "report.md")
    assert all((work.folder / path).is_file() for path in outputs.values())
    tables = [name for name in outputs if name.startswith("tables/")]
    assert {Path(name).stem for name in tables} == {
        "scores",
        "variants",
        "reported",
        "formats",
        "gates",
    }
    assert {Path(name).suffix for name in tables} == {".csv", ".json", ".tex"}
    assert "hub/gguf-Q4_K_M/README.md" in outputs


def test_the_page_needs_nothing_from_outside(work: Work) -> None:
    page = (work.folder / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"https?://|<script [^>]*src|<link|@import|url\(|src=\"", page)
    assert "default-src 'none'" in page
    assert "prefers-color-scheme: dark" in page
    assert 'name="viewport"' in page


def test_a_run_without_samples_has_no_browser_of_them(work: Work) -> None:
    page = (work.folder / "index.html").read_text(encoding="utf-8")
    assert 'id="samples"' not in page
    assert 'id="sample-data"' not in page


def test_every_part_is_on_both_pages(work: Work) -> None:
    page, text = (
        (work.folder / name).read_text(encoding="utf-8") for name in ("index.html", "report.md")
    )
    for words in (
        "gguf-Q4_K_M",
        "0.72",
        "1,200",
        "mean KL to merged",
        "abcdef012345",
        "first-step log p of chosen",
        "base → sft",
    ):
        assert words in page
        assert words in text
    assert page.count("<svg") == 30 + 6 + 8 + 2  # bars of shares, trade-offs, curves, histograms
    assert page.count('<div class="box ') == 11


def test_markdown_tables_are_whole(work: Work) -> None:
    blocks = re.findall(
        r"(?:^\|.*\n)+", (work.folder / "report.md").read_text(encoding="utf-8"), flags=re.MULTILINE
    )
    bars = [{line.count("|") for line in block.splitlines()} for block in blocks]
    assert bars == [{8}, {10}, {8}, {6}, {7}, {5}, {7}, {4}, {8}, {3}, {5}]


def test_the_same_run_gives_the_same_bytes(work: Work) -> None:
    before = (work.folder / "index.html").read_bytes()
    run(work)
    assert (work.folder / "index.html").read_bytes() == before


def test_text_from_a_run_cannot_break_the_page(tmp_path: Path) -> None:
    work = make_work(tmp_path)
    facts = work.run.manifest("export").facts
    facts["gates"][0]["name"] = "<b>|x"
    change_manifest(work.run, "export", facts=facts)
    run(work)
    assert "&lt;b&gt;|x" in (work.folder / "index.html").read_text(encoding="utf-8")
    assert "&lt;b>\\|x" in (work.folder / "report.md").read_text(encoding="utf-8")


def test_a_missing_stage_is_named_with_its_command(tmp_path: Path) -> None:
    work = make_work(tmp_path)
    (work.run.folder("eval") / "manifest.json").unlink()
    with pytest.raises(UserError, match="run `make eval RECIPE=toy`"):
        run(work)


def test_the_engine_runs_it_once(tmp_path: Path) -> None:
    work = make_work(tmp_path)
    said: list[str] = []
    assert execute(work.recipe, work.run, "report", said.append) == "done"
    assert said == ["report: 126 scores of 11 variants"]
    assert execute(work.recipe, work.run, "report", said.append) == "up to date"


def test_facts_of_another_version_are_refused_in_one_line(tmp_path: Path) -> None:
    other = make_work(tmp_path)
    facts = other.run.manifest("data").facts | {"licences": ["unknown"]}
    change_manifest(other.run, "data", facts=facts)
    with pytest.raises(
        UserError, match=r"DataFacts: licences: (.|\n)*make data RECIPE=toy FORCE=1"
    ):
        run(other)
