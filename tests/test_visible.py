"""Texts as a terminal and a page may show them; and that everything Stemma prints is such a text."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest

from serve.talk import _print
from stemma import ROOT
from stemma.errors import Problem
from stemma.visible import visible

CHILDREN = {
    "stemma/visible.py",
    "eval/loading.py",
    "rag/formats/pdf.py",
    "data_builders/scripted/server.py",
    "data_builders/outputs/files.py",
    "stemma/plugin/limits.py",
}
"""Where `print` stays: `tell` itself, protocols between processes, and rows written into files."""
OBEYED = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2066-\u2069]"
)
"""What no output may hold."""
HOSTILE = "\x1b[31m\x1b]0;title\x07\x9b2J\u202e\u2066\ufeff\u2028\U000e0041"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain\nlines\tand tabs", "plain\nlines\tand tabs"),
        ("a\x00b\x1b[31mc\x7f", "a␀b␛[31mc⟨U+007F⟩"),
        ("\x1b]0;title\x07", "␛]0;title␇"),
        ("\x9b2J", "⟨U+009B⟩2J"),
        ("over\rwritten\x08", "over␍written␈"),
        ("\u202ereversed\u2066\u2069", "⟨U+202E⟩reversed⟨U+2066⟩⟨U+2069⟩"),
        ("\u200e\u200f\u061c", "⟨U+200E⟩⟨U+200F⟩⟨U+061C⟩"),
        ("\ufeff\u2028\u2029\u200b", "⟨U+FEFF⟩⟨U+2028⟩⟨U+2029⟩⟨U+200B⟩"),
        ("\U000e0041\U000e0100\u3164", "⟨U+E0041⟩⟨U+E0100⟩⟨U+3164⟩"),
        ("half \ud800", "half \ufffd"),
        ("\U0001f469\u200d\U0001f469 ❤\ufe0f", "\U0001f469\u200d\U0001f469 ❤\ufe0f"),
        ("\u05e9\u05dc\u05d5\u05dd é [red] [link=x]", "\u05e9\u05dc\u05d5\u05dd é [red] [link=x]"),
    ],
)
def test_what_hides_or_reorders_is_shown(text: str, shown: str) -> None:
    assert visible(text) == shown
    assert "".join(map(visible, text)) == shown, "a text may come in pieces"


def test_no_character_of_unicode_is_obeyed() -> None:
    every = "".join(chr(code) for code in range(sys.maxunicode + 1))
    shown = visible(every)
    assert not OBEYED.search(shown)
    kinds = {unicodedata.category(sign) for sign in shown} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
    assert kinds == {"Cc", "Cf"}, "line ends, tabs and joiners"


def test_only_tell_prints() -> None:
    found = set()
    for folder in ("stemma", "data_builders", "eval", "rag", "export", "report", "serve"):
        for path in (ROOT / folder).rglob("*.py"):
            calls = (
                n for n in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(n, ast.Call)
            )
            if any(isinstance(call.func, ast.Name) and call.func.id == "print" for call in calls):
                found.add(path.relative_to(ROOT).as_posix())
    assert found == CHILDREN


def stemma(*arguments: str, cwd: Path = ROOT) -> str:
    """What a run of the command line prints, on both streams."""
    command = [sys.executable, "-m", "stemma", *arguments]
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, check=False)
    return (done.stdout + done.stderr).decode()


RECIPE = r"""
name: hostile
"base_model\e[31m": x
"\u202edata\L": {"\e]0;owned\a": 1}
base_model: "models/\e[2Jnone\u2066"
"line\nhostile: ok": 1
"""


def test_a_recipes_keys_and_values_reach_no_terminal(tmp_path: Path) -> None:
    path = tmp_path / "hostile.yml"
    path.write_text(RECIPE, encoding="utf-8")
    said = stemma("check", str(path))
    assert not OBEYED.search(said)
    assert "a key with the character U+001B" in said
    assert "Traceback" not in said
    assert "hostile: ok" not in said.splitlines()


@pytest.mark.parametrize("verb", ["check", "show", "status", "preview", "chat"])
def test_a_path_reaches_no_terminal(verb: str, tmp_path: Path) -> None:
    said = stemma(verb, str(tmp_path / f"{HOSTILE}.yml"))
    assert not OBEYED.search(said)
    assert r"\x1b[31m\x1b]0;title\x07\x9b2J\u202e" in said
    assert "Traceback" not in said


def test_an_unknown_verb_or_option_reaches_no_terminal() -> None:
    for arguments in ((HOSTILE,), ("check", f"--{HOSTILE}"), ("preview", "tiny", "-n", HOSTILE)):
        said = stemma(*arguments)
        assert not OBEYED.search(said)
        assert "[31m" in said


class Answering:
    """A chat whose model writes what a terminal obeys, a piece a token."""

    sources = ("[1] \u202etitle\x9b",)
    cut_at = None
    has_forgotten = False

    def answer(self, question: str) -> list[str]:
        return ["\x1b", "]0;ow", "ned", "\x07", " [red]", "ok[/red]\u202e"]


def test_an_answer_in_pieces_reaches_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    _print(Answering(), "q")  # type: ignore[arg-type]
    said = capsys.readouterr().out
    assert said == "␛]0;owned␇ [red]ok[/red]⟨U+202E⟩\n\n[1] ⟨U+202E⟩title⟨U+009B⟩\n"


def test_an_error_from_a_server_or_a_name_with_lines_is_one_error() -> None:
    told = str(Problem("a\n  hint: run this", "x\ny: ok", hint="one\ntwo"))
    assert told.splitlines() == [
        "a␊  hint: run this: x",
        "    y: ok",
        "  hint: one",
        "    two",
    ]


def test_previewed_rows_reach_no_terminal(tmp_path: Path) -> None:
    rows = [
        {"question": f"q{n} {HOSTILE} [red]x[/red]", "answer": f"{HOSTILE} a{n}"} for n in range(3)
    ]
    data = tmp_path / "rows.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    path = tmp_path / "rows.yml"
    path.write_text(
        f"name: rows\ndata:\n  root: {json.dumps(str(tmp_path))}\n"
        f"  sft: {{sources: [{{source: table, path: {json.dumps(data.name)}, licence: MIT,"
        " columns: {question: question, answer: answer}}]}\n",
        encoding="utf-8",
    )
    said = stemma("preview", str(path))
    assert not OBEYED.search(said)
    assert "⟨U+202E⟩⟨U+2066⟩⟨U+FEFF⟩⟨U+2028⟩⟨U+E0041⟩ [red]x[/red]" in said
