"""Streams that are closed, full, cut off or of few letters: no traceback, the right exit code, and
a stage's work done."""

from __future__ import annotations

import errno
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from stemma import ROOT
from stemma.streams import GONE, Output

ASCII = {"LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
LATIN = {"LC_ALL": "C", "PYTHONIOENCODING": "latin-1"}
BROKEN = {
    "nothing is listened to": (">&- 2>&- <&-", {}),
    "stdout is closed": (">&-", {}),
    "stderr is closed": ("2>&-", {}),
    "stderr is full": ("2>/dev/full", {}),
    "the reader leaves": ("| head -c 1 >/dev/null", {}),
    "both readers leave": ("2>&1 | true", {}),
    "ASCII": ("", ASCII),
    "Latin 1": ("", LATIN),
}
LOST = "failed: stdout cannot be written: No space left on device"
RECIPE = """\
name: words
data:
  sft:
    sources:
    - {source: table, path: rows.jsonl, licence: CC0-1.0, columns: {question: q, answer: a}}
"""
QUICK = ("--help", "show tiny", "check tiny", "check nothing", "status tiny --runs none")
VERBS = (
    *("check", "diff tiny --with smollm2", "plan tiny", "preview tiny", "verify tiny"),
    *("search tiny heat", "chat tiny why", "all tiny --dry-run", "eval tiny --dry-run", "doctor"),
    *("import none.gguf none", "course none none none", "judge tiny", "compare tiny --with tiny"),
    *("rehearse nothing", "sweep tiny", "rag tiny --dry-run", "report tiny --dry-run", "nothing"),
)


def run(
    arguments: str, streams: str = "", variables: dict[str, str] | None = None
) -> tuple[int, str, str]:
    """(exit code, stdout, stderr) of a verb whose streams the shell has redirected."""
    command = shlex.join([sys.executable, "-m", "stemma", *shlex.split(arguments)])
    if not streams.startswith(("|", "2>&1 |")):
        streams += "; exit $?"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command} {streams}"],
        cwd=ROOT,
        env=os.environ | (variables or {}),
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        timeout=300,
    )
    return done.returncode, done.stdout, done.stderr


def write_recipe(folder: Path) -> Path:
    (folder / "rows.jsonl").write_text(
        "".join(
            f'{{"q": "What is the charge of particle {n}?", "a": "It is {n} units."}}\n'
            for n in range(20)
        )
    )
    path = folder / "words.yml"
    path.write_text(RECIPE + f"  root: {folder}\n")
    return path


@pytest.mark.parametrize("how", BROKEN)
def test_streams_that_break_change_nothing_else(how: str) -> None:
    streams, variables = BROKEN[how]
    code, _, err = run("show tiny", streams, variables)
    assert (code, err) == (0, "")


@pytest.mark.slow
@pytest.mark.parametrize("how", BROKEN)
def test_an_error_keeps_its_exit_code(how: str) -> None:
    streams, variables = BROKEN[how]
    code, out, err = run("check nothing", streams, variables)
    assert code == 2
    assert "Traceback" not in out + err


def test_a_result_that_is_lost_is_a_failure() -> None:
    code, _, err = run("show tiny", ">/dev/full")
    assert code == 1
    assert err.startswith(LOST)
    assert len(err.splitlines()) == 1


def test_letters_that_a_stream_lacks_are_marked() -> None:
    _, out, _ = run("--help", variables=ASCII)
    assert out.isascii()
    assert "Usage: stemma" in out


@pytest.mark.parametrize(
    ("streams", "code"),
    [
        (">/dev/full", 1),
        ("2>&1 | true", 0),
        *(pytest.param(one, 0, marks=pytest.mark.slow) for one in ("2>&-", ">&- 2>&- <&-")),
    ],
)
def test_the_work_of_a_stage_is_done_whoever_listens(
    streams: str, code: int, tmp_path: Path
) -> None:
    recipe = write_recipe(tmp_path)
    found, out, err = run(f"data {recipe} --runs {tmp_path / 'runs'}", streams)
    assert found == code, err
    assert "Traceback" not in out + err
    assert (tmp_path / "runs/words/data/manifest.json").is_file()
    assert run(f"data {recipe} --runs {tmp_path / 'runs'}")[:2] == (0, "data    up to date\n")


def test_closed_descriptors_are_never_given_to_files(tmp_path: Path) -> None:
    """Else what an engine prints to its stderr would stand in a file of the run."""
    code = (
        "import os; from stemma.streams import secure; secure()\n"
        f"print(open({str(tmp_path / 'new')!r}, 'w').fileno() > 2, file=open({str(tmp_path / 'told')!r}, 'w'))"
    )
    command = shlex.join([sys.executable, "-c", code])
    subprocess.run(["bash", "-c", f"{command} <&- >&- 2>&-"], cwd=ROOT, check=True)
    assert (tmp_path / "told").read_text() == "True\n"


def test_output_takes_all_and_notes_what_it_lost() -> None:
    with open("/dev/full", "wb", buffering=0) as full:  # noqa: PTH123
        output = Output(full.fileno())
        assert output.write(b"words") == 5
        assert output.write(b"more") == 4
    assert output.lost is not None
    assert output.lost.errno == errno.ENOSPC


def test_a_reader_that_has_gone_is_no_failure() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    output = Output(writer)
    assert output.write(b"words") == 5
    os.close(writer)
    assert output.lost is not None
    assert output.lost.errno in GONE


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [*QUICK, *VERBS])
def test_every_verb_with_every_stream(arguments: str, tmp_path: Path) -> None:
    """From an empty folder of runs, and so with many errors."""
    verb = arguments.replace(" --runs none", "")
    takes_runs = verb.split()[0] not in ("--help", "check", "show", "diff", "import", "nothing")
    asked = f"{verb} --runs {tmp_path}" if takes_runs else verb
    code, out, err = run(asked)
    assert "Traceback" not in out + err
    for streams, variables in BROKEN.values():
        found, out, err = run(asked, streams, variables)
        assert found == code, (streams, err)
        assert "Traceback" not in out + err, streams
    found, _, err = run(asked, ">/dev/full")
    assert found == (code or 1 if out else code), err
    assert "Traceback" not in err
