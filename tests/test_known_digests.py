from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from stemma import known_digests
from stemma.digests import digest_json
from stemma.jsonl import read_json
from stemma.known_digests import KEPT, REMEMBERED_BYTES, differing, digests_of

LARGE = b"a" * REMEMBERED_BYTES


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that were read to be hashed."""
    names: list[str] = []
    digest: Callable[[Path], str] = known_digests.digest_of
    monkeypatch.setattr(
        known_digests, "digest_of", lambda path: (names.append(path.name), digest(path))[1]
    )
    return names


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files count as settled 20 ms after their last change, so that no test waits for seconds."""
    monkeypatch.setattr(known_digests, "SETTLED_NS", 20_000_000)


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    (tmp_path / "runs").mkdir()
    return tmp_path / "runs"


def put(path: Path, content: bytes = LARGE) -> Path:
    path.write_bytes(content)
    time.sleep(0.05)
    return path


@pytest.mark.usefixtures("settled")
def test_a_large_file_is_hashed_once_until_it_changes(
    tmp_path: Path, runs: Path, hashed: list[str]
) -> None:
    path = put(tmp_path / "passages.tsv")
    found = [digests_of([path], runs)[path] for _ in range(3)]
    assert (found, hashed) == ([sha256(LARGE)] * 3, ["passages.tsv"])
    put(path, LARGE + b"b")
    assert digests_of([path], runs)[path] == sha256(LARGE + b"b")
    assert digests_of([path], runs)[path] == sha256(LARGE + b"b")
    assert hashed == ["passages.tsv"] * 2


@pytest.mark.usefixtures("settled")
def test_another_content_of_the_same_size_and_time_is_seen(tmp_path: Path, runs: Path) -> None:
    path = put(tmp_path / "weights")
    before = path.stat()
    assert digests_of([path], runs)[path] == sha256(LARGE)
    # Written in place, or by another file with its old time, as `cp -p` and `rsync -t` do.
    for other in (b"b" * len(LARGE), b"c" * len(LARGE)):
        with path.open("r+b") as stream:
            stream.write(other)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        time.sleep(0.05)
        assert path.stat().st_mtime_ns == before.st_mtime_ns
        assert digests_of([path], runs)[path] == sha256(other)
    twin = put(tmp_path / "twin")
    os.utime(twin, ns=(before.st_atime_ns, before.st_mtime_ns))
    twin.replace(path)
    assert digests_of([path], runs)[path] == sha256(LARGE)


def test_a_file_that_has_just_changed_is_not_remembered(
    tmp_path: Path, runs: Path, hashed: list[str]
) -> None:
    path = put(tmp_path / "passages.tsv")
    ahead = put(tmp_path / "ahead.tsv")
    os.utime(ahead, (time.time() + 3600, time.time() + 3600))
    for _ in range(2):
        digests_of([path, ahead], runs)
    assert hashed == ["passages.tsv", "ahead.tsv"] * 2
    assert not (runs / KEPT).exists()


