"""Questions from pipes, and from a real terminal: a pty, with a GGUF file behind it."""

from __future__ import annotations

import io
import os
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from serve.terminal import questions
from stemma import ROOT
from tests.from_gguf.files import write_gguf

PATIENCE_SECONDS = 120
"""Waited for what must come: a machine may be busy."""


def asked(monkeypatch: pytest.MonkeyPatch, text: bytes) -> list[str]:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))
    return list(questions())


def test_each_line_of_a_pipe_is_a_question(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "\ufeffWhat is α?\r\n\n  \nand β?".encode()
    assert asked(monkeypatch, text) == ["What is α?", "and β?"]


def test_between_quotes_lines_are_one_question(monkeypatch: pytest.MonkeyPatch) -> None:
    text = b'"""one\n/help\n\n two""" \n"""three"""\nfour\n"""/bye"""'
    assert asked(monkeypatch, text) == [" one\n/help\n\n two", " three", "four", " /bye"]


def test_quotes_that_never_end_are_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert asked(monkeypatch, b'one\n"""two\nthree\n') == ["one"]
    assert 'the question: no """ at its end' in capsys.readouterr().err


def test_a_line_that_is_no_utf_8_is_told_and_the_others_asked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert asked(monkeypatch, b"one\n\xff\xfe\nthree\n") == ["one", "three"]
    assert capsys.readouterr().err.splitlines() == [
        "line 2 of the input: bytes that are not UTF-8",
        "  expected: text",
        "  hint: save the text as UTF-8, or set the terminal to it",
    ]


ECHO = """
import fcntl, signal, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
from serve import talk
from serve.chat import Chat

def answer(self, question):
    yield "<" + question.strip().replace(chr(10), "|") + ">"
    if "long" in question:
        while True:
            yield "."

Chat.answer = answer
with talk.a_file(__import__("pathlib").Path(sys.argv[1])) as asking:
    talk.main(asking, None)
print("ended")
"""
"""The chat, with a model that says the question again; a `long` one without end."""


class Terminal:
    """A terminal with the chat in it."""

    def __init__(self, file: Path) -> None:
        self._ours, theirs = pty.openpty()
        self._seen = ""
        self._process = subprocess.Popen(
            [sys.executable, "-c", ECHO, str(file)],
            cwd=ROOT,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            env=os.environ | {"TERM": "xterm", "PYTHONPATH": str(ROOT), "INPUTRC": "/dev/null"},
        )
        os.close(theirs)

    def sends(self, keys: bytes | str) -> None:
        os.write(self._ours, keys if isinstance(keys, bytes) else keys.encode())

    def shows(self, text: str) -> str:
        """Wait for a text; what came up to it, without escapes."""
        deadline = time.monotonic() + PATIENCE_SECONDS  # an answer may be without end
        while text not in self._seen:
            left = max(0.0, deadline - time.monotonic())
            assert select.select([self._ours], [], [], left)[0], self._seen[-2000:]
            try:
                came = os.read(self._ours, 65536)
            except OSError:  # the other end is closed
                came = b""
            assert came, self._seen
            self._seen += re.sub(r"\x1b\[[?\d;]*[A-Za-z]", "", came.decode("utf-8", "replace"))
        before, self._seen = self._seen.split(text, 1)
        return before

    def asks(self, keys: bytes | str, answer: str) -> None:
        """Type and wait for an answer, and the next prompt."""
        self.sends(keys)
        self.shows(f"<{answer}>")
        self.shows("> ")

    def ends(self) -> int:
        self.shows("ended")
        return self._process.wait(PATIENCE_SECONDS)

    def close(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        os.close(self._ours)


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    opened = Terminal(write_gguf(tmp_path / "x.gguf"))
    try:
        opened.shows("> ")
        yield opened
    finally:
        opened.close()


def test_keys_and_history(terminal: Terminal) -> None:
    terminal.asks("one\r", "one")
    terminal.asks("tow\x1b[D\x7fwo\x1b[C\x7f\r", "two")
    terminal.asks("\x1b[A\x1b[A\r", "one")
    terminal.sends("\x04")
    assert terminal.ends() == 0


def test_a_paste_is_one_question(terminal: Terminal) -> None:
    """From terminals that mark one (`ESC [ 200 ~`), and from those that do not."""
    pytest.importorskip("readline")
    terminal.sends("\x1b[200~one\r\ttwo\r\x1b[201~")
    terminal.asks("\r", "one|\ttwo")
    terminal.asks("three\rfour\rfive\r", "three|four|five")
    terminal.sends('"""six\r')
    terminal.shows("... ")
    terminal.asks('seven"""\r', "six|seven")
    terminal.sends("/bye\r")
    assert terminal.ends() == 0


def test_ctrl_c_ends_the_answer_and_not_the_chat(terminal: Terminal) -> None:
    terminal.sends("a long one\r")
    terminal.shows("....")
    terminal.sends("\x03")
    terminal.shows("(stopped)")
    terminal.shows("> ")
    terminal.sends("given up")
    terminal.shows("given up")
    terminal.sends("\x03")
    terminal.shows("> ")
    terminal.sends('"""given up\r')
    terminal.shows("... ")
    terminal.sends("\x03")
    terminal.shows("> ")
    terminal.asks("next\r", "next")
    terminal.sends("\x03")
    assert terminal.ends() == 0


def test_bytes_that_are_no_utf_8(terminal: Terminal) -> None:
    terminal.sends(b"\xff\xfe\r")
    terminal.shows("the question: bytes that are not UTF-8")
    terminal.shows("> ")
    terminal.asks("next\r", "next")
