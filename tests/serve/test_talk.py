from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from serve.shipped import Known
from serve.talk import _context, _opening, _unlike, a_file, is_command, main
from stemma.cli import main as command_line
from tests.factories.run_to_score import make_recipe
from tests.from_gguf.files import write_gguf

Said = pytest.CaptureFixture[str]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write_gguf(tmp_path / "model.gguf")


@pytest.fixture(autouse=True)
def short_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serve.chat.ANSWER_TOKENS", 4)


def typed(monkeypatch: pytest.MonkeyPatch, text: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))


def talk(file: Path, monkeypatch: pytest.MonkeyPatch, text: bytes) -> None:
    typed(monkeypatch, text)
    with a_file(file) as asking:
        main(asking, None)


def test_what_is_told_of_a_file_of_anybodys(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: Said
) -> None:
    talk(file, monkeypatch, b"")
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "model.gguf: ask a question; /help tells what else, Ctrl-D ends.",
        "Context: 256 tokens, as it was trained.",
        "Each question is asked alone (nothing says that the model was trained on conversations); "
        "/history on keeps the conversation.",
        "Not asked as in an evaluation: of this file none is known.",
    ]


def opening(file: Path, talks: bool, history: bool, unlike: str = "") -> list[str]:
    with a_file(file) as asking:
        asking.chat.history = history
        told = _opening(type(asking)(asking.chat, asking.llama, Known(talks, 256), unlike))
        return list(told)[2:]


def test_only_what_is_asked_as_it_was_evaluated_is_said_to_be(file: Path) -> None:
    alone = "Each question is asked alone, as in its training; /history on keeps the conversation."
    kept = "The conversation is kept, as in its training; /history off asks each question alone."
    assert opening(file, talks=False, history=False) == [alone, "Asked as in its evaluation."]
    assert opening(file, talks=True, history=True) == [
        kept,
        "Not asked as in an evaluation: the conversation is kept.",
    ]
    assert opening(file, talks=False, history=False, unlike="the context is another") == [
        alone,
        "Not asked as in an evaluation: the context is another.",
    ]


def test_what_a_recipe_evaluates() -> None:
    arms = ["gguf-F16", "gguf-F16+retrieved"]
    both = make_recipe(["gguf-F16"], [{"task": "mcq"}])
    section = both.eval.model_copy(update={"variants": arms})
    searched = both.model_copy(update={"evaluated_by": section})
    assert _unlike(both, with_passages=False, other_context=False) == ""
    assert _unlike(searched, with_passages=True, other_context=False) == ""
    passages = "gguf-F16 with passages is no variant that the recipe evaluates"
    assert _unlike(both, with_passages=True, other_context=False) == passages
    assert _unlike(both, with_passages=False, other_context=True) == "the context is another"


@pytest.mark.parametrize(
    ("context", "trained", "told"),
    [
        (256, 256, "256 tokens, as it was trained"),
        (100, 100, "100 tokens, the longest it was trained on"),
        (128, 100, "128 tokens; it was trained with 100"),
    ],
)
def test_the_context_is_told(file: Path, context: int, trained: int, told: str) -> None:
    with a_file(file, context) as asking:
        known = Known(trained_tokens=trained)
        assert _context(type(asking)(asking.chat, asking.llama, known, "")) == told


def test_commands(file: Path, monkeypatch: pytest.MonkeyPatch, capsys: Said) -> None:
    talk(
        file,
        monkeypatch,
        b"/help\n/history\n/history on\n/history off\n/clear\n/histroy on\n/bye\nnever asked\n",
    )
    out, err = capsys.readouterr()
    assert out == ""
    lines = err.splitlines()[4:]
    assert lines[0] == (
        "/history on   ask with the questions before and their answers; off: each question alone"
    )
    assert lines[6:] == [
        "history is off",
        "from the next question on the conversation is kept; the model may not have been trained "
        "so",
        "Not asked as in an evaluation: of this file none is known.",
        "each question is asked alone",
        "Not asked as in an evaluation: of this file none is known.",
        "the conversation is forgotten",
        "/histroy on: no such command",
        "  expected: one that /help lists",
        "  hint: did you mean `/history on`?",
    ]


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("/help", True),
        ("/history  on", True),
        ("/usr/bin: what lies there?", False),
        ("/help\nand more", False),
        (" /help", False),
        ("/", False),
        ("What is 1/2?", False),
    ],
)
def test_what_is_a_command(text: str, is_one: bool) -> None:
    assert is_command(text) is is_one


def test_the_verb_takes_a_file(file: Path, capsys: Said) -> None:
    assert command_line(["chat", str(file), "What is 3 + 4?"]) == 0
    out, err = capsys.readouterr()
    assert out.strip()
    assert err == "(cut at 4 tokens)\n"


def test_a_file_has_no_recipe(file: Path, capsys: Said) -> None:
    assert command_line(["chat", str(file), "q", "--closed-book"]) == 2
    assert "--closed-book: a GGUF file has no recipe" in capsys.readouterr().err
    assert command_line(["chat", str(file), "q", "--context", "9999"]) == 2
    assert "--context: 9999 tokens\n  expected: 64 to the 256 that" in capsys.readouterr().err


def test_an_argument_that_is_no_utf_8(file: Path, capsys: Said) -> None:
    assert command_line(["chat", str(file), "a\udcff"]) == 2
    assert capsys.readouterr().err.startswith("the question: bytes that are not UTF-8\n")


def test_no_warning_about_the_base_models_revision(capsys: Said, tmp_path: Path) -> None:
    """It was told when the model was built."""
    assert command_line(["chat", "gemma2b", "--set", "base_revision=null", "--runs", str(tmp_path)])
    err = capsys.readouterr().err
    assert "stage `export` of recipe `gemma2b` is not done" in err
    assert "base_revision" not in err
