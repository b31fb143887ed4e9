"""Damage between stages: whatever is not as a stage wrote it is told, and nothing is made of it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from stemma.errors import UserError
from stemma.runs import Run
from tests.factories.manifests import write_manifest

ROWS = [{"id": "a", "answer": 0}, {"id": "b", "answer": 1}]


def put_rows(path: Path, *answers: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [row | {"answer": answer} for row, answer in zip(ROWS, answers, strict=True)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run whose stage `data` is done: a test file, and a folder of two files."""
    run = Run(tmp_path / "runs" / "small")
    put_rows(run.folder("data") / "mcq" / "test.jsonl", 0, 1)
    folder = run.folder("data") / "folder"
    (folder / "below").mkdir(parents=True)
    (folder / "one.bin").write_bytes(b"1111")
    (folder / "below" / "two.bin").write_bytes(b"2222")
    write_manifest(run, "data", {"mcq/test": "mcq/test.jsonl", "folder": "folder"})
    return run


def told(run: Run, name: str) -> str:
    with pytest.raises(UserError) as error:
        run.output("data", name)
    return str(error.value)


def test_what_is_whole_is_handed_out(run: Run) -> None:
    assert run.output("data", "mcq/test") == run.folder("data") / "mcq" / "test.jsonl"
    assert run.output("data", "folder") == run.folder("data") / "folder"
    assert run.damage("data") == []


def test_two_answers_swapped_are_told_though_the_length_is_the_same(run: Run) -> None:
    path = run.folder("data") / "mcq" / "test.jsonl"
    before = path.stat()
    put_rows(path, 1, 0)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    message = told(run, "mcq/test")
    assert message.startswith(f"{path}: other content of the same size\n")
    assert "expected: the content that stage `data` wrote (sha256 " in message
    assert "run `make data RECIPE=small`" in message


SAME_SIZE = "other content of the same size"


def link_one_file(folder: Path) -> None:
    other = folder.with_name("other.bin")
    other.write_bytes(b"3333")
    (folder / "one.bin").unlink()
    (folder / "one.bin").symlink_to(other)


def link_the_folder(folder: Path) -> None:
    aside = folder.rename(folder.with_name("aside"))
    (aside / "one.bin").write_bytes(b"3333")
    folder.symlink_to(aside)


def put_a_file(folder: Path) -> None:
    folder.rename(folder.with_name("aside"))
    folder.write_bytes(b"11112222")


def put_a_pipe(folder: Path) -> None:
    folder.rename(folder.with_name("aside"))
    os.mkfifo(folder)


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        (lambda folder: (folder / "one.bin").write_bytes(b"1121"), SAME_SIZE),
        (lambda folder: (folder / "one.bin").write_bytes(b"111"), "7 bytes"),
        (lambda folder: (folder / "one.bin").unlink(), "4 bytes"),
        (lambda folder: (folder / "three.bin").write_bytes(b"3"), "9 bytes"),
        (lambda folder: (folder / "three.bin").touch(), SAME_SIZE),
        (lambda folder: (folder / "one.bin").rename(folder / "uno.bin"), SAME_SIZE),
        (link_one_file, SAME_SIZE),
        (link_the_folder, SAME_SIZE),
        (put_a_file, SAME_SIZE),
        (put_a_pipe, "0 bytes"),
        (lambda folder: folder.rename(folder.with_name("away")), "stage `data` has no output"),
    ],
)
def test_a_damaged_folder_is_told(run: Run, damage: Callable[[Path], None], found: str) -> None:
    folder = run.folder("data") / "folder"
    damage(folder)
    message = told(run, "folder")
    assert message.startswith(f"{folder}: {found}")
    assert "run `make data RECIPE=small`" in message


def test_a_link_to_the_same_content_is_the_same(run: Run) -> None:
    folder = run.folder("data") / "folder"
    folder.symlink_to(folder.rename(run.root / "aside"))
    assert run.output("data", "folder") == folder


def test_all_that_is_damaged_is_told_at_once(run: Run) -> None:
    put_rows(run.folder("data") / "mcq" / "test.jsonl", 1, 0)
    (run.folder("data") / "folder" / "one.bin").unlink()
    named = [Path(problem.where).name for problem in run.damage("data")]
    assert named == ["test.jsonl", "folder"]
