"""Stemma's commands as processes that are stopped from outside, and who outlives them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from stemma import ROOT

MARK = "STEMMA_FAULT"
"""The variable that all processes of one attempt inherit: by it survivors are found."""
HEARS_CTRL_C = ("env", "--default-signal=INT")
"""A shell's background jobs inherit that it is ignored."""
GONE_SECONDS = 240
"""A rank whose launcher was killed while it was loading ends when it has loaded; seconds on an idle
machine."""
LONGEST_SECONDS = 3600


def command(verb: str, runs: Path, settings: dict[str, str], *more: str) -> list[str]:
    """The words of `python -m stemma VERB tiny` with these overrides."""
    overrides = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    return [sys.executable, "-m", "stemma", verb, "tiny", "--runs", str(runs), *overrides, *more]


@dataclass
class Attempt:
    """One start of a command, with all it says and all it starts."""

    process: subprocess.Popen[str]
    mark: str
    log: Path

    @property
    def said(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    def finish(self) -> int:
        return self.process.wait(timeout=LONGEST_SECONDS)

    def lasts(self, seconds: float) -> bool:
        """Whether it still runs after so long."""
        try:
            self.process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            return True
        return False

    def stop(self, how: signal.Signals) -> int:
        """Send a signal; Ctrl-C reaches the whole group, as from a terminal."""
        if how == signal.SIGINT:
            os.killpg(self.process.pid, how)
        else:
            self.process.send_signal(how)
        return self.process.wait(timeout=120)

    def survivors(self) -> list[str]:
        """Processes of this attempt that are still there after a while, by their command line."""
        deadline = time.monotonic() + GONE_SECONDS
        while (left := marked(self.mark)) and time.monotonic() < deadline:
            time.sleep(0.05)
        return left


def start(words: Sequence[str], log: Path) -> Attempt:
    """Start a command in a process group of its own; what it says goes into `log`."""
    mark = uuid.uuid4().hex
    variables = os.environ | {"OMP_NUM_THREADS": "1", MARK: mark}
    with log.open("w", encoding="utf-8") as stream:
        process = subprocess.Popen(
            [*HEARS_CTRL_C, *words],
            cwd=ROOT,
            env=variables,
            text=True,
            stdout=stream,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    return Attempt(process, mark, log)


def marked(mark: str) -> list[str]:
    """The command lines of all processes that inherited the mark."""
    wanted = f"{MARK}={mark}".encode()
    return [
        text.decode(errors="replace").replace("\0", " ").strip()
        for process in Path("/proc").iterdir()
        if process.name.isdigit() and wanted in read(process / "environ").split(b"\0")
        for text in [read(process / "cmdline")]
    ]


def read(path: Path) -> bytes:
    """The bytes of a file of /proc; none of a process that is gone."""
    try:
        return path.read_bytes()
    except OSError:
        return b""