@pytest.mark.usefixtures("settled")
def test_a_file_that_changes_while_it_is_read_is_not_remembered(
    tmp_path: Path, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = put(tmp_path / "passages.tsv")

    def late(found: Path) -> str:
        found.write_bytes(b"b" * len(LARGE))
        return "the digest of something between"

    monkeypatch.setattr(known_digests, "digest_of", late)
    digests_of([path], runs)
    assert not (runs / KEPT).exists()


@pytest.mark.usefixtures("settled")
def test_small_files_are_not_written_down_and_links_are_their_targets(
    tmp_path: Path, runs: Path, hashed: list[str]
) -> None:
    small, target = put(tmp_path / "small", b"a"), put(tmp_path / "target")
    (tmp_path / "link").symlink_to(target)
    link = tmp_path / "link"
    for _ in range(2):
        assert digests_of([small, link], runs) == {small: sha256(b"a"), link: sha256(LARGE)}
    assert hashed == ["small", "link", "small"]
    target.write_bytes(b"b" * len(LARGE))
    assert digests_of([link], runs)[link] == sha256(b"b" * len(LARGE))


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize("damage", ["", "{", "[]", '{"a": 1}', '{"/a": [5, 7, "abc"]}', "\0"])
def test_a_damaged_file_of_digests_is_none(tmp_path: Path, runs: Path, damage: str) -> None:
    path = put(tmp_path / "passages.tsv")
    (runs / KEPT).write_text(damage)
    assert digests_of([path], runs)[path] == sha256(LARGE)
    assert str(path) in (runs / KEPT).read_text()


@pytest.mark.usefixtures("settled")
def test_without_a_folder_of_runs_nothing_is_made(tmp_path: Path) -> None:
    path = put(tmp_path / "passages.tsv")
    assert digests_of([path], tmp_path / "runs")[path] == sha256(LARGE)
    assert not (tmp_path / "runs").exists()


@pytest.mark.usefixtures("settled")
def test_an_edited_digest_is_not_believed(tmp_path: Path, runs: Path) -> None:
    path = put(tmp_path / "weights")
    digests_of([path], runs)
    text = (runs / KEPT).read_text()
    (runs / KEPT).write_text(text.replace(sha256(LARGE), "0" * 64))
    assert digests_of([path], runs)[path] == sha256(LARGE)
    assert (runs / KEPT).read_text() == text


@pytest.mark.usefixtures("settled")
def test_an_unreadable_file_of_digests_is_none(tmp_path: Path, runs: Path) -> None:
    path = put(tmp_path / "weights")
    (runs / KEPT).mkdir()
    assert digests_of([path], runs)[path] == sha256(LARGE)


@pytest.mark.usefixtures("settled")
def test_files_that_are_gone_are_forgotten(tmp_path: Path, runs: Path) -> None:
    first, second = put(tmp_path / "first"), put(tmp_path / "second")
    digests_of([first], runs)
    first.unlink()
    digests_of([second], runs)
    assert list(read_json(runs / KEPT)["files"]) == [str(second)]


@pytest.mark.usefixtures("settled")
def test_read_anew_what_left_no_trace_is_found_and_remembered(
    tmp_path: Path, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = put(tmp_path / "weights")
    digests_of([path], runs)
    # A rotten disk: other bytes, and no time of change says so.
    digest = sha256(b"rotten")
    monkeypatch.setattr(known_digests, "digest_of", lambda _path: digest)
    assert digests_of([path], runs)[path] == sha256(LARGE)
    assert differing({path: sha256(LARGE)}, runs) == []
    assert differing({path: sha256(LARGE)}, runs, anew=True) == [path]
    assert differing({path: sha256(LARGE)}, runs) == [path]


@pytest.mark.usefixtures("settled")
def test_several_who_write_at_once_leave_a_whole_file(tmp_path: Path, runs: Path) -> None:
    paths = [put(tmp_path / f"{number}.bin") for number in range(4)]
    children = []
    for path in paths:
        if not (child := os.fork()):
            digests_of([path], runs)
            os._exit(0)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 4
    kept = read_json(runs / KEPT)
    assert kept["digest"] == digest_json(kept["files"])
    assert set(kept["files"]) <= {str(path) for path in paths}
    assert kept["files"]
    assert [path.name for path in runs.iterdir()] == [KEPT]


def test_a_path_that_is_no_utf_8_is_read_each_time(tmp_path: Path, settled: None) -> None:
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    folder.mkdir()
    path = put(folder / "weights")
    assert digests_of([path], folder)[path] == sha256(LARGE)
    put(path, LARGE[::-1])
    assert digests_of([path], folder)[path] == sha256(LARGE[::-1])


def test_half_a_character_in_what_is_kept_is_damage(tmp_path: Path, runs: Path) -> None:
    (runs / KEPT).write_text('{"digest": "x", "files": {"\\ud800": 1}}')
    path = put(tmp_path / "weights")
    assert digests_of([path], runs)[path] == sha256(LARGE)
