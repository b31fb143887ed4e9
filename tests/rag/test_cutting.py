from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from rag.cutting import Sizes, count_words, cut
from rag.documents import Document, Part, clean

WATER = "Water boils at 100 °C. Steam is a gas. It fills any vessel. Ice floats on water."
"""Sentences of 5, 4, 4 and 4 words."""


def texts(text: str, words: int, overlap: int = 0) -> list[str]:
    document = Document("w", "Water", (Part(text),))
    return [passage.text for passage in cut(document, Sizes(words, overlap), "notes")]


def test_a_passage_takes_whole_sentences() -> None:
    assert texts(WATER, 9) == [
        "Water boils at 100 °C. Steam is a gas.",
        "It fills any vessel. Ice floats on water.",
    ]
    assert texts(WATER, 8) == [
        "Water boils at 100 °C.",
        "Steam is a gas. It fills any vessel.",
        "Ice floats on water.",
    ]
    assert texts(WATER, 1000) == [WATER]


def test_the_overlap_is_whole_sentences() -> None:
    assert texts(WATER, 9, overlap=4) == [
        "Water boils at 100 °C. Steam is a gas.",
        "Steam is a gas. It fills any vessel.",
        "It fills any vessel. Ice floats on water.",
    ]
    assert texts(WATER, 9, overlap=3) == texts(WATER, 9)


def test_nothing_is_lost_and_nothing_comes_twice_without_overlap() -> None:
    for words in range(1, 30):
        assert " ".join(texts(WATER, words)).split() == WATER.split()


def test_abbreviations_and_numbers_end_no_sentence() -> None:
    text = "Approx. 3.5 N act, as Smith et al. wrote. Nothing else does."
    assert texts(text, 9) == [
        "Approx. 3.5 N act, as Smith et al. wrote.",
        "Nothing else does.",
    ]


def test_ids_and_places_are_told() -> None:
    parts = (Part("It is energy.", "Physics › Heat"), Part("It grows. It never falls.", "Physics"))
    found = list(cut(Document("a/b.md", "Physics", parts), Sizes(3), "notes"))
    assert [(one.id, one.place, one.text) for one in found] == [
        ("notes:a/b.md#1", "Heat", "It is energy."),
        ("notes:a/b.md#2", "", "It grows."),
        ("notes:a/b.md#3", "", "It never falls."),
    ]
    assert {(one.title, one.source) for one in found} == {("Physics", "notes")}


def test_text_flows_over_pages_where_the_document_says_so() -> None:
    parts = (Part("One two three.", "page 3"), Part("Four five six.", "page 4"))
    [flowing] = cut(Document("d", "D", parts, flows=True), Sizes(10), "s")
    assert (flowing.place, flowing.text) == ("pages 3–4", "One two three.\nFour five six.")
    apart = [one.place for one in cut(Document("d", "D", parts), Sizes(10), "s")]
    assert apart == ["page 3", "page 4"]


def test_a_passage_of_the_source_keeps_its_id_unless_it_is_too_long() -> None:
    short = Document("7", "Aaron", (Part("He was a prophet."),), keep_short=True)
    assert [one.id for one in cut(short, Sizes(4), "wiki_dpr")] == ["wiki_dpr:7"]
    assert [one.id for one in cut(short, Sizes(3), "wiki_dpr")] == ["wiki_dpr:7#1", "wiki_dpr:7#2"]


def test_blocks_with_lines_keep_them() -> None:
    assert texts("Steps:\n\n1. Heat it.\n2. Cool it.", 50) == ["Steps:\n1. Heat it.\n2. Cool it."]


@pytest.mark.parametrize(
    "text",
    [
        "x" * 1_000_000,
        "word " * 200_000,
        "水" * 300_000,
        "a" * 1_000_000 + ". " + "b" * 1_000,
        "Sentence one. " * 70_000,
        "\n".join("line" for _ in range(200_000)),
    ],
    ids=["one run", "one sentence", "no blanks", "run and point", "sentences", "lines"],
)
def test_a_megabyte_becomes_passages_of_the_usual_length(text: str) -> None:
    found = texts(text, 100)
    assert max(map(count_words, found)) <= 100
    assert max(map(len, found)) <= 100 * 24 + 100
    assert "".join("".join(found).split()) == "".join(text.split())


def test_control_characters_and_half_surrogates_do_not_pass() -> None:
    assert texts("A\x00 ga\x07s\ud800 ex\u00adpands, \ufb01rst.\x1b", 50) == [
        "A gas\ufffd expands, first."
    ]
    assert texts("\x00 \n\x0c\n", 50) == []


def test_chinese_is_counted_and_cut_at_its_own_marks() -> None:
    text = "水在一百度沸腾。冰浮在水面上。"
    assert count_words(text) == 7
    assert texts(text, 5) == ["水在一百度沸腾。", "冰浮在水面上。"]


def test_real_texts_lose_no_word() -> None:
    path = Path(os.environ.get("STEMMA_DATA", "../shared/data")) / "sciq/mcqa_sciq_test.jsonl"
    if not path.is_file():
        pytest.skip(f"no real data at {path} (STEMMA_DATA)")
    for line in path.read_text(encoding="utf-8").splitlines():
        text = json.loads(line)["question"]
        assert " ".join(texts(text, 20)).split() == clean(text).split()
