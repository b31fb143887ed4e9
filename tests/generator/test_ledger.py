from __future__ import annotations

import fcntl
import sqlite3
import time
from pathlib import Path

import pytest

from stemma.errors import UserError
from stemma.generator.ledger import Ledger, LedgerEntry, PendingBatch, open_ledger, peek_ledger
from stemma.generator.requests import ChatRequest, Completion, TokenUsage
from stemma.workplace import writable

REQUEST = ChatRequest("k1", {"model": "m", "messages": [{"role": "user", "content": "¿12 + 7?"}]})
ENTRY = LedgerEntry(
    Completion("19", None, "stop", "m-1", TokenUsage(21, 5, 2)),
    "2026-03-01T12:00:00+00:00",
    "sync",
    0.25,
)
EMPTY = LedgerEntry(
    Completion(None, None, None, "m-1", TokenUsage(0, 0, 0)),
    "2026-03-01T13:00:00+00:00",
    "batch",
    None,
)


def test_a_reply_is_found_again_by_another_process(tmp_path: Path) -> None:
    path = tmp_path / "runs" / "ledger.sqlite"
    with open_ledger(path) as ledger:
        assert ledger.find("k1") is None
        ledger.add([(REQUEST, ENTRY), (ChatRequest("k2", {"model": "m"}), EMPTY)])
    with open_ledger(path) as ledger:
        assert ledger.find("k1") == ENTRY
        assert ledger.find("k2") == EMPTY


def test_the_first_reply_stays(tmp_path: Path) -> None:
    with open_ledger(tmp_path / "l") as ledger:
        ledger.add([(REQUEST, ENTRY)])
        ledger.add([(REQUEST, EMPTY)])
        assert ledger.find("k1") == ENTRY


def test_replies_committed_together_come_together_or_not_at_all(tmp_path: Path) -> None:
    broken = LedgerEntry(Completion(None, None, None, None, TokenUsage(0, 0, 0)), "", "sync", None)  # type: ignore[arg-type]
    with open_ledger(tmp_path / "l") as ledger:
        with pytest.raises(sqlite3.IntegrityError):
            ledger.add([(REQUEST, ENTRY), (ChatRequest("k2", {}), broken)])
        assert ledger.find("k1") is None


def test_a_days_requests_are_counted_by_model(tmp_path: Path) -> None:
    with open_ledger(tmp_path / "l") as ledger:
        ledger.add(
            [
                (REQUEST, ENTRY),
                (ChatRequest("k2", {"model": "m"}), EMPTY),
                (ChatRequest("k3", {"model": "n"}), ENTRY),
            ]
        )
        assert ledger.sent_since("2026-03-01T11:00:00+00:00", "m") == ["2026-03-01T12:00:00+00:00"]
        assert ledger.sent_since("2026-03-01T12:30:00+00:00", "m") == []


def test_batches_are_known_from_plan_to_close(tmp_path: Path) -> None:
    with open_ledger(tmp_path / "l") as ledger:
        first = ledger.plan_batch("here", [REQUEST])
        second = ledger.plan_batch("here", [REQUEST])
        assert first.tag != second.tag
        assert first.tag[:-2] == second.tag[:-2]
        ledger.name_batch(second.number, "batch_7")
    with open_ledger(tmp_path / "l") as ledger:
        named = PendingBatch(second.number, second.tag, "batch_7", {"k1": REQUEST})
        assert ledger.pending_batches("here") == [first, named]
        assert ledger.pending_batches("elsewhere") == []
        ledger.close_batch(first.number)
        assert ledger.pending_batches("here") == [named]


def test_one_process_at_a_time(tmp_path: Path) -> None:
    with (tmp_path / "l.lock").open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        with pytest.raises(UserError) as caught, open_ledger(tmp_path / "l"):
            pass
    said = (
        f"{tmp_path}/l: another process is generating with this ledger\n"
        "  hint: wait for it, or end it"
    )
    assert str(caught.value) == said


def refusal(path: Path) -> str:
    with pytest.raises(UserError) as caught, open_ledger(path):
        pass
    return str(caught.value)


def test_what_is_no_ledger_is_refused(tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("a text, and no database at all; " * 9)
    hint = (
        "move it away to begin a new one (its requests will be paid for again), or restore a copy"
    )
    assert refusal(text) == (
        f"{text}: cannot be read (file is not a database)\n"
        f"  expected: the ledger of paid requests\n  hint: {hint}"
    )
    other = tmp_path / "other"
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE anything (x)")
    connection.close()
    assert "a database, but no ledger; this Stemma reads version 1" in refusal(other)


def test_another_versions_ledger_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "l"
    with open_ledger(path):
        pass
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 2")
    connection.close()
    assert "a ledger of version 2; this Stemma reads version 1" in refusal(path)


def test_a_damaged_ledger_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "l"
    with open_ledger(path) as ledger:
        ledger.add((ChatRequest(f"k{n}", {"model": "m" * 500}), ENTRY) for n in range(200))
    whole = bytearray(path.read_bytes())
    whole[8192:16384] = b"\xff" * 8192
    path.write_bytes(whole)
    assert "damaged" in refusal(path) or "malformed" in refusal(path)


def test_a_full_disk_is_no_damage_and_nothing_paid_for_is_moved(tmp_path: Path) -> None:
    path, folder = tmp_path / "runs" / "ledger.sqlite", tmp_path / "runs" / "small" / "data"
    hint = "hint: free some space, and leave the runs where they are: ledger.sqlite beside them"

    def fill(ledger: Ledger) -> None:
        ledger._db.execute("PRAGMA max_page_count = 20")
        ledger.add((ChatRequest(f"k{n}", {"m": "m" * 5000}), ENTRY) for n in range(200))

    with (
        pytest.raises(UserError, match="database or disk is full") as caught,
        writable(folder),
        open_ledger(path) as ledger,
    ):
        fill(ledger)
    assert hint in str(caught.value)
    assert "--runs" not in str(caught.value)


def test_a_ledger_that_cannot_be_opened_stays_where_it_is(tmp_path: Path) -> None:
    (tmp_path / "l").mkdir()
    with (
        pytest.raises(UserError, match="cannot be written: unable to open") as caught,
        open_ledger(tmp_path / "l"),
    ):
        pass
    assert "leave the ledger where it is: it holds what was paid for" in str(caught.value)
    assert "move it away" not in str(caught.value)


def test_a_dry_run_reads_what_is_there_and_makes_nothing(tmp_path: Path) -> None:
    assert peek_ledger(tmp_path / "none").find("k1") is None
    assert list(tmp_path.iterdir()) == []
    with open_ledger(tmp_path / "l") as ledger:
        ledger.add([(REQUEST, ENTRY)])
        assert peek_ledger(tmp_path / "l").find("k1") == ENTRY  # while another process generates


def test_commits_are_no_bottleneck(tmp_path: Path) -> None:
    with open_ledger(tmp_path / "l") as ledger:
        begun = time.perf_counter()
        for n in range(100):
            ledger.add([(ChatRequest(f"k{n}", {"messages": "x" * 1500}), ENTRY)])
        assert 100 / (time.perf_counter() - begun) > 100, "a tier of 6,000 requests a minute"
