"""Every source by a file of its own form, and by files that are none."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import os
from pathlib import Path

import pytest

from rag.cutting import Sizes, cut
from rag.documents import Document, Found, Skipped
from rag.sources import readers
from stemma.errors import UserError
from stemma.recipe.rag_sources import (
    PASSAGE_SOURCES,
    Documents,
    PassageColumns,
    PassageTable,
    WikiDpr,
    Wikipedia,
)
from stemma.retrieval.passages import Passage
from tests.factories.pdfs import write_pdf

TEXT = 'Aaron ( or ; "Ahärôn") is a prophet,\tand brother of Moses.'


def read(options: object, root: Path) -> list[Found]:
    return list(readers()[options.source].read(options, root))  # type: ignore[attr-defined]


def passages(found: list[Found]) -> list[Passage]:
    documents = [one for one in found if isinstance(one, Document)]
    return [passage for one in documents for passage in cut(one, Sizes(100), "s")]


def skipped(found: list[Found]) -> dict[str, str]:
    return {one.where: one.reason for one in found if isinstance(one, Skipped)}


def test_the_registry_is_the_folder_and_the_recipes_kinds() -> None:
    assert readers().keys() == PASSAGE_SOURCES.keys()


def psgs(rows: list[tuple[str, str, str]]) -> bytes:
    """As DPR wrote it: csv's own quoting with tabs."""
    out = io.StringIO()
    written = csv.writer(out, delimiter="\t", lineterminator="\n")
    written.writerow(["id", "text", "title"])
    for number, text, title in rows:
        out.write(f"{number}\t" + '"' + text.replace('"', '""') + '"' + f"\t{title}\n")
    return out.getvalue().encode()


@pytest.mark.parametrize("name", ["psgs_w100.tsv", "psgs_w100.tsv.gz"])
def test_wiki_dpr_is_read_as_dpr_wrote_it(tmp_path: Path, name: str) -> None:
    content = psgs([("1", TEXT, "Aaron"), ("2", "Second\nline.", "Aaron")])
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    found = passages(read(WikiDpr(source="wiki_dpr", path=name), tmp_path))
    assert [(one.id, one.title) for one in found] == [("s:1", "Aaron"), ("s:2", "Aaron")]
    assert found[0].text == 'Aaron ( or ; "Ahärôn") is a prophet, and brother of Moses.'


def test_wiki_dpr_without_quotes_is_read_too(tmp_path: Path) -> None:
    (tmp_path / "p.tsv").write_text('id\ttext\ttitle\n7\tA "lone quote\tX\n', encoding="utf-8")
    [one] = passages(read(WikiDpr(source="wiki_dpr", path="p.tsv"), tmp_path))
    assert (one.id, one.text) == ("s:7", 'A "lone quote')


def test_wiki_dpr_names_lines_that_are_none(tmp_path: Path) -> None:
    rows = b"id\ttext\ttitle\n1\ta\tA\n2\tb\n\tc\tC\n4\t\tD\n5\tbroken \xff\x00 bytes\tE\n"
    (tmp_path / "p.tsv").write_bytes(rows)
    found = read(WikiDpr(source="wiki_dpr", path="p.tsv"), tmp_path)
    assert skipped(found) == {
        "p.tsv:3": "2 values, not 3",
        "p.tsv:4": "no id",
        "p.tsv:5": "no text",
    }
    assert [one.text for one in passages(found)] == ["a", "broken \ufffd bytes"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"text\tid\n1\tx\n", "expected: the header id, text, title"),
        (b"", "nothing"),
        (gzip.compress(psgs([("1", "x" * 5000, "A")] * 99))[:-50], "damaged or cut off"),
        (b"\x1f\x8b rubbish", "damaged or cut off"),
    ],
)
def test_wiki_dpr_refuses_another_file(tmp_path: Path, content: bytes, said: str) -> None:
    name = "p.tsv.gz" if content[:2] == b"\x1f\x8b" else "p.tsv"
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError) as caught:
        read(WikiDpr(source="wiki_dpr", path=name), tmp_path)
    assert said in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    for options in (
        WikiDpr(source="wiki_dpr", path="no"),
        Wikipedia(source="wikipedia", path="no"),
        Documents(source="documents", path="no"),
        PassageTable(source="table", path="no", columns=PassageColumns(text="t")),
    ):
        with pytest.raises(UserError, match="no such file"):
            read(options, tmp_path)


def test_a_pinned_set_of_the_hub_is_the_second_way(tmp_path: Path) -> None:
    pytest.importorskip("datasets")
    (tmp_path / "set").mkdir()
    row = {"id": "1", "text": TEXT, "title": "Aaron", "embeddings": [0.5, 1.0]}
    (tmp_path / "set" / "train.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    options = WikiDpr(
        source="wiki_dpr", path="no.tsv", hub=str(tmp_path / "set"), revision="0" * 40
    )
    [one] = passages(read(options, tmp_path))
    assert (one.id, one.title) == ("s:1", "Aaron")


