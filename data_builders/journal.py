"""Answers that were paid for, kept as they come: one write and fsync each, so that a killed stage asks none again."""

from __future__ import annotations

import json
import os
from pathlib import Path
from threading import Lock
from typing import Any


class Journal:
    """An append-only JSONL map from request key to answer. A torn last line (a kill in mid-write) is cut on opening."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        whole = path.read_bytes() if path.exists() else b""
        end = whole.rfind(b"\n") + 1
        entries = [json.loads(line) for line in whole[:end].splitlines()]
        self._answers: dict[str, dict[str, Any]] = {entry["key"]: entry["answer"] for entry in entries}
        self._lock = Lock()
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.ftruncate(self._file, end)

    def find(self, key: str) -> dict[str, Any] | None:
        return self._answers.get(key)

    def add(self, key: str, answer: dict[str, Any]) -> None:
        line = json.dumps({"key": key, "answer": answer}) + "\n"
        with self._lock:
            os.write(self._file, line.encode())
            os.fsync(self._file)
            self._answers[key] = answer

    def close(self) -> None:
        os.close(self._file)
