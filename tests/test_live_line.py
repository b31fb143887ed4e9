"""stemma.live_line on a real terminal: what stands there in the end, whoever ends the process."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import struct
import sys
import termios
import time
from collections.abc import Mapping
from dataclasses import dataclass

import pytest

from stemma import ROOT
from stemma.live_line import cut

PROGRAM = """
import os, sys, time
from stemma.progress import of_stage, show
from stemma.visible import tell
with of_stage("sft"):
    for step in range(1, 4):
        show("training", step, 3, "steps", f"loss 0.{step}")
        time.sleep(0.12)
    tell("warning: look here", file=sys.stderr)
    tell("a result")
    {end}
tell("sft     done")
"""


@dataclass
class Screen:
    """What a process wrote to a terminal, and what stands there afterwards."""

    raw: str
    code: int
    same_modes: bool
    """Whether the terminal is in the mode in which it was."""

    @property
    def rows(self) -> list[str]:
        return [_row(line) for line in self.raw.replace("\r\n", "\n").split("\n")]


def _row(line: str) -> str:
    """A row after all that was written over it: back to its start, and erased to its end."""
    shown = ""
    for part in line.split("\r"):
        text, erases, rest = part.partition("\x1b[K")
        shown = text + ("" if erases else shown[len(text) :]) + rest
    return shown


def on_terminal(
    end: str = "", columns: int = 80, given: Mapping[str, str] | None = None, signalled: int = 0
) -> Screen:
    """Run the program on a terminal; `signalled` is sent to it once it draws."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    before = termios.tcgetattr(slave)
    variables = {**os.environ, "TERM": "xterm", "PYTHONPATH": str(ROOT), **(given or {})}
    program = PROGRAM.replace("{end}", end or "pass")
    child = os.posix_spawn(
        sys.executable,
        [sys.executable, "-c", program],
        variables,
        file_actions=[(os.POSIX_SPAWN_DUP2, slave, number) for number in (0, 1, 2)],
        setsigdef=[signal.SIGINT],  # a shell's background jobs ignore it
    )
    raw = b""
    os.set_blocking(master, False)
    done = status = 0
    while True:
        if not done:
            done, status = os.waitpid(child, os.WNOHANG)
        try:
            raw += os.read(master, 65536)
        except BlockingIOError:
            if done:
                break
            time.sleep(0.02)
        if signalled and b"a result" in raw:
            os.kill(child, signalled)
            signalled = 0
    after = termios.tcgetattr(slave)
    os.close(master)
    os.close(slave)
    return Screen(raw.decode(), os.waitstatus_to_exitcode(status), before == after)


def test_one_line_is_drawn_anew_and_gives_way() -> None:
    screen = on_terminal()
    assert screen.rows == ["warning: look here", "a result", "sft     done", ""]
    assert "[sft] training: 1 of 3 steps, 33 %, loss 0.1" in screen.raw
    assert "[sft] training: 3 of 3 steps, 100 %" in screen.raw
    assert screen.raw.count("\x1b") == screen.raw.count("\x1b[K"), "no colour, no hidden cursor"


@pytest.mark.parametrize("name", ["kill", "term"])
def test_a_kill_leaves_the_terminal_as_it_was(name: str) -> None:
    number = {"kill": signal.SIGKILL, "term": signal.SIGTERM}[name]
    screen = on_terminal("time.sleep(30)", signalled=number)
    assert screen.code == -number
    assert screen.same_modes
    assert screen.rows[:2] == ["warning: look here", "a result"]
    assert screen.rows[2].startswith("[sft] training: 3 of 3 steps"), "one row, and no more"
    assert "\x1b[?25l" not in screen.raw


def test_ctrl_c_takes_the_line_away() -> None:
    screen = on_terminal("time.sleep(30)", signalled=signal.SIGINT)
    assert screen.rows[:2] == ["warning: look here", "a result"]
    assert screen.rows[2].startswith("Traceback"), "which the command line makes a word of"
    assert screen.same_modes


@pytest.mark.parametrize("columns", [20, 5, 1])
def test_a_narrow_terminal_gets_one_row(columns: int) -> None:
    screen = on_terminal(columns=columns)
    drawn = [part.split("\x1b[K")[0] for part in screen.raw.split("\r") if "\x1b[K" in part]
    assert drawn
    assert max(map(len, drawn)) <= columns - 1
    assert screen.rows == ["warning: look here", "a result", "sft     done", ""]


@pytest.mark.parametrize("given", [{"TERM": "dumb"}, {"TERM": ""}])
def test_a_terminal_that_cannot_draw_gets_lines(given: dict[str, str]) -> None:
    screen = on_terminal(given=given)
    assert "\x1b" not in screen.raw
    assert screen.rows == [
        "[sft] training: 1 of 3 steps, 33 %, loss 0.1",
        "warning: look here",
        "a result",
        "sft     done",
        "",
    ]


def test_no_color_changes_nothing_as_there_is_none() -> None:
    plain = on_terminal(given={"NO_COLOR": "1"})
    assert plain.raw.count("\x1b") == plain.raw.count("\x1b[K") > 0


def test_wide_letters_take_two_columns() -> None:
    assert cut("水が沸騰", 8) == "水が沸騰"
    assert cut("水が沸騰", 7) == "水が沸…"
    assert cut("abc", 0) == ""