def test_a_folder_of_documents_names_what_it_skips(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    notes.mkdir()
    (notes / "a.md").write_text("# Heat\n\nIt flows.\n", encoding="utf-8")
    (notes / "b.txt").write_text("Wrapped\nline.\n\nNext.\n", encoding="utf-8")
    (notes / "c.html").write_text("<title>Work</title><p>Force times way.", encoding="utf-8")
    write_pdf(notes / "d.pdf", [["Page one."], ["Page two."]], "Units")
    write_pdf(notes / "scan.pdf", [[], []])
    (notes / "e.txt").write_bytes("Utf sixteen.".encode("utf-16"))
    (notes / "old.txt").write_bytes("W\xe4rme".encode("latin-1"))
    (notes / "late.md").write_bytes(b"good line\n" * 200_000 + b"bad \xff\n")
    (notes / "picture.png").write_bytes(b"\x89PNG")
    (notes / "Makefile").write_text("all:", encoding="utf-8")
    (notes / "empty.md").write_text("\n\n", encoding="utf-8")
    (notes / "nul.txt").write_bytes(b"A\x00 gas \x00expands.")
    found = read(Documents(source="documents", path="notes"), tmp_path)
    assert [(one.id, one.title, one.text, one.place) for one in passages(found)] == [
        ("s:notes/a.md#1", "Heat", "Heat\nIt flows.", ""),
        ("s:notes/b.txt#1", "b", "Wrapped line.", ""),
        ("s:notes/b.txt#2", "b", "Next.", ""),
        ("s:notes/c.html#1", "Work", "Force times way.", ""),
        ("s:notes/d.pdf#1", "Units", "Page one.\nPage two.", "pages 1–2"),
        ("s:notes/e.txt#1", "e", "Utf sixteen.", ""),
        ("s:notes/nul.txt#1", "nul", "A gas expands.", ""),
    ]
    assert skipped(found) == {
        "notes/scan.pdf": "no text on its 2 pages: scanned? it needs OCR first",
        "notes/old.txt": "not UTF-8: byte 0xe4 in line 1; save it again as UTF-8",
        "notes/late.md": "not UTF-8: byte 0xff in line 200001; save it again as UTF-8",
        "notes/picture.png": "not a document: .png",
        "notes/Makefile": "not a document: a file without an ending",
        "notes/empty.md": "no text in it",
    }


@pytest.mark.parametrize("ending", ["", ".gz", ".bz2"])
def test_wikipedia_extracts_packed_or_not(tmp_path: Path, ending: str) -> None:
    lines = [
        json.dumps({"id": "12", "title": "Heat", "text": "Heat\n\nIt is energy.\nIt flows."}),
        "",
        '{"id": "13", "title": "Cut',
        json.dumps({"id": "14", "title": "Empty", "text": " \n"}),
        json.dumps({"id": "15", "text": "no title"}),
        "[1]",
    ]
    content = "\n".join(lines).encode() + b"\n{\xff}\n"
    packed = {"": lambda it: it, ".gz": gzip.compress, ".bz2": bz2.compress}[ending](content)
    (tmp_path / "AA").mkdir()
    (tmp_path / "AA" / f"wiki_00{ending}").write_bytes(packed)
    found = read(Wikipedia(source="wikipedia", path="AA"), tmp_path)
    [one] = passages(found)
    assert (one.id, one.title, one.text) == ("s:12#1", "Heat", "It is energy.\nIt flows.")
    place = f"AA/wiki_00{ending}"
    assert skipped(found) == {
        f"{place}:3": "not valid JSON",
        f"{place}:4": "no text in it",
        f"{place}:5": "no text under `title`",
        f"{place}:6": "not a JSON object",
        f"{place}:7": "not UTF-8",
    }


def test_a_table_by_its_columns(tmp_path: Path) -> None:
    text = "nr,chapter,fact,page\n7,Heat,Water boils.,12\n8,Heat,,12\n9,,Ice floats.,\n10,x\n"
    (tmp_path / "facts.csv").write_text(text, encoding="utf-8")
    columns = PassageColumns(id="nr", title="chapter", text="fact", place="page")
    options = PassageTable(source="table", path="facts.csv", columns=columns)
    found = read(options, tmp_path)
    assert [(one.id, one.title, one.text, one.place) for one in passages(found)] == [
        ("s:7", "Heat", "Water boils.", "12"),
        ("s:9", "facts", "Ice floats.", ""),
    ]
    assert skipped(found) == {
        "facts.csv:3": "nothing in `fact`",
        "facts.csv:5": "2 values",
    }
    rows = PassageTable(source="table", path="facts.csv", columns=PassageColumns(text="fact"))
    assert [one.id for one in passages(read(rows, tmp_path))] == ["s:2", "s:4"]


def test_a_table_gives_what_stands_behind_a_mark_alone(tmp_path: Path) -> None:
    lines = (
        {"t": "ice\nWhy: Ice floats. Why: not"},
        {"t": "no mark"},
        {"t": "steam\nWhy: "},
    )
    (tmp_path / "f.jsonl").write_text("".join(json.dumps(one) + "\n" for one in lines))
    columns = PassageColumns(text="t")
    options = PassageTable(source="table", path="f.jsonl", columns=columns, after="Why:")
    found = read(options, tmp_path)
    assert [(one.id, one.text) for one in passages(found)] == [("s:1", "Ice floats. Why: not")]
    assert set(skipped(found).values()) == {"nothing in `t` behind `Why:`"}


def test_a_column_that_is_not_there_is_an_error_with_a_hint(tmp_path: Path) -> None:
    (tmp_path / "facts.jsonl").write_text('{"facts": "x"}\n', encoding="utf-8")
    options = PassageTable(source="table", path="facts.jsonl", columns=PassageColumns(text="fact"))
    with pytest.raises(UserError, match=r"no column 'fact'(.|\n)*did you mean `facts`\?"):
        read(options, tmp_path)


def test_a_limit_is_of_documents(tmp_path: Path) -> None:
    (tmp_path / "p.tsv").write_bytes(psgs([(str(number), "x", "X") for number in range(9)]))
    assert len(read(WikiDpr(source="wiki_dpr", path="p.tsv", limit=4), tmp_path)) == 4


def test_links_are_followed_once_and_what_is_no_file_is_told(tmp_path: Path) -> None:
    notes, other = tmp_path / "notes", tmp_path / "other"
    notes.mkdir()
    other.mkdir()
    (notes / "a.md").write_text("Iron rusts.\n", encoding="utf-8")
    (other / "b.md").write_text("Gold does not.\n", encoding="utf-8")
    (notes / "linked").symlink_to(other)
    (notes / "again").symlink_to(other)
    (notes / "above").symlink_to(tmp_path)
    (notes / "here").symlink_to(".")
    (notes / "nowhere.md").symlink_to("no")
    (notes / "circle").symlink_to("circle")
    os.mkfifo(notes / "pipe.md")
    found = read(Documents(source="documents", path="notes"), tmp_path)
    assert [one.id for one in passages(found)] == ["s:notes/a.md#1", "s:notes/again/b.md#1"]
    places = ("above", "circle", "nowhere.md", "pipe.md")
    assert list(skipped(found)) == [f"notes/{name}" for name in places]
    pattern = Documents(source="documents", path="notes/**/a.md")
    assert [one.id for one in passages(read(pattern, tmp_path))] == ["s:notes/a.md#1"]


def test_a_name_that_is_not_utf8_and_marks_for_a_terminal(tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path / "notes")
    (tmp_path / "notes").mkdir()
    for name in (b"b\xff.md", b"c\x1b[2J.md"):
        Path(os.fsdecode(folder + b"/" + name)).write_text(f"Text {name!r}.\n", encoding="utf-8")
    found = passages(read(Documents(source="documents", path="notes"), tmp_path))
    assert [one.id for one in found] == [r"s:notes/b\xff.md#1", "s:notes/c[2J.md#1"]


@pytest.mark.parametrize("path", ["", " ", "a\0b", "x" * 256, "notes/" + "é" * 128])
def test_a_path_that_no_file_can_have(path: str) -> None:
    with pytest.raises(ValueError, match="path"):
        Documents(source="documents", path=path)


def test_a_damaged_bz2_is_told(tmp_path: Path) -> None:
    (tmp_path / "p.tsv.bz2").write_bytes(b"no bzip2 at all")
    with pytest.raises(UserError, match="damaged or cut off: Invalid data stream"):
        read(WikiDpr(source="wiki_dpr", path="p.tsv.bz2"), tmp_path)


def test_a_packed_file_that_is_one_endless_line_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A megabyte of gzip can be a gigabyte of zeros."""
    monkeypatch.setattr("rag.packed.LONGEST_LINE", 2**20)
    (tmp_path / "a.json.gz").write_bytes(gzip.compress(b"0" * 2**21))
    with pytest.raises(UserError, match="a line of more than 1 MiB"):
        read(Wikipedia(source="wikipedia", path="a.json.gz"), tmp_path)
    (tmp_path / "p.tsv.gz").write_bytes(gzip.compress(b"id\ttext\ttitle\n" + b"0" * 2**21))
    with pytest.raises(UserError, match="a line of more than 1 MiB"):
        read(WikiDpr(source="wiki_dpr", path="p.tsv.gz"), tmp_path)


def test_parts_put_together_with_their_marks_and_headers(tmp_path: Path) -> None:
    part = "id\ttext\ttitle\n{}\t{}\tMetals\n"
    whole = "\ufeff" + part.format(1, "Iron rusts.") + part.format(2, "Gold does not.")
    lines = whole.encode() + b'4\t"Tin\tMetals\n'
    (tmp_path / "p.tsv").write_bytes(lines)
    found = read(WikiDpr(source="wiki_dpr", path="p.tsv"), tmp_path)
    assert [one.id for one in passages(found)] == ["s:1", "s:2"]
    assert skipped(found) == {
        "p.tsv:3": "the header again",
        "p.tsv:5": "2 values, not 3; a quote that nothing closes?",
    }
