from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from serve.search import SearchFor, lines
from stemma import ROOT
from stemma.cli import main
from stemma.retrieval.database import Database
from stemma.retrieval.search import Searcher
from stemma.retrieval.settings import SearchSettings
from stemma.runs import Run
from tests.factories.manifests import write_manifest
from tests.factories.retrieval import LetterEmbedder, build, passage


def searched(folder: Path, query: str, arm: str = "", **settings: object) -> list[str]:
    embedder = LetterEmbedder() if settings.pop("dense", False) else None
    build(folder, embedder=embedder)
    chosen = SearchSettings(**settings)  # type: ignore[arg-type]
    with Database.open(folder) as database:
        wanted = SearchFor(query, arm or chosen.arm)  # type: ignore[arg-type]
        return list(lines(Searcher(database, embedder, chosen), wanted, 2))


def test_each_hit_stands_with_its_score_and_where_it_is_from(tmp_path: Path) -> None:
    told, head, first, text, *_ = searched(tmp_path / "db", "Why does iron rust?")
    assert told == (
        "5 passages (every passage of the sources); searched by bm25; no threshold was fitted or "
        "given, so every question gets passages"
    )
    assert head.split() == ["BM25", "passage"]
    assert re.fullmatch(r"\d+\.\d{3} #1 +Iron \(iron, page 3\)", first)
    assert text == "    Iron rusts in damp air; rust is a hydrated oxide."


def test_every_arm_says_what_it_makes_of_a_hit(tmp_path: Path) -> None:
    _, head, first, _, second, _ = searched(
        tmp_path / "db", "rust of iron", arm="hybrid", dense=True
    )
    assert head.split() == ["score", "BM25", "cosine", "passage"]
    assert re.match(r"0\.\d{4} +\d+\.\d{3} #1 +0\.\d{3} #\d ", first)
    assert re.match(r"0\.\d{4} +– +0\.\d{3} #\d ", second)  # no word in common


def test_a_threshold_is_told_and_hits_are_shown_all_the_same(tmp_path: Path) -> None:
    found = searched(tmp_path / "db", "the Moon", threshold=99.0)
    assert found[1] == (
        "nothing is as relevant as the threshold 99: a question is answered without passages"
    )
    assert "Moon (moon)" in found[3]


@pytest.mark.parametrize("query", ["zebra", "", "   ", '"*:^ NEAR( OR', "\0\ud800"])
def test_nothing_is_found_of_nothing(tmp_path: Path, query: str) -> None:
    assert searched(tmp_path / "db", query)[1:] == ["no passage shares a word with it"]


def test_the_verb_searches_a_run_and_names_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rag = "rag={sources: [{source: documents, path: notes.md, licence: CC0-1.0}]}"
    plain = ["search", "tiny", "iron rust", "--runs", str(tmp_path)]
    arguments = [*plain, "--set", rag]
    assert main(arguments) == 2
    assert "make rag RECIPE=tiny" in capsys.readouterr().err
    folder = tmp_path / "tiny" / "rag"
    folder.mkdir(parents=True)
    build(folder / "database")
    write_manifest(Run(tmp_path / "tiny"), "rag", {"database": "database"})
    assert main(arguments) == 0
    assert "#1  Iron (iron, page 3)" in capsys.readouterr().out
    assert main([*arguments, "--arm", "dense"]) == 2
    assert "needs vectors" in capsys.readouterr().err
    assert main(["search", "smollm2", *plain[2:]]) == 2
    assert "recipe `smollm2` has no passages" in capsys.readouterr().err


def test_a_terminal_without_every_letter_is_written_to(tmp_path: Path) -> None:
    """Passages hold letters that Latin-1 does not have."""
    long = passage("long", "Rust “flakes” off. " * 20, "Größe…")
    build(tmp_path / "tiny" / "rag" / "database", [long])
    write_manifest(Run(tmp_path / "tiny"), "rag", {"database": "database"})
    rag = "rag={sources: [{source: documents, path: notes.md, licence: CC0-1.0}]}"
    command = [sys.executable, "-m", "stemma", "search", "tiny", "rust", "--set", rag]
    found = subprocess.run(
        [*command, "--runs", str(tmp_path)],
        env={**os.environ, "PYTHONIOENCODING": "latin-1"},
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    assert "Größe? (long)" in found.stdout.decode("latin-1")


def test_searching_loads_no_training_engine() -> None:
    code = (
        "import sys, serve.search; "
        "print(sorted({'torch', 'transformers', 'axolotl', 'peft', 'datasets', 'tokenizers'}"
        " & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
