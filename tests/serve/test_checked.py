"""The laptop side uses nothing that is not as its manifest says."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from serve import checked as module
from serve.checked import checked
from serve.search import main as search
from serve.talk import main, recipes
from stemma import known_digests
from stemma.errors import UserError
from stemma.known_digests import KEPT
from stemma.recipe.models import Recipe
from stemma.recipe.rag import RagSection
from stemma.runs import Run
from stemma.stages import Work
from tests.factories.manifests import write_manifest
from tests.factories.retrieval import build
from tests.factories.run_to_score import make_recipe, make_work

RAG = RagSection.model_validate(
    {"sources": [{"source": "documents", "path": "notes.md", "licence": "CC0-1.0"}]}
)


def chat(recipe: Recipe, run: Run, question: str) -> None:
    with recipes(recipe, run) as asking:
        main(asking, question)


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return make_work(tmp_path, make_recipe(["gguf-F16"], [{"task": "mcq"}]))


def test_a_shipped_file_whose_end_is_overwritten_is_refused(work: Work) -> None:
    path = work.input("export", "gguf-F16")
    end = path.stat().st_size // 2
    with path.open("r+b") as stream:
        stream.seek(-end, os.SEEK_END)
        stream.write(b"\xff" * end)
    with pytest.raises(UserError) as caught:
        chat(work.recipe, work.run, "What is 3 + 4?")
    [problem] = caught.value.problems
    assert problem.where == str(path)
    assert problem.found == "other content of the same size"
    assert "that stage `export` wrote" in problem.expected
    assert "run `make export RECIPE=small`" in problem.hint


def test_a_changed_database_of_passages_is_refused(work: Work) -> None:
    folder = work.run.folder("rag")
    folder.mkdir()
    build(folder / "database")
    write_manifest(work.run, "rag", {"database": "database"})
    recipe = work.recipe.model_copy(update={"rag": RAG})
    search(recipe, work.run, "iron", None)
    [passages] = (folder / "database").glob("*.sqlite")
    content = passages.read_bytes()
    assert b"Iron rusts" in content
    passages.write_bytes(content.replace(b"Iron rusts", b"Gold rusts"))
    for ask in (
        lambda: search(recipe, work.run, "iron", None),
        lambda: chat(recipe, work.run, "What does iron do?"),
    ):
        with pytest.raises(UserError, match=r"same size(.|\n)*`rag`(.|\n)*make rag RECIPE=small"):
            ask()


def make_large(folder: Path) -> tuple[Run, Path]:
    """A run whose export is a file large enough to be remembered, of an hour ago."""
    run = Run(folder / "small")
    run.folder("export").mkdir(parents=True)
    path = run.folder("export") / "a.gguf"
    path.write_bytes(bytes(2**20))
    write_manifest(run, "export", {"gguf-F16": "a.gguf"})
    return run, path


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of files that are hashed."""
    names: list[str] = []
    digest_of = known_digests.digest_of

    def hashed(path: Path) -> str:
        names.append(path.name)
        return digest_of(path)

    monkeypatch.setattr(known_digests, "digest_of", hashed)
    monkeypatch.setattr(known_digests, "SETTLED_NS", 0)
    return names


def test_a_large_file_is_read_once_and_again_when_it_was_touched(
    tmp_path: Path, read: list[str]
) -> None:
    run, path = make_large(tmp_path)
    for _ in range(3):
        assert checked(run, "export", "gguf-F16") == path
    assert read == ["a.gguf"]
    time.sleep(0.01)
    os.utime(path, ns=(1, 1))
    checked(run, "export", "gguf-F16")
    assert read == ["a.gguf"] * 2


def test_where_nothing_can_be_remembered_it_is_read_each_time(
    tmp_path: Path, read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the folder of runs is read-only."""
    run, path = make_large(tmp_path)

    def refused(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(known_digests, "write_json", refused)
    for _ in range(2):
        assert checked(run, "export", "gguf-F16") == path
    assert read == ["a.gguf"] * 2
    assert not (tmp_path / KEPT).exists()


def test_a_long_check_is_announced_on_a_terminal_once(
    tmp_path: Path,
    read: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run, _ = make_large(tmp_path)
    monkeypatch.setattr(module, "TOLD_BYTES", 2**20)
    told = "checking a.gguf against its manifest, once: 0.0 GB …\n"
    for is_terminal, expected in ((True, told), (True, ""), (False, "")):
        monkeypatch.setattr(sys.stderr, "isatty", lambda answer=is_terminal: answer)
        checked(run, "export", "gguf-F16")
        assert capsys.readouterr().err == expected
    assert read == ["a.gguf"]
