from __future__ import annotations

from pathlib import Path

from data_builders.journal import Journal


def test_answers_survive_and_a_torn_last_line_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    journal = Journal(path)
    journal.add("one", {"text": "1"})
    journal.add("two", {"text": "2\n"})
    journal.close()
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"key": "three", "ans')
    again = Journal(path)
    assert again.find("one") == {"text": "1"}
    assert again.find("two") == {"text": "2\n"}
    assert again.find("three") is None
    again.add("three", {"text": "3"})
    again.close()
    assert path.read_bytes() == whole + b'{"key": "three", "answer": {"text": "3"}}\n'
