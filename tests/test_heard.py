"""stemma.heard: a child process tells how far it is, and its parent shows it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from stemma import ROOT
from stemma.heard import FILE, Growing, Hearing, Telling
from stemma.processes import child_environment, run_logged, wait
from stemma.progress import At

CHILD = """
import sys
from pathlib import Path
from stemma.heard import Telling
from stemma.progress import At
telling = Telling(Path(sys.argv[1]))
telling.tell(At("training", 3, 7, "steps", "loss 0.5"))
print("what the engine says")
import time; time.sleep(1)
"""


def test_a_child_is_heard_and_its_words_are_its_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hearing = Hearing(tmp_path / FILE)
    command = [sys.executable, "-c", CHILD, str(tmp_path / FILE)]
    assert run_logged(command, child_environment(), tmp_path / "log", hearing.look) == 0
    assert (tmp_path / "log").read_text() == "what the engine says\n"
    assert capsys.readouterr().err == "training: 3 of 7 steps, 42 %, loss 0.5\n"
    hearing.forget()
    assert [path.name for path in tmp_path.iterdir()] == ["log"]


def test_it_writes_a_few_times_a_second_but_always_the_last(tmp_path: Path) -> None:
    now = 0.0
    telling = Telling(tmp_path / FILE, lambda: now)
    written = []
    for done in range(101):
        now = done / 100
        telling.tell(At("training", done, 100))
        written.append(json.loads((tmp_path / FILE).read_text())["done"])
    assert len(set(written)) <= 7
    assert written[-1] == 100


def test_words_of_an_earlier_child_are_no_news(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Telling(tmp_path / FILE).tell(At("training", 3, 7))
    Hearing(tmp_path / FILE).look()
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("text", ["", "{", "[]", '{"done": 1}', '{"doing": "x", "more": 1}', "\0"])
def test_a_torn_file_is_no_progress(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hearing = Hearing(tmp_path / FILE)
    (tmp_path / FILE).write_text(text)
    hearing.look()
    assert capsys.readouterr().err == ""


def test_a_folder_that_takes_nothing_stops_nobody(tmp_path: Path) -> None:
    Telling(tmp_path / "gone" / FILE).tell(At("training", 3, 7))
    Telling(None).tell(At("training", 3, 7))
    Hearing(tmp_path / "gone" / FILE).look()


def test_a_growing_file_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    growing = Growing(tmp_path / "out.gguf", "writing gguf-F16", 4_000_000)
    (tmp_path / "out.gguf").write_bytes(b"0" * 1_000_000)
    growing.look()
    assert capsys.readouterr().err == "writing gguf-F16: 1.0 MB of 4.0 MB, 25 %\n"


def test_waiting_looks_meanwhile() -> None:
    looks: list[int] = []
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1)"], cwd=ROOT)
    assert wait(child, lambda: looks.append(1)) == 0
    assert looks
