"""Kept samples: whole lines of all files count, whatever became of their writers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from eval.measured import count_altered, describe, keeping, read_kept
from eval.unchanged import stamps_of_weights
from stemma import ROOT
from stemma.errors import StageFailed

FIELDS = {"id", "value"}


def sample(row: str, value: float = 0.5) -> dict[str, object]:
    return {"id": row, "value": value}


def keep(folder: Path, *rows: str) -> None:
    with keeping(folder) as keeper:
        for row in rows:
            keeper.keep(f"digest of {row}", sample(row))


def test_what_is_kept_is_read_back_by_its_row(tmp_path: Path) -> None:
    keep(tmp_path / "cell", "a", "é\u2028×")
    assert read_kept(tmp_path / "cell", FIELDS) == {
        "digest of a": sample("a"),
        "digest of é\u2028×": sample("é\u2028×"),
    }
    assert read_kept(tmp_path / "another", FIELDS) == {}


def test_nothing_measured_leaves_no_file(tmp_path: Path) -> None:
    keep(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_writers_have_files_of_their_own_and_all_count(tmp_path: Path) -> None:
    with keeping(tmp_path) as one, keeping(tmp_path) as other:
        one.keep("1", sample("a"))
        other.keep("2", sample("b"))
        other.keep("1", sample("a"))
    assert len(list(tmp_path.glob("*.jsonl"))) == 2
    assert read_kept(tmp_path, FIELDS) == {"1": sample("a"), "2": sample("b")}


def test_of_two_measurements_of_a_row_the_same_one_counts_every_time(tmp_path: Path) -> None:
    for name, value in (("b", 2.0), ("a", 1.0)):
        with keeping(tmp_path) as keeper:
            keeper.keep("1", sample("x", value))
        [path] = tmp_path.glob("*-*.jsonl")
        path.rename(tmp_path / f"{name}.jsonl")
    assert read_kept(tmp_path, FIELDS) == {"1": sample("x", 1.0)}


@pytest.mark.parametrize("cut", range(1, 40, 6))
def test_a_torn_last_line_does_not_count(tmp_path: Path, cut: int) -> None:
    keep(tmp_path, "a", "b")
    [path] = tmp_path.glob("*.jsonl")
    content = path.read_bytes()
    path.write_bytes(content[:-cut])
    assert read_kept(tmp_path, FIELDS) == {"digest of a": sample("a")}


@pytest.mark.parametrize(
    "damaged",
    [b"\0" * 80, b"not JSON", b"[1]", b'{"row": "z"}', b'{"row": "z", "sample": 7}', b"\xff\xfe"],
)
def test_a_damaged_line_costs_its_row_alone(tmp_path: Path, damaged: bytes) -> None:
    keep(tmp_path, "a", "b")
    [path] = tmp_path.glob("*.jsonl")
    first, second = path.read_bytes().splitlines()
    path.write_bytes(b"\n".join([first, damaged, second, b""]))
    assert set(read_kept(tmp_path, FIELDS)) == {"digest of a", "digest of b"}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"value": 0.5', '"value": 0.9'),
        ('"row": "digest of a"', '"row": "digest of c"'),
        ('"id": "a"', '"id": "b"'),
        ("sha256", "sha255"),
    ],
)
def test_a_line_that_was_changed_does_not_count(tmp_path: Path, old: str, new: str) -> None:
    keep(tmp_path, "a", "b")
    assert count_altered(tmp_path) == 0
    [path] = tmp_path.glob("*.jsonl")
    path.write_text(path.read_text(encoding="utf-8").replace(old, new, 1), encoding="utf-8")
    assert read_kept(tmp_path, FIELDS) == {"digest of b": sample("b")}
    assert count_altered(tmp_path) == 1


def test_a_line_without_a_digest_or_of_another_cell_does_not_count(tmp_path: Path) -> None:
    """An earlier Stemma wrote none; the other is as it was written, and speaks of other weights."""
    keep(tmp_path / "mcq-1.new", "a")
    (tmp_path / "mcq-1.new").rename(tmp_path / "mcq-1")
    assert set(read_kept(tmp_path / "mcq-1", FIELDS)) == {"digest of a"}, "measured anew"
    keep(tmp_path / "mcq-2", "a")
    [one], [other] = ((tmp_path / name).glob("*.jsonl") for name in ("mcq-1", "mcq-2"))
    other.write_bytes(one.read_bytes())
    (tmp_path / "mcq-2/old.jsonl").write_text(
        json.dumps({"row": "1", "sample": sample("x")}) + "\n", encoding="utf-8"
    )
    assert read_kept(tmp_path / "mcq-2", FIELDS) == {}
    assert count_altered(tmp_path / "mcq-2") == 2


def test_what_is_found_of_weights_that_change_meanwhile_is_not_kept(tmp_path: Path) -> None:
    weights = tmp_path / "small.gguf"
    weights.write_bytes(b"weights")
    with keeping(tmp_path / "cell", stamps_of_weights(weights, made_here=True)) as keeper:
        keeper.keep("1", sample("a"))
        weights.write_bytes(b"others!")
        os.utime(weights, ns=(1, 1))  # the time may be put back, but that leaves a trace too
        with pytest.raises(StageFailed, match=r"small\.gguf changed while it was measured: what"):
            keeper.keep("2", sample("b"))
        weights.unlink()
        with pytest.raises(StageFailed, match="is not kept, and the same command measures it"):
            keeper.keep("2", sample("b"))
    assert read_kept(tmp_path / "cell", FIELDS) == {"1": sample("a")}


def test_samples_of_other_fields_are_not_misread(tmp_path: Path) -> None:
    keep(tmp_path, "a")
    assert read_kept(tmp_path, {"id", "value", "more"}) == {}
    assert read_kept(tmp_path, {"id"}) == {}


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_a_figure_that_is_no_number_is_an_error_and_not_kept(tmp_path: Path, number: float) -> None:
    with keeping(tmp_path) as keeper:
        keeper.keep("1", sample("a"))
        with pytest.raises(StageFailed, match=r"^row b: figures that are not finite"):
            keeper.keep("2", sample("b", number))
    assert read_kept(tmp_path, FIELDS) == {"1": sample("a")}


def test_the_description_is_written_once(tmp_path: Path) -> None:
    describe(tmp_path / "cell", {"task": "mcq"})
    describe(tmp_path / "cell", {"task": "another"})
    assert json.loads((tmp_path / "cell/cell.json").read_text()) == {"task": "mcq"}
    assert read_kept(tmp_path / "cell", FIELDS) == {}


WRITER = """
import sys
from pathlib import Path
from eval.measured import keeping
with keeping(Path(sys.argv[1])) as keeper:
    for number in range(int(sys.argv[2])):
        row = f"{number:06}"
        keeper.keep(row, {"id": row, "value": number / 3})
    sys.stdin.read()  # until it is killed, or its input ends
"""


def start_writer(folder: Path, rows: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", WRITER, str(folder), str(rows)]
    variables = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, env=variables, stdin=subprocess.PIPE)


def test_processes_that_keep_the_same_rows_at_once_do_no_harm(tmp_path: Path) -> None:
    """One of them is killed with its work half done."""
    # On a busy machine a writer without an end is never caught up with.
    victim = start_writer(tmp_path, 20_000)
    others = [start_writer(tmp_path, 2_000) for _ in range(3)]
    for other in others:
        other.communicate(timeout=120)
    assert [other.returncode for other in others] == [0, 0, 0]
    while not len(read_kept(tmp_path, FIELDS)) > 2_000:
        assert victim.poll() is None
    victim.send_signal(signal.SIGKILL)
    victim.wait()
    assert len(list(tmp_path.glob("*.jsonl"))) == 4
    kept = read_kept(tmp_path, FIELDS)
    assert {row: kept[row]["value"] for row in sorted(kept)[:2_000]} == {
        f"{number:06}": number / 3 for number in range(2_000)
    }
    assert all(kept[row] == {"id": row, "value": int(row) / 3} for row in kept)
