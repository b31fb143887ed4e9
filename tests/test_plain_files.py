"""What stands in a plain file's place is told as what it is at every border, and never opened: a
pipe without a writer would hang the test."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from eval.course.files import read_questions
from rag.packed import open_packed
from rag.sources.documents import READER
from stemma import ROOT
from stemma.base_model.folder import refuse_unfit
from stemma.cli import main
from stemma.errors import UserError
from stemma.from_gguf.header import read_gguf
from stemma.jsonl import read_dicts, read_json, stream_dicts
from stemma.llama import load_model
from stemma.plain_files import _mounted, not_plain
from stemma.reading.tables import CSV, read_table
from stemma.recipe.rag_sources import Documents
from stemma.retrieval.context import Contexts
from stemma.templates import Template

Write = Callable[..., Path]


def _listen(path: Path) -> None:
    before = Path.cwd()
    os.chdir(path.parent)  # a socket's path has 107 letters at most
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(path.name)
    os.chdir(before)


KINDS = {
    "a folder": lambda path: path.mkdir(),
    "a named pipe": os.mkfifo,
    "a socket": _listen,
    "a device": lambda path: path.symlink_to("/dev/zero"),
    "a link that leads nowhere (gone)": lambda path: path.symlink_to("gone"),
    "a link in a circle": lambda path: path.symlink_to(path.name),
    "a file of the kernel's, which no disk holds": lambda path: path.symlink_to("/proc/self/mem"),
    "no such file": lambda _path: None,
}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def someone_else() -> Iterator[None]:
    """The test runs with the rights of nobody, where it may."""
    if os.geteuid():
        yield
        return
    os.seteuid(65534)
    yield
    os.seteuid(0)


def test_each_kind_has_its_words(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "x"
    KINDS[kind](path)
    assert not_plain(path) == kind


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/proc/kcore", "a file of the kernel's, which no disk holds"),
        ("/sys/kernel/uevent_seqnum", "a file of the kernel's, which no disk holds"),
        ("/dev/null", "a device"),
        ("x" * 300, "a name too long for a file"),
        ("a\0b", "no path that a file can have"),
        (f"{__file__}/inside", "no such file"),
        (__file__, ""),
    ],
)
def test_places_of_the_system(path: str, words: str) -> None:
    if path.startswith(("/sys", "/proc")) and not Path(path).exists():
        pytest.skip("this kernel has no such file")
    assert not_plain(Path(path)) == words


def test_a_file_that_may_not_be_read(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> None:
    path = tmp_path_factory.mktemp("open") / "secret"
    path.write_text("x")
    path.chmod(0)
    for folder in (path.parent, *path.parent.parents[:2]):
        folder.chmod(0o755)
    request.getfixturevalue("someone_else")
    assert not_plain(path) == "a file that you may not read"


BORDERS: dict[str, Callable[[Path], object]] = {
    "rows.jsonl": lambda path: list(read_table(path, CSV)),
    "rows.csv": lambda path: list(read_table(path, CSV)),
    "rows.parquet": lambda path: list(read_table(path, CSV)),
    "course.jsonl": read_questions,
    "wiki.tsv.gz": open_packed,
    "state.json": read_json,
    "kept.jsonl": read_dicts,
    "samples.jsonl": lambda path: list(stream_dicts(path)),
    "model.gguf": read_gguf,
    "shipped.gguf": load_model,
    "own.jinja": Template.read,
    "prompt.jinja": lambda path: Contexts(path, lambda _texts: [], 100),
}


@pytest.mark.parametrize("name", BORDERS)
def test_every_border_says_what_it_is(name: str, kind: str, tmp_path: Path) -> None:
    path = tmp_path / name
    KINDS[kind](path)
    with pytest.raises(UserError) as told:
        BORDERS[name](path)
    assert str(told.value).startswith(f"{path}: {kind}\n  expected: ")


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
def test_a_base_model_of_other_things(name: str, kind: str, tmp_path: Path) -> None:
    if kind == "no such file":
        pytest.skip("the base model's own check tells what is missing")
    folder = tmp_path / "model"
    folder.mkdir()
    KINDS[kind](folder / name)
    with pytest.raises(UserError) as told:
        refuse_unfit(folder)
    assert str(told.value).startswith(f"{folder / name}: {kind}\n")


def test_entries_of_a_folder_of_documents_are_left_out_with_a_reason(tmp_path: Path) -> None:
    for number, make in enumerate(KINDS.values()):
        make(tmp_path / f"{number}.md")
    (tmp_path / "heat.md").write_text("Heat flows from warm to cold.")
    (tmp_path / "0.md").rmdir()
    options = Documents(source="documents", path=".", licence="CC0-1.0")
    found = [getattr(one, "reason", "") for one in READER.read(options, tmp_path)]
    assert "" in found
    assert sum("no file" in reason for reason in found) >= 3


@pytest.mark.parametrize(
    ("old", "verb", "place"),
    [
        ("chat_template: templates/qa.jinja", "check", "recipes/small.yml:2: {kind}: {path}"),
        ("deepspeed: deepspeed/zero1.json", "check", "recipes/small.yml:10: {kind}: {path}"),
        ("path: train.jsonl", "data", "small.yml (data): {kind}: {path}"),
    ],
)
def test_a_recipe_names_other_things(
    old: str,
    verb: str,
    place: str,
    kind: str,
    write_recipe: Write,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "other"
    KINDS[kind](path)
    (tmp_path / "pairs.jsonl").write_text("{}\n")
    write_recipe((old, f"{old.partition(':')[0]}: {path}"))
    assert main([verb, "small"]) == 2
    said = capsys.readouterr().err
    wanted = kind.replace("file", "chat template") if "template" in old else kind
    wanted = wanted if kind == "no such file" else kind
    assert place.format(kind=wanted, path=path) in said


def test_a_recipe_is_another_thing(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "own.yml"
    KINDS[kind](path)
    if kind == "no such file":
        kind = f"unknown recipe `{path}`"
    from stemma.recipe.load import find

    with pytest.raises(UserError) as told:
        find(str(path))
    assert str(told.value).split("\n")[0].endswith(f"own.yml: {kind}")


def test_import_says_what_it_is(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "m.gguf"
    KINDS[kind](path)
    assert main(["import", str(path), str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err.startswith(f"{path}: {kind}\n  expected: a GGUF file")
    assert (ROOT / "recipes").is_dir()


def test_a_folder_where_nothing_is_mounted_is_no_device_of_the_kernels(tmp_path: Path) -> None:
    """As `/sys` in a chroot: every file of the disk would have been refused."""
    (tmp_path / "sys").mkdir()
    assert _mounted(tmp_path / "sys", tmp_path / "not there") == frozenset()
    assert _mounted(Path("/proc")) == {Path("/proc").stat().st_dev}
