from __future__ import annotations

import json
from pathlib import Path

import pytest

from rag.documents import Part
from rag.formats import pdf
from rag.formats.pdf import read_pdf
from rag.formats.plain import Unreadable
from tests.factories.pdfs import encrypt, write_pdf

PAGES = [
    [
        f"Thermodynamics {number}",
        "The energy of an isolated sys-",
        f"tem is constant. Law {number}.",
        f"{number}",
    ]
    for number in range(1, 6)
]


def test_pages_without_headers_and_with_words_put_together(tmp_path: Path) -> None:
    found = read_pdf(write_pdf(tmp_path / "a.pdf", PAGES, "Physics"))
    assert (found.title, found.remark) == ("Physics", "")
    assert list(found.parts()) == [
        Part(f"The energy of an isolated system is constant. Law {number}.", f"page {number}")
        for number in range(1, 6)
    ]


def test_of_few_pages_no_line_is_taken_for_a_header(tmp_path: Path) -> None:
    [first, _] = read_pdf(write_pdf(tmp_path / "a.pdf", PAGES[:2])).parts()
    assert first.text.startswith("Thermodynamics 1 The energy")


def test_a_scanned_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match=r"no text on its 3 pages: scanned\? it needs OCR"):
        read_pdf(write_pdf(tmp_path / "a.pdf", [[], [], []]))
    found = read_pdf(write_pdf(tmp_path / "b.pdf", [["Text."], [], ["More."]]))
    assert found.remark == "no text on 1 of 3 pages"
    assert [part.place for part in found.parts()] == ["page 1", "page 3"]


def test_an_encrypted_file_says_so_unless_it_opens_for_everybody(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match="encrypted: it opens with a password only"):
        read_pdf(encrypt(write_pdf(tmp_path / "a.pdf", PAGES), "secret"))
    assert len(read_pdf(encrypt(write_pdf(tmp_path / "b.pdf", PAGES), "")).pages) == 5


@pytest.mark.parametrize(
    "content", [b"", b"no PDF at all", b"%PDF-1.4\n%%EOF", b"%PDF-1.7\n" + b"\x00" * 5000]
)
def test_a_broken_file_says_so(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.pdf"
    path.write_bytes(content)
    with pytest.raises(Unreadable, match=r"not readable as PDF|no pages|ended at page"):
        read_pdf(path)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_of_a_file_cut_off_the_pages_that_are_whole_are_read(tmp_path: Path, share: float) -> None:
    path = write_pdf(tmp_path / "a.pdf", PAGES)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    try:
        pages = read_pdf(path).pages
    except Unreadable:
        pages = ["Thermodynamics 1"]
    assert pages[0].startswith("Thermodynamics 1")


def test_a_page_that_takes_too_long_costs_its_file_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pdf, "PAGE_SECONDS", 0.01)
    with pytest.raises(Unreadable, match="page 1 takes longer than 0 s"):
        read_pdf(write_pdf(tmp_path / "a.pdf", PAGES))


def test_a_child_without_memory_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from pypdf import PdfReader

    def greedy(_self: object, _path: Path) -> None:
        raise MemoryError

    monkeypatch.setattr(PdfReader, "__init__", greedy)
    monkeypatch.setattr(pdf.resource, "setrlimit", lambda *_: None)
    pdf._child(tmp_path / "a.pdf")
    assert json.loads(capsys.readouterr().out) == {"error": "takes more than 2 GiB of memory"}
